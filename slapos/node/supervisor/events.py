"""Hints from the supervisor to the node: datagrams on a socket of the node.

A datagram is lost when nobody listens, and that is right: whoever starts listening reads the state first.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket

from slapos.node.supervisor.interface import ServiceEvent, ServiceState

LOOK = ServiceEvent("", ServiceState.RUNNING, 0, None)
"""Of no service: another process changed something on this node, look at everything."""


def ask_to_look(path: str) -> None:
    """Tell the daemon that listens on ``path``, if one does."""
    sender = EventSender(path)
    sender.send(LOOK)
    sender.close()


class EventSender:
    """Never blocks, never fails."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def send(self, event: ServiceEvent) -> None:
        data = json.dumps({"name": event.name, "state": event.state, "pid": event.pid, "exit_code": event.exit_code})
        with contextlib.suppress(OSError):
            self.socket.sendto(data.encode(), self.path)

    def close(self) -> None:
        self.socket.close()


class EventReceiver:
    """The node's end.  A second one on the same path takes the place of the first."""

    def __init__(self, path: str) -> None:
        self.path = path
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        old = os.umask(0o177)
        try:
            self.socket.bind(path)
        finally:
            os.umask(old)

    def receive(self, timeout: float | None) -> ServiceEvent | None:
        """The next event; None when none came within ``timeout`` seconds, or it could not be read."""
        self.socket.settimeout(timeout)
        try:
            data = json.loads(self.socket.recv(65536))
            return ServiceEvent(data["name"], ServiceState(data["state"]), data["pid"], data["exit_code"])
        except (TimeoutError, BlockingIOError, ValueError, KeyError, TypeError):
            return None

    def close(self) -> None:
        self.socket.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)

    def __enter__(self) -> EventReceiver:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
