"""Requirements files of pip with hashes: their lines, and what each pins.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

CONTINUED = "\\"
_PINNED = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(\[[^\]]*\])?\s*==\s*(?P<version>[^\s;*]+)\s*(?P<marker>;[^#]*?)?"
    r"(?P<hashes>(\s+--hash=sha256:[0-9a-f]{64})+)"
)


@dataclass(frozen=True)
class Pin:
    """One exact distribution: ``marker`` is empty or begins with ``;``, ``hashes`` are sha256 in hex, accepted each."""

    name: str
    version: str
    marker: str = ""
    hashes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The name as indexes compare it."""
        return normalised(self.name)

    @property
    def text(self) -> str:
        """The lines of a file, continued by a backslash."""
        begin = f"{self.name}=={self.version}{f' {self.marker}' if self.marker else ''}"
        return f" {CONTINUED}\n    ".join([begin, *(f"--hash=sha256:{digest}" for digest in self.hashes)])


def read_pin(line: str) -> Pin | None:
    """What a logical line pins; None when it leaves open which bytes are meant."""
    found = _PINNED.fullmatch(line)
    if found is None:
        return None
    hashes = tuple(word.rpartition(":")[2] for word in found["hashes"].split())
    return Pin(found["name"], found["version"], (found["marker"] or "").strip(), hashes)


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Number and text of each requirement: continued lines joined, comments left out."""
    begin, pending = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        begin = begin if pending else number
        plain = re.sub(r"(^|\s)#.*$", "", line).strip()
        pending = f"{pending} {plain.rstrip(CONTINUED)}".strip()
        if not plain.endswith(CONTINUED):
            if pending:
                yield begin, pending
            pending = ""
    if pending:
        yield begin, pending


def normalised(name: str) -> str:
    """``Foo._bar`` → ``foo-bar``: PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()
