"""Calls in both directions over one socket: one JSON document per line.

Whoever waits for an answer serves the calls of the other side meanwhile: a recipe that reads an option may make the
engine create another recipe, which may live in the same interpreter.  Answers come in reverse order of the calls, so
they need no numbers.  Standard library only: the interpreter of foreign recipes uses it too.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

Serve = Callable[[str, list[Any]], dict[str, Any]]
"""Does what a call asks: ``{"value": …}``, or ``{"failure": …}`` when that failed."""


class Gone(Exception):
    """The other side ended."""


class Channel:
    """One end."""

    def __init__(self, connection: socket.socket) -> None:
        self._stream = connection.makefile("rwb")

    def call(self, method: str, *arguments: Any, serve: Serve) -> dict[str, Any]:
        """What the other side answers: ``{"value": …}`` or ``{"failure": …}``; :class:`Gone`."""
        self._send({"call": method, "arguments": arguments})
        while True:
            message = self._receive()
            if "call" not in message:
                return message
            self._send(serve(message["call"], message["arguments"]))

    def serve(self, serve: Serve) -> None:
        """Answer calls until the other side ends."""
        try:
            while True:
                message = self._receive()
                self._send(serve(message["call"], message["arguments"]))
        except Gone:
            return

    def close(self) -> None:
        """The other side sees :class:`Gone`."""
        try:
            self._stream.close()
        except OSError:
            return

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._stream.write(json.dumps(message).encode() + b"\n")
            self._stream.flush()
        except OSError as error:
            raise Gone from error

    def _receive(self) -> dict[str, Any]:
        try:
            line = self._stream.readline()
        except OSError as error:
            raise Gone from error
        if not line.endswith(b"\n"):
            raise Gone
        message: dict[str, Any] = json.loads(line)
        return message
