"""Reading the metrics of a node, as monitoring does."""

from __future__ import annotations

import http.client
import socket
import time

LISTEN_SECONDS = 20.0
_STEP = 0.05


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=10.0)
        self.path = path

    def connect(self) -> None:
        deadline = time.monotonic() + LISTEN_SECONDS
        while True:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(self.timeout)
            try:
                self.sock.connect(self.path)
            except (ConnectionRefusedError, FileNotFoundError):  # a daemon that is starting
                self.sock.close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(_STEP)
            else:
                return


def scrape(path: str) -> str:
    """What is served on the Unix socket ``path``, waiting until somebody listens there.

    :class:`AssertionError` for another status than 200.
    """
    connection = _Connection(path)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        assert answer.status == 200, answer.status
        return answer.read().decode()
    finally:
        connection.close()
