"""Check that a file system has space.

Options: ``path`` (the partition), ``threshold`` (percent of it that must be free, 5) or ``threshold-size`` (bytes, or
with a suffix K, M, G).
"""

from __future__ import annotations

import os

from slapos.model.text import size_text
from slapos.promises.checks.options import OptionError, number, text
from slapos.promises.generic import GenericPromise

_SUFFIXES = {"K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


class RunPromise(GenericPromise):
    """See the module."""

    def sense(self) -> None:
        path = text(self, "path", self.getPartitionFolder() or ".")
        stats = os.statvfs(path)
        free, total = stats.f_bavail * stats.f_frsize, stats.f_blocks * stats.f_frsize
        size = text(self, "threshold-size", "")
        needed = _bytes(size) if size else int(total * number(self, "threshold", 5) / 100)
        said = "%s: %s of %s are free"
        if free < needed:
            self.logger.error(said + ", %s were promised", path, size_text(free), size_text(total), size_text(needed))
        else:
            self.logger.info(said, path, size_text(free), size_text(total))


def _bytes(value: str) -> int:
    factor = _SUFFIXES.get(value[-1:].upper(), 1)
    try:
        return int(float(value[:-1] if factor > 1 else value) * factor)
    except ValueError:
        raise OptionError(f"the option threshold-size must be a size such as 500M, not {value!r}") from None
