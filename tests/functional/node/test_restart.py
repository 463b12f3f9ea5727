"""What a service manager does to a node: starts it, watches it, ends it and starts it again, as an upgrade does."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slapos.model.errors import Conflict
from slapos.node import operations
from slapos.node.context import layout_of
from slapos.node.plan import Kind
from slapos.node.supervise import check_stopped
from slapos.node.wiring import open_supervisor
from slapos.system.processes import CLEAN_ENVIRONMENT, Launch, run, start
from slapos.testing.scrape import scrape
from slapos.testing.waiting import wait_for
from tests.functional.node.harness import RealNode, Site, page

INSTANCES = ("one", "two")


@pytest.fixture(scope="module", autouse=True)
def ordered(site: Site, node: RealNode) -> None:
    for title in INSTANCES:
        site.order(title, text=title)
    for title in INSTANCES:
        site.wait(title, sentence="serving")


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket of a service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "notify"))
        made.settimeout(30)
        yield made


def told_until(manager: socket.socket, last: str) -> list[str]:
    """What it is told until it is told ``last``."""
    found: list[str] = []
    while last not in found:
        found.append(manager.recv(4096).decode())
    return found


def watched(manager: socket.socket, seconds: float) -> Launch:
    """As systemd starts a unit with ``WatchdogSec``."""
    more = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": str(int(seconds * 1e6))}
    return Launch(environment={**CLEAN_ENVIRONMENT, **more})


def processes(node: RealNode) -> dict[str, tuple[int, float]]:
    """Pid and moment of the start of every service."""
    return {name: (item["pid"], item["since"]) for name, item in node.services().items()}


def actions(node: RealNode) -> list[Any]:
    """What would be done now; promises are asked from time to time whatever happens."""
    plans = operations.plan_node(node.config)
    return [action for plan in plans for action in plan.actions if action.kind is not Kind.PROMISES]


def rounds(node: RealNode) -> int:
    """How often the daemon that runs looked at a partition and found it, or made it, as it must be."""
    found = re.search(r'rounds_total\{kind="partition",settled="ok"\} (\d+)', scrape(layout_of(node.config).metrics))
    return int(found[1]) if found else 0


def test_a_restart_leaves_every_process_and_plans_nothing(site: Site, node: RealNode) -> None:
    before = processes(node)
    pages = [page(site.wait(title)) for title in INSTANCES]
    assert len(before) >= len(INSTANCES)
    assert all(pid for pid, _ in before.values())
    for _ in range(2):
        assert node.stop() == 0
        assert processes(node) == before
        assert actions(node) == [], "with the daemon gone"
        node.start()
        wait_for(lambda: rounds(node), 30, "all were looked at", until=lambda count: count >= 3, step=1.1)
        assert processes(node) == before
        assert actions(node) == []
    assert [page(site.wait(title)) for title in INSTANCES] == pages


def test_ready_alive_and_stopping_are_told(node: RealNode, manager: socket.socket) -> None:
    before = processes(node)
    node.stop()
    command = [sys.executable, "-I", "-m", "slapos.node.main", "--cfg", node.cfg]
    node.daemon = start(command, launch=watched(manager, 1.5), output=str(node.directory / "daemon.log"))
    found = [told_until(manager, "READY=1")]
    began = time.monotonic()
    found += [told_until(manager, "WATCHDOG=1") for _ in range(6)]
    assert 2.0 < time.monotonic() - began < 15, "three times in the time of the watchdog"
    assert any(text.startswith("STATUS=3 partitions, 0 of them") for texts in found for text in texts)
    assert node.stop() == 0
    assert "STOPPING=1" in told_until(manager, "STOPPING=1")
    assert processes(node) == before, "no service belongs to the daemon"
    node.start()


def test_a_daemon_that_hangs_is_silent(node: RealNode, manager: socket.socket) -> None:
    node.stop()
    command = [sys.executable, "-I", "-m", "slapos.node.main", "--cfg", node.cfg]
    node.daemon = start(command, launch=watched(manager, 1.5), output=str(node.directory / "daemon.log"))
    told_until(manager, "WATCHDOG=1")
    os.kill(node.daemon.pid, signal.SIGSTOP)
    manager.settimeout(0.1)
    with pytest.raises(TimeoutError):  # what was sent before is read first
        for _ in range(20):
            manager.recv(4096)
    manager.settimeout(3.0)
    with pytest.raises(TimeoutError):
        manager.recv(4096)
    os.kill(node.daemon.pid, signal.SIGKILL)  # what systemd does then, and it starts it again
    node.daemon.wait()
    node.start()


def test_the_supervisor_has_commands_of_its_own_unit(site: Site, node: RealNode) -> None:
    with pytest.raises(Conflict, match="The daemon and the supervisor of the node n1 run already"):
        check_stopped(node.config)
    node.stop()
    with pytest.raises(Conflict, match="The supervisor of the node n1 runs already"):
        check_stopped(node.config)
    command = [sys.executable, "-I", "-m", "slapos.node.supervise"]
    for _ in range(2):  # stopped on purpose, all services end; done again, it is no error
        done = run([*command, "stop", node.cfg], timeout=60)
        assert (done.code, done.text) == (0, "")
        assert operations.service_states(node.config) is None
        check_stopped(node.config)
    for _ in range(2):
        done = run([*command, "start", node.cfg], timeout=60)
        assert (done.code, done.text) == (0, "")
    pid = open_supervisor(node.config).pid()
    assert int(Path(node.config.run_directory, "supervisor.pid").read_text()) == pid, "what PIDFile= reads"
    services = wait_for(lambda: processes(node), 20, "the services run", until=lambda now: len(now) >= 2)
    node.start()
    for title in INSTANCES:
        site.wait(title, sentence="serving")
    assert processes(node) == services
    done = run([*command, "restart", node.cfg])
    assert done.code != 0
    assert "start or stop" in done.text


def test_the_master_tells_it_too(site: Site, manager: socket.socket) -> None:
    site.master.stop()
    command = [sys.executable, "-I", "-m", "slapos.master.main", str(site.master.config.path)]
    started = start(command, launch=watched(manager, 1.5), output=str(site.directory / "master.log"))
    try:
        assert told_until(manager, "READY=1") == ["READY=1"]
        assert told_until(manager, "WATCHDOG=1")[-1] == "WATCHDOG=1"
        started.popen.terminate()
        assert "STOPPING=1" in told_until(manager, "STOPPING=1")
        assert started.popen.wait(15) == 0
    finally:
        started.popen.kill()
        started.popen.wait()
    site.master.start()
