"""Paths of a site, and its supervisor, run for real."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from slapos.cli.site import supervise
from slapos.cli.site.layout import Layout
from slapos.cli.site.supervise import SiteSupervisor, check_private
from slapos.model.errors import MachineError
from slapos.system.proctable import find_process, is_alive
from slapos.system.short_paths import run_directory


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SiteSupervisor]:
    """Its two programs are a shell that sleeps."""
    fake = tmp_path / "programs %x"
    fake.mkdir()
    for name in ("slapos", "slapgrid"):
        (fake / name).write_text("#!/bin/sh\nexec sleep 300\n")
        (fake / name).chmod(0o755)
    monkeypatch.setattr(supervise, "program", lambda name: str(fake / name))
    state = tmp_path / "state %y"
    state.mkdir()
    made = SiteSupervisor(layout=Layout(state=str(state), catalogue="/nowhere"))
    made.write_config()
    yield made
    made.shut_down()


def running(supervisor: SiteSupervisor, name: str) -> int:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        status = supervisor.statuses().get(name)
        if status is not None and status.running:
            return status.pid
        time.sleep(0.05)
    raise AssertionError(f"{name} does not run: {supervisor.statuses()}")


def test_programs_run_and_end(supervisor: SiteSupervisor) -> None:
    assert supervisor.launch()
    assert not supervisor.launch()
    assert supervisor.start_program("master")
    assert not supervisor.start_program("master")
    assert os.path.exists(os.path.join(supervisor.layout.log, "master.log"))
    process = find_process(running(supervisor, "master"))
    assert process is not None
    supervisor.shut_down()
    assert not is_alive(process.pid, process.start)
    assert supervisor.survivors() == []
    assert supervisor.statuses() == {}


def test_killed_supervisor_leaves_no_second_copy(supervisor: SiteSupervisor) -> None:
    supervisor.launch()
    supervisor.start_program("master")
    survivor = running(supervisor, "master")
    process = find_process(survivor)
    assert process is not None
    os.kill(process.ppid, 9)
    while supervisor.is_running():
        time.sleep(0.01)
    assert supervisor.launch()
    assert not is_alive(survivor, process.start)
    supervisor.start_program("master")
    assert running(supervisor, "master") != survivor


def test_nothing_is_written_twice(supervisor: SiteSupervisor) -> None:
    before = os.stat(supervisor.config).st_mtime_ns
    supervisor.write_config()
    assert os.stat(supervisor.config).st_mtime_ns == before


def test_sockets_fit_below_a_long_state_directory(tmp_path: Path) -> None:
    short = "/srv/hyperopenx"
    assert run_directory(short, "site") == "/srv/hyperopenx/run/site"
    deep = str(tmp_path / ("d" * 100))
    made = run_directory(deep, "site")
    assert made == run_directory(deep, "site") != run_directory(deep, "local")
    assert len(made) <= 60


def test_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(MachineError) as caught:
        check_private(str(tmp_path))
    assert caught.value.reference == "run-directory-not-private"


def test_programs_are_those_beside_our_python() -> None:
    assert supervise.program("slapos") == os.path.join(os.path.dirname(sys.executable), "slapos")
