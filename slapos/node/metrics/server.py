"""Answers ``GET /metrics`` on a Unix socket or a port: for monitoring on this machine.

A port can be reached by every user of the machine, so a client gets little: four connections at once, five seconds of
silence, an answer made at most once a second.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler

from slapos.model.openmetrics import CONTENT_TYPE
from slapos.node.metrics.address import MetricsAddress

_CONNECTIONS = 4
_SILENCE_SECONDS = 5.0
_FRESH_SECONDS = 1.0
_PATHS = ("/", "/metrics")

log = logging.getLogger("slapos.node")


class _Handler(BaseHTTPRequestHandler):
    server: MetricsServer
    timeout = _SILENCE_SECONDS

    def do_GET(self) -> None:
        if self.path not in _PATHS:
            self.send_error(HTTPStatus.NOT_FOUND, explain="There is /metrics.")
            return
        text = self.server.answer().encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        """A scrape is no news."""

    def version_string(self) -> str:
        return "hyperopenx"


class MetricsServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Bound on creation; :meth:`handle_request` serves one client, or returns after ``timeout`` seconds."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *, address: MetricsAddress, write: Callable[[], str], timeout: float) -> None:
        self.address_family = socket.AF_UNIX if address.path else _family(address.host)
        self.path = address.path
        self.timeout = timeout
        self._write = write
        self._lock = threading.Lock()
        self._fresh: tuple[float, str] = (0.0, "")
        self._slots = threading.BoundedSemaphore(_CONNECTIONS)
        super().__init__((address.host, address.port), _Handler)

    def server_bind(self) -> None:
        """The socket has its mode before it has its name: nobody else ever reaches it."""
        if not self.path:
            super().server_bind()
            return
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        temporary = f"{self.path}.{secrets.token_hex(2)}"
        self.socket.bind(temporary)
        os.chmod(temporary, 0o600)
        os.rename(temporary, self.path)

    def server_close(self) -> None:
        super().server_close()
        if self.path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        if self._slots.acquire(timeout=_SILENCE_SECONDS):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away, or stayed silent, is no news."""
        if not isinstance(sys.exc_info()[1], OSError):
            log.exception("metrics: a defect")

    def answer(self) -> str:
        """The exposition of this second."""
        with self._lock:
            made, text = self._fresh
            if time.monotonic() - made > _FRESH_SECONDS or not text:
                text = self._write()
                self._fresh = (time.monotonic(), text)
            return text


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
