"""A transport that plays a script: what a client does when answers are late, broken or refusals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from slapos.slap.transport import Request


@dataclass
class Canned:
    """One answer, its body in small pieces."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def chunks(self) -> Iterator[bytes]:
        """Seven bytes at a time."""
        for start in range(0, len(self.body), 7):
            yield self.body[start : start + 7]

    def close(self) -> None:
        """Nothing to close."""


class Scripted:
    """Gives the next answer, or raises it; the last one again and again.  ``seen`` keeps the requests."""

    def __init__(self, *answers: Canned | Exception) -> None:
        self.answers = list(answers)
        self.seen: list[Request] = []

    def send(self, request: Request) -> Canned:
        """The next line of the script."""
        self.seen.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer
