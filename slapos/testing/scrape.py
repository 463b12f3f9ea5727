"""Reading the metrics of a node, as monitoring does."""

from __future__ import annotations

import http.client
import socket


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=10.0)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def scrape(path: str) -> str:
    """What is served on the Unix socket ``path``; :class:`AssertionError` for another status than 200."""
    connection = _Connection(path)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        assert answer.status == 200, answer.status
        return answer.read().decode()
    finally:
        connection.close()
