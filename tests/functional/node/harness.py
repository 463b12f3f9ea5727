"""A real node of a real master, in a directory of the test's own that partition users can pass."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from slapos.model.errors import HyperopenxError
from slapos.model.objects import Instance, InstanceRequest
from slapos.model.states import Health, InstanceState, SupplyReport
from slapos.node import operations
from slapos.node.config import NodeConfig
from slapos.node.format import deformat_node
from slapos.node.register import register, site_config
from slapos.system.processes import Started, start
from slapos.system.proctable import directory_of, end_processes, end_tree, environment_of, process_table
from slapos.testing.master import MasterServer
from slapos.testing.waiting import wait_for

RELEASES = Path(__file__).parents[2] / "cases" / "releases"


@contextlib.contextmanager
def open_directory() -> Iterator[Path]:
    """Short, passable by all, with a copy of the releases; everything in it is gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix="hoxn"))
    path.chmod(0o755)
    shutil.copytree(RELEASES, path / "releases")
    try:
        yield path
    finally:
        end_processes(
            [item for item in process_table().values() if item.pid != os.getpid() and _is_below(item.pid, str(path))]
        )
        shutil.rmtree(path, ignore_errors=True)


def _is_below(pid: int, path: str) -> bool:
    places = (directory_of(pid), environment_of(pid).get("HOME", ""))
    return any(place.startswith(path + "/") for place in places)


class RealNode:
    """One node: registered, formatted, its daemon a process of its own."""

    def __init__(
        self, master: MasterServer, directory: Path, *, name: str = "n1", number: int = 0, **more: Any
    ) -> None:
        self.master = master
        self.directory = directory / "node" / name
        number = number or os.getpid() % 200 + 20
        wished = site_config(
            str(self.directory), name=name, master_url=master.url, run_directory=str(directory / "r" / name)
        )
        settings = {
            "partition_amount": 3,
            "node_number": number,
            "name_prefix": f"hx{number}{name}",
            "software_min_free_space": 1024,
            "instance_min_free_space": 1024,
            "resync_period": 60.0,
            **more,
        }
        self.config: NodeConfig = dataclasses.replace(wished, **settings)
        self.daemon: Started | None = None

    def __enter__(self) -> Self:
        token = self.master.operator.token("node", name=self.config.name)
        self.config = register(str(self.directory), self.config, token)
        operations.format_node(self.config)
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        with contextlib.suppress(HyperopenxError):
            operations.stop_services(self.config, timeout=20.0)
        deformat_node(self.config)

    @property
    def reference(self) -> str:
        """``COMP-<n>``."""
        return self.config.computer_id

    @property
    def cfg(self) -> str:
        return str(self.directory / "slapos.cfg")

    def start(self) -> Self:
        """The daemon."""
        command = [sys.executable, "-m", "slapos.node.main", "--cfg", self.cfg]
        self.daemon = start(command, output=str(self.directory / "daemon.log"))
        assert operations.wait_for_daemon(self.config), self.log()
        return self

    def kill(self) -> None:
        """SIGKILL of the daemon alone, if it runs."""
        if self.daemon is not None:
            self.daemon.popen.kill()
            self.daemon.popen.wait()
            self.daemon = None

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.daemon is not None
        self.daemon.popen.terminate()
        code = self.daemon.popen.wait(60)  # on a busy machine, the warm server that it waits for is still starting
        self.daemon = None
        return code

    def end_all(self) -> None:
        """The daemon with everything that it started but the services (as a careless operator)."""
        if self.daemon is not None:
            end_tree(self.daemon.pid, 0.0)
            self.daemon.popen.wait()
            self.daemon = None

    def log(self) -> str:
        """The end of the daemon's log."""
        with contextlib.suppress(FileNotFoundError):
            return (self.directory / "daemon.log").read_text()[-8000:]
        return ""

    def partition(self, instance: Instance) -> str:
        """Directory of the partition of an instance."""
        return self.config.partition_directory(instance.partition)

    def services(self) -> dict[str, Any]:
        """By name, with state and pid."""
        return operations.service_states(self.config) or {}


class Site:
    """A master with nodes, and the orders of a test."""

    def __init__(self, master: MasterServer, directory: Path) -> None:
        self.master = master
        self.directory = directory
        self.operator = master.operator
        self.release = str(directory / "releases" / "hello" / "software.cfg")

    def supply(self, node: RealNode) -> None:
        """Wait until the release is built there."""
        self.operator.supply(node.reference, self.release)
        self.wait_for_release(node, SupplyReport.AVAILABLE)

    def wait_for_release(self, node: RealNode, reported: SupplyReport) -> str:
        """The sentence then."""

        def look() -> str | None:
            supplies = self.operator.node(node.reference).supplies
            found = next((item for item in supplies if item.release == self.release), None)
            return found.sentence if found is not None and found.reported is reported else None

        return wait_for(look, 60, f"the release is {reported}", until=lambda value: value is not None) or ""

    def order(
        self,
        title: str = "one",
        *,
        node: RealNode | None = None,
        kind: str = "default",
        state: str | None = None,
        **text: str,
    ) -> Instance:
        """Order or change."""
        sla = {"computer_guid": node.reference} if node else {}
        wanted = InstanceState(state) if state else None
        return self.operator.request(InstanceRequest(title, self.release, kind, text, sla, wanted))

    def wait(
        self, title: str = "one", health: Health = Health.OK, *, sentence: str = "", after: int = 0, seconds: float = 60
    ) -> Instance:
        """Until the instance is reported so, for its present order."""

        def good(found: Instance) -> bool:
            return found.health is health and sentence in found.sentence and found.timestamp > after

        return wait_for(lambda: self.operator.instance(title=title), seconds, f"{title} is {health}", until=good)


def page(instance: Instance) -> dict[str, Any]:
    """What the service of the release hello answers."""
    with urllib.request.urlopen(instance.connection["url"], timeout=5) as answer:
        found: dict[str, Any] = json.loads(answer.read())
        return found


def crash(instance: Instance) -> None:
    """Have the service end badly."""
    with contextlib.suppress(OSError):
        urllib.request.urlopen(instance.connection["url"] + "crash", timeout=5).close()


def pages_answer(instance: Instance, seconds: float = 20, **expected: Any) -> dict[str, Any]:
    """Wait until the page has ``expected``."""

    def look() -> dict[str, Any]:
        try:
            return page(instance)
        except OSError:
            return {}

    return wait_for(
        look, seconds, f"the page has {expected}", until=lambda got: got != {} and expected.items() <= got.items()
    )


def settle(seconds: float) -> None:
    """Let the daemon do what it would do."""
    time.sleep(seconds)
