"""Server-sent events (WHATWG HTML, "Server-sent events"): only what the master sends.

The stream says *look at the subject*; what changed is read by a call.  So nothing is lost when events are skipped or
repeated, and after a ``reset`` the reader simply looks at everything.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

HEARTBEAT_SECONDS = 15.0  # of the server
SILENCE_SECONDS = 40.0  # then the connection counts as dead


@dataclass(frozen=True)
class ServerEvent:
    """One event: ``number`` is the generation of the master, ``kind`` ``changed`` or ``reset``."""

    number: int
    kind: str
    data: dict[str, Any]


def parse(chunks: Iterable[bytes]) -> Iterator[ServerEvent | None]:
    """Events of a byte stream; None for a heartbeat (a comment line), so that the reader wakes up."""
    pending = b""
    fields: dict[str, str] = {}
    for chunk in chunks:
        pending += chunk
        *lines, pending = pending.split(b"\n")
        for raw in lines:
            line = raw.rstrip(b"\r").decode("utf-8", "replace")
            if line.startswith(":"):
                yield None
            elif line:
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")
            elif fields:
                yield _event(fields)
                fields = {}


def _event(fields: dict[str, str]) -> ServerEvent:
    number = fields.get("id", "0")
    try:
        data = json.loads(fields.get("data", "{}"))
    except ValueError:
        data = {}
    return ServerEvent(
        number=int(number) if number.isdecimal() else 0,
        kind=fields.get("event", "changed"),
        data=data if isinstance(data, dict) else {},
    )
