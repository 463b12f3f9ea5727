"""What the linter says of one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Finding:
    """``path`` relative to the catalogue (or absolute, of a built file), ``line`` counted from 1, 0 for the whole file;
    ``check`` is the name of the check that found it."""

    path: str
    line: int
    check: str
    sentence: str

    @property
    def text(self) -> str:
        """``path:line: sentence [check]``."""
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.sentence} [{self.check}]"
