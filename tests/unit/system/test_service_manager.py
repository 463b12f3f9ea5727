"""What a service manager is told, received on a real socket of its kind."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from slapos.system.clock import ManualClock
from slapos.system.service_manager import Notifier


@contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.setblocking(False)
        yield manager


def told(manager: socket.socket) -> list[str]:
    found = []
    while True:
        try:
            found.append(manager.recv(4096).decode())
        except BlockingIOError:
            return found


@pytest.mark.parametrize("abstract", [False, True])
def test_ready_status_and_end(tmp_path: Path, abstract: bool) -> None:
    name = f"@hyperopenx-{secrets.token_hex(8)}" if abstract else str(tmp_path / "notify")
    with listening(name.replace("@", "\0")) as manager:
        notifier = Notifier({"NOTIFY_SOCKET": name})
        notifier.ready()
        notifier.status("two\nlines")
        notifier.status("two\nlines")
        notifier.alive()
        notifier.stopping()
        assert told(manager) == ["READY=1", "STATUS=two lines", "STOPPING=1"]
        assert not notifier.watched


def test_alive_is_sent_three_times_in_the_time_of_the_watchdog(tmp_path: Path) -> None:
    clock = ManualClock()
    environment = {
        "NOTIFY_SOCKET": str(tmp_path / "n"),
        "WATCHDOG_USEC": "30000000",
        "WATCHDOG_PID": str(os.getpid()),
    }
    with listening(environment["NOTIFY_SOCKET"]) as manager:
        notifier = Notifier(environment, monotonic=clock.monotonic)
        assert (notifier.watched, notifier.interval) == (True, 10.0)
        for _ in range(300):
            notifier.alive()
            clock.sleep(0.1)
        assert told(manager) == ["WATCHDOG=1"] * 3


@pytest.mark.parametrize("more", [{"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "-5"}])
def test_a_watchdog_of_somebody_else_is_not_ours(more: dict[str, str]) -> None:
    assert not Notifier({"WATCHDOG_USEC": "30000000"} | more).watched


@pytest.mark.parametrize("address", ["", "relative", "/nowhere/notify", "@hyperopenx-nobody"])
def test_nobody_listens_and_nothing_fails(address: str) -> None:
    Notifier({"NOTIFY_SOCKET": address}).ready()


def test_a_manager_that_does_not_read_blocks_nobody(tmp_path: Path) -> None:
    with listening(str(tmp_path / "n")):
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "n")})
        for index in range(2000):
            notifier.status(str(index))
