"""A master, a node and the ``slapos`` command as three sets of processes: what a person has before him."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from slapos.cli.main import run
from slapos.model.objects import InstanceRequest, Supply
from slapos.model.states import InstanceState, SupplyReport
from slapos.slap.client import Client
from slapos.system.proctable import end_tree
from slapos.testing.master import MasterServer
from slapos.testing.nodes import own_numbers
from slapos.testing.waiting import wait_for
from tests.functional.node.harness import RealNode, open_directory

COMMAND = os.path.join(os.path.dirname(sys.executable), "slapos")
SECONDS = 60.0


@dataclass(frozen=True)
class Said:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Its result, asked for as JSON."""
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        """``{"kind", "reference", "message", "context", "hint"}``, asked for as JSON."""
        assert self.code != 0, self.out
        found: dict[str, Any] = json.loads(self.err.splitlines()[-1])["error"]
        return found


class Person:
    """Calls ``slapos`` with a configuration; nothing else of the environment is his."""

    def __init__(self, directory: Path, *, client_cfg: str, node_cfg: str = "") -> None:
        self.directory = directory
        self.environment = {
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "HOME": str(directory),
            "HYPEROPENX_STATE": str(directory / "no-site"),
            "SLAPOS_CLIENT_CONFIGURATION": client_cfg,
            "SLAPOS_CONFIGURATION": node_cfg,
        }

    def slapos(self, *words: str, seconds: float = SECONDS) -> Said:
        """To its end, for people: in a fork, because starting Python costs more than most commands.

        :meth:`begin` starts the installed program.
        """
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            pid = os.fork()
            if pid == 0:
                self._become(words, out.fileno(), err.fileno())
            code = _status(pid, seconds)
            out.seek(0)
            err.seek(0)
            return Said(code, out.read().decode(), err.read().decode())

    def _become(self, words: tuple[str, ...], out: int, err: int) -> NoReturn:
        code = 1
        try:
            os.setsid()
            for source, target in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (err, 2)):
                os.dup2(source, target)
            sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
            sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
            os.environ.clear()
            os.environ.update(self.environment)
            os.chdir(self.directory)
            code = run(list(words))
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)

    def json(self, *words: str, seconds: float = SECONDS) -> Said:
        """The same, for programs."""
        return self.slapos("--format", "json", *words, seconds=seconds)

    def begin(self, *words: str, plain: bool = False) -> subprocess.Popen[bytes]:
        """Left running, in a session of its own; the caller waits for it.  JSON, or ``plain`` text."""
        return subprocess.Popen(
            [COMMAND, *([] if plain else ["--format", "json"]), *words],
            env=self.environment,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )


def _status(pid: int, seconds: float) -> int:
    """The exit status of a child, which is killed when it takes longer."""
    deadline = time.monotonic() + seconds
    while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0):
        if time.monotonic() > deadline:
            end_tree(pid, 0.0)
            os.waitpid(pid, 0)
            raise AssertionError(f"It did not end within {seconds:g} s.")
        time.sleep(0.01)
    return os.waitstatus_to_exitcode(ended[1])


def end(process: subprocess.Popen[bytes], number: int = 0, seconds: float = SECONDS) -> Said:
    """What the process said at its end; with ``number``, after that signal to its group, as a terminal sends it."""
    if number:
        os.killpg(process.pid, signal.Signals(number))
    out, err = process.communicate(timeout=seconds)
    return Said(process.returncode, out.decode(), err.decode())


@dataclass
class Bench:
    """``person`` is the operator, who sits at the node."""

    master: MasterServer
    node: RealNode
    directory: Path
    person: Person

    @property
    def operator(self) -> Client:
        """For looking, where a test is not about the command."""
        return self.master.operator

    @property
    def node_client(self) -> Client:
        """With the certificate of the node."""
        return self.master.client(self.node.config.cert_file, self.node.config.key_file)

    @property
    def hello(self) -> str:
        """A good release."""
        return self.release("hello")

    def release(self, name: str, profile: str = "software.cfg") -> str:
        """The path of a profile below the directory that the master allows."""
        return str(self.directory / "releases" / name / profile)

    def new_release(self, name: str, text: str) -> str:
        """A release with this profile."""
        path = Path(self.release(name))
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.parent.chmod(0o755)
        return str(path)

    def supply(self, release: str) -> None:
        """Wish it on the node."""
        said = self.person.slapos("supply", release, self.node.reference)
        assert said.code == 0, said.err

    def settled(self, release: str, reported: SupplyReport, sentence: str = "") -> Supply:
        """The supply once the node reported it so."""

        def look() -> Supply | None:
            supplies = self.operator.node(self.node.reference).supplies
            return next((item for item in supplies if item.release == release), None)

        found = wait_for(
            look,
            SECONDS,
            f"{release} is {reported}",
            until=lambda item: item is not None and item.reported is reported and sentence in item.sentence,
        )
        assert found is not None
        return found

    def info(self, title: str) -> dict[str, Any]:
        """What ``slapos service info`` says of one instance."""
        found: dict[str, Any] = self.person.json("service", "info", title).data["instance"]
        return found

    def waits_for(self, title: str, **wanted: str) -> dict[str, Any]:
        """``slapos service info`` once it says so: ``health``, and a piece of the ``sentence``."""

        def good(found: dict[str, Any]) -> bool:
            return all(value in str(found[key]) for key, value in wanted.items())

        return wait_for(lambda: self.info(title), SECONDS, f"{title} is {wanted}", until=good, step=0.2)

    def order(
        self, title: str, *, state: str = "started", sla: Mapping[str, str] | None = None, **parameters: str
    ) -> InstanceRequest:
        """An order of the good release, for where the command is not what is tested."""
        return InstanceRequest(title, self.hello, "default", parameters, sla or {}, InstanceState(state))

    def destroy(self, title: str) -> None:
        """Until its partition is free again."""
        said = self.person.slapos("request", title, "--state", "destroyed", "--wait", "--timeout", "30")
        assert said.code == 0, said.err


@contextlib.contextmanager
def open_bench(partitions: int = 8) -> Iterator[Bench]:
    """The daemon runs, the release ``hello`` is built."""
    number, prefix = own_numbers()
    with (
        open_directory() as directory,
        MasterServer(directory, release_roots=[str(directory / "releases")]) as master,
        RealNode(master, directory, number=number, name_prefix=prefix, partition_amount=partitions) as node,
    ):
        node.start()
        assert master.files is not None
        person = Person(directory, client_cfg=master.files.config_path, node_cfg=node.cfg)
        made = Bench(master, node, directory, person)
        made.supply(made.hello)
        made.settled(made.hello, SupplyReport.AVAILABLE)
        yield made
