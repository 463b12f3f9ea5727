"""Words of profiles: where an option was written, what a part fetches."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """The file (path or URL) and line, counted from 1, that gave an option its last value."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True)
class Source:
    """A file to fetch: ``url``, then ``mirrors`` in order; bytes are right when one of the ``sha256`` matches."""

    url: str
    sha256: tuple[str, ...]
    mirrors: tuple[str, ...] = ()
    filename: str = ""
