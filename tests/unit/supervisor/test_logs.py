"""Logs: no link is followed, nothing is lost that was written before, no log grows for ever."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from slapos.model.errors import MachineError
from slapos.node.supervisor.logs import open_log, rotate_if_large


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir(mode=0o755)
    return tmp_path / "logs"


def test_two_writers_append(logs: Path) -> None:
    handles = [open_log(str(logs / "a")) for _ in range(2)]
    for number, handle in enumerate(handles):
        os.write(handle, f"{number}\n".encode())
        os.close(handle)
    assert (logs / "a").read_text() == "0\n1\n"


@pytest.mark.parametrize("kind", ["link", "dangling", "fifo", "directory"])
def test_only_a_regular_file_is_a_log(logs: Path, kind: str) -> None:
    victim = logs.parent / "victim"
    if kind == "link":
        victim.write_text("untouched")
        (logs / "a").symlink_to(victim)
    elif kind == "dangling":
        (logs / "a").symlink_to(victim)
    elif kind == "fifo":
        os.mkfifo(logs / "a")
    else:
        (logs / "a").mkdir()
    with pytest.raises(MachineError) as caught:
        open_log(str(logs / "a"))
    assert caught.value.reference == "unsafe-log"
    assert victim.exists() == (kind == "link")
    assert kind != "link" or victim.read_text() == "untouched"


def test_a_directory_that_others_can_write_is_refused(logs: Path) -> None:
    logs.chmod(0o777)
    with pytest.raises(MachineError):
        open_log(str(logs / "a"))
    assert os.listdir(logs) == []


def test_rotation_keeps_the_end_and_the_writers_go_on(logs: Path) -> None:
    path = str(logs / "a")
    handle = open_log(path)
    try:
        for round_ in range(4):
            os.write(handle, b"%d" % round_ * 3000)
            assert rotate_if_large(path, 1000, 2)
        os.write(handle, b"after")
    finally:
        os.close(handle)
    assert (logs / "a").read_text() == "after"
    assert (logs / "a.1").read_text() == "3" * 1000
    assert (logs / "a.2").read_text() == "2" * 1000
    assert sorted(os.listdir(logs)) == ["a", "a.1", "a.2"]
    assert not rotate_if_large(path, 1000, 2)
    assert not rotate_if_large(str(logs / "none"))


def test_rotation_follows_no_link(logs: Path) -> None:
    victim = logs.parent / "victim"
    victim.write_text("x" * 5000)
    (logs / "a").symlink_to(victim)
    assert not rotate_if_large(str(logs / "a"), 10)
    assert victim.stat().st_size == 5000


@pytest.mark.root
def test_the_log_belongs_to_who_writes_it(logs: Path) -> None:
    os.close(open_log(str(logs / "a"), (12345, 12346)))
    facts = (logs / "a").stat()
    assert (facts.st_uid, facts.st_gid, facts.st_mode & 0o777) == (12345, 12346, 0o640)
