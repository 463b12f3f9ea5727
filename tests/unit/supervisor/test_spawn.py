"""A service gets what its spec says, and does not run before it is on record."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from slapos.node.supervisor.events import EventReceiver, EventSender
from slapos.node.supervisor.interface import ServiceEvent, ServiceSpec, ServiceState
from slapos.node.supervisor.spawn import MARK, spawn
from slapos.system.proctable import find_process

REPORT = """
import json, os, signal, sys
state = {"argv": sys.argv[1:], "env": dict(os.environ), "cwd": os.getcwd(), "umask": os.umask(0), "uid": os.getuid(),
         "groups": os.getgroups(), "sid": os.getsid(0) == os.getpid(),
         "fds": sorted(map(int, os.listdir("/proc/self/fd")))}
print(json.dumps(state))
"""


def make_spec(tmp_path: Path, **more: object) -> ServiceSpec:
    command = (sys.executable, "-I", "-S", "-c", REPORT, *more.pop("arguments", ()))
    values = {"partition": "p", "name": "a", "command": command, "directory": str(tmp_path), "log": f"{tmp_path}/log"}
    return ServiceSpec(**{**values, **more})


def finish(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_everything_is_as_the_spec_says(tmp_path: Path) -> None:
    hostile = ("${a:b}", "%(x)s", "a b", "new\nline", "'\"", "", "é😀", ";|&$()")
    spec = make_spec(tmp_path, arguments=hostile, environment={"A": "b c\n"}, umask=0o077)
    pid, start = spawn(spec, "mark", lambda pid, start: None)
    assert finish(pid) == 0, (tmp_path / "log").read_text()
    state = json.loads((tmp_path / "log").read_text())
    assert state["argv"] == list(hostile)
    assert {k: v for k, v in state["env"].items() if k != "LC_CTYPE"} == {"A": "b c\n", MARK: "mark"}
    assert (state["cwd"], state["umask"], state["sid"]) == (str(tmp_path), 0o077, True)
    assert state["fds"] == [0, 1, 2, 3], "3 is the listing itself"
    assert start > 0


def test_it_does_not_run_when_it_cannot_be_recorded(tmp_path: Path) -> None:
    pids = []

    def refuse(pid: int, start: int) -> None:
        pids.append(pid)
        time.sleep(0.1)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        spawn(make_spec(tmp_path), "mark", refuse)
    assert finish(pids[0]) == 127
    assert (tmp_path / "log").read_text() == ""


def test_it_does_not_run_when_the_supervisor_dies_before_it_is_recorded(tmp_path: Path) -> None:
    supervisor = os.fork()
    if supervisor == 0:
        spawn(make_spec(tmp_path), "mark", lambda pid, start: os.kill(os.getpid(), signal.SIGKILL))
    assert finish(supervisor) == -signal.SIGKILL
    time.sleep(0.3)
    assert (tmp_path / "log").read_text() == ""


def test_a_signal_before_it_runs_is_not_lost(tmp_path: Path) -> None:
    """The supervisor's own handlers would swallow it."""
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        pid, _ = spawn(make_spec(tmp_path), "mark", lambda pid, start: os.killpg(pid, signal.SIGTERM))
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert finish(pid) == -signal.SIGTERM
    assert (tmp_path / "log").read_text() == ""


def test_a_program_that_cannot_be_executed_says_so_in_its_log(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, command=("/nonexistent/nginx",))
    pid, _ = spawn(spec, "mark", lambda pid, start: None)
    assert finish(pid) == 127
    assert (
        tmp_path / "log"
    ).read_text() == "p:a was not started: [Errno 2] No such file or directory: '/nonexistent/nginx'\n"


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    pid, _ = spawn(make_spec(tmp_path), "mark", lambda pid, start: None)
    finish(pid)
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.root
def test_privileges_are_dropped_for_good(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    spec = make_spec(tmp_path, user="nobody", directory="/")
    pid, _ = spawn(spec, "mark", lambda pid, start: None)
    assert find_process(pid) is not None
    assert finish(pid) == 0, (tmp_path / "log").read_text()
    state = json.loads((tmp_path / "log").read_text())
    assert state["uid"] == 65534
    assert 0 not in state["groups"]


def test_events_arrive_and_nobody_waits_for_a_listener(tmp_path: Path) -> None:
    path = str(tmp_path / "events")
    sender = EventSender(path)
    event = ServiceEvent("p:a", ServiceState.EXITED, 0, 3)
    try:
        sender.send(event)
        with EventReceiver(path) as receiver:
            assert receiver.receive(0.05) is None
            sender.send(event)
            assert receiver.receive(1.0) == event
            for _ in range(5000):
                sender.send(event)
            assert os.stat(path).st_mode & 0o777 == 0o600
        assert not os.path.exists(path)
    finally:
        sender.close()
