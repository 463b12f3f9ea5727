"""Resource limits of a process to be started."""

from __future__ import annotations

import resource
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a child may use; None leaves what is inherited.  Seconds of processor time, bytes, counts."""

    cpu_seconds: int | None = None
    file_size: int | None = None
    open_files: int | None = None
    processes: int | None = None
    core_size: int | None = 0

    def as_pairs(self) -> tuple[tuple[int, int], ...]:
        """``(resource, value)`` for the limits that are set."""
        pairs = (
            (resource.RLIMIT_CPU, self.cpu_seconds),
            (resource.RLIMIT_FSIZE, self.file_size),
            (resource.RLIMIT_NOFILE, self.open_files),
            (resource.RLIMIT_NPROC, self.processes),
            (resource.RLIMIT_CORE, self.core_size),
        )
        return tuple((which, value) for which, value in pairs if value is not None)


def apply_limits(limits: Limits) -> None:
    """Limit the calling process.  A value above the hard limit becomes the hard limit."""
    for which, value in limits.as_pairs():
        hard = resource.getrlimit(which)[1]
        wanted = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (wanted, wanted))
