"""What a daemon tells the service manager that started it: that it is ready, alive, about to end.

Source: ``sd_notify(3)``, ``sd_watchdog_enabled(3)``: datagrams of ``NAME=value`` lines to the socket that
``NOTIFY_SOCKET`` names.  Without that variable nobody asked, and nothing is sent.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping

#: Exists where systemd is the first process: sd_booted(3).
BOOTED = "/run/systemd/system"


class Notifier:
    """Never blocks, never fails: a service manager that does not listen is no reason to stop serving."""

    def __init__(
        self,
        environment: Mapping[str, str] = os.environ,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._monotonic = monotonic
        self._pinged = 0.0
        self._status = ""
        self.interval = _watchdog_seconds(environment) / 3

    @property
    def watched(self) -> bool:
        """Whether the service manager ends a process that is silent for three times ``interval`` seconds."""
        return self.interval > 0

    def ready(self) -> None:
        """It serves."""
        self._send("READY=1")

    def stopping(self) -> None:
        """It ends."""
        self._send("STOPPING=1")

    def status(self, sentence: str) -> None:
        """What it does, for ``systemctl status``; sent when it is another one."""
        if sentence != self._status:
            self._status = sentence
            self._send("STATUS=" + sentence.replace("\n", " "))

    def alive(self) -> None:
        """It makes progress; sent as often as is needed, however often this is called."""
        now = self._monotonic()
        if self.watched and now >= self._pinged + self.interval:
            self._pinged = now
            self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender,
        ):
            sender.setblocking(False)
            sender.sendto(text.encode(), self._address)


def _address(text: str) -> str:
    """A path, or an abstract name, which the kernel begins with NUL; empty for what is neither."""
    if text.startswith("@"):
        return "\0" + text[1:]
    return text if text.startswith("/") else ""


def _watchdog_seconds(environment: Mapping[str, str]) -> float:
    """0: nobody watches this process.  ``WATCHDOG_PID`` is absent, or ours: it may be inherited by chance."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    try:
        return max(0, int(environment.get("WATCHDOG_USEC", "0"))) / 1e6
    except ValueError:
        return 0.0


def is_booted() -> bool:
    """Whether systemd runs this machine."""
    return os.path.isdir(BOOTED)
