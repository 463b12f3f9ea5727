"""Our master with a real node and the real command line on it, and what both have in common with other stages."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slapos.model.objects import Instance
from slapos.system.processes import Completed
from slapos.testing.master import MasterServer
from slapos.testing.peers import RealCommand, RealNode, checked

RELEASES = Path(__file__).parents[1] / "cases" / "releases"
PARTITIONS = 12


@contextlib.contextmanager
def open_directory() -> Iterator[Path]:
    """Passable by all, with a copy of the field's release; short, because sockets lie in it."""
    path = Path(tempfile.mkdtemp(prefix="hox-io-", dir="/tmp"))
    try:
        path.chmod(0o755)
        copy_release(path, "field")
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def copy_release(directory: Path, name: str) -> str:
    """The path of the release's profile, under a name of its own."""
    target = directory / "releases" / name
    target.mkdir(parents=True)
    (directory / "releases").chmod(0o755)
    target.chmod(0o755)
    shutil.copyfile(RELEASES / "field" / "software.cfg", target / "software.cfg")
    (target / "software.cfg").chmod(0o644)
    return str(target / "software.cfg")


@dataclass
class Stage:
    """``computer``: the node by the name that its tools use; ``reference``: by ours."""

    directory: Path
    master: MasterServer
    node: RealNode
    slapos: RealCommand
    computer: str

    @property
    def release(self) -> str:
        return str(self.directory / "releases" / "field" / "software.cfg")

    @property
    def reference(self) -> str:
        (only,) = self.master.operator.nodes()
        return only.reference

    def supply(self, release: str) -> None:
        """Ordered with the real command, built by the real node."""
        checked(self.slapos("supply", release, self.computer))
        checked(self.node("software"))

    def order(self, title: str, *words: str, release: str = "") -> Completed:
        """``slapos request``; 2 is its code for an order that is not served yet."""
        done = self.slapos("request", title, release or self.release, *words)
        assert done.code in (0, 2), done.text
        return done

    def serve(self, title: str, *words: str) -> Instance:
        """Ordered, and processed by the real node."""
        self.order(title, *words)
        return self.process(title)

    def process(self, title: str) -> Instance:
        """By the real node, that partition alone."""
        checked(self.node("instance", "--only-cp", self.instance(title).partition))
        return self.instance(title)

    def instance(self, title: str) -> Instance:
        """As our master knows it."""
        return self.master.operator.instance(title=title)

    def info(self, title: str) -> Any:
        """``slapos service info``, without the warnings before it."""
        done = checked(self.slapos("service info", title))
        return json.loads(done.text[done.text.index("{") :])

    def partition(self, title: str) -> Path:
        """The directory in which it lives."""
        return Path(self.node.machine.path(f"instances/{self.instance(title).partition}"))


@contextlib.contextmanager
def open_stage(kind: str) -> Iterator[Stage]:
    """``legacy``: everybody is what he says.  ``tls``: the node registered, the person is the operator."""
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(open_directory())
        releases = str(directory / "releases")
        master = MasterServer(directory / "master", release_roots=[releases], legacy=kind == "legacy")
        (directory / "master").mkdir(mode=0o700)
        stack.enter_context(master)
        url = master.legacy_url or master.url
        node = stack.enter_context(RealNode(url, partitions=PARTITIONS, shared=(releases,)))
        slapos = stack.enter_context(RealCommand(url, shared=(releases,)))
        if kind == "tls":
            node.register("rack 1", master.operator.token("node", legacy_keys=True))
            assert master.files is not None
            slapos.use(master.files.certificate_path, master.files.key_path)
        stage = Stage(directory, master, node, slapos, node.computer_id)
        checked(node.format())
        stage.supply(stage.release)
        yield stage


def fetch(instance: Instance) -> str:
    """The page that it serves, on its socket."""
    connection = http.client.HTTPConnection("localhost", timeout=10)
    connection.sock = socket.socket(socket.AF_UNIX)
    try:
        connection.sock.connect(instance.connection["socket"])
        connection.request("GET", "/index.html")
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.read().decode("utf-8")
    finally:
        connection.close()
