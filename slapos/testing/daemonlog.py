"""What the daemon says of its actions: each before it starts, and a sentence at the end of each cycle."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from slapos.node.plan import PHRASES, Kind

_LINE = re.compile(r"(\S+ \S+) (?:INFO|WARNING|ERROR) (?:slapos\.node: )?(?:partition |release )?(\S+): (.*)")
_ACTIONS = {
    kind: re.compile("".join((re.escape(phrase).replace(r"\{\}", r"\S+"), ": ."))) for kind, phrase in PHRASES.items()
}


@dataclass(frozen=True)
class Line:
    """``kind`` is None for a sentence: it ends the cycle of ``subject``.  ``at``: UTC epoch seconds."""

    subject: str
    text: str
    kind: Kind | None
    at: float = 0.0


def parse_line(text: str) -> Line | None:
    """None for what is about no subject."""
    match = _LINE.fullmatch(text)
    if match is None:
        return None
    date, subject, said = match.groups()
    kind = next((kind for kind, pattern in _ACTIONS.items() if pattern.match(said)), None)
    return Line(subject, said, kind, datetime.strptime(date, "%Y-%m-%d %H:%M:%S,%f").timestamp())


class DaemonLog:
    """The log of a daemon; places in it are counted in bytes."""

    def __init__(self, path: str) -> None:
        self.path = path

    def end(self) -> int:
        """The place where the next line begins."""
        with open(self.path, "rb") as stream:
            return stream.seek(0, 2)

    def lines(self, since: int) -> list[Line]:
        """Those that are whole."""
        with open(self.path, "rb") as stream:
            stream.seek(since)
            text = stream.read().decode("utf-8", "replace")
        found = (parse_line(line) for line in text.split("\n")[:-1])
        return [line for line in found if line is not None]

    def open_actions(self, since: int) -> dict[str, Line]:
        """By subject, the action that was begun last and is not known to have ended."""
        last = {line.subject: line for line in self.lines(since)}
        return {subject: line for subject, line in last.items() if line.kind is not None}
