"""Space on a file system."""

from __future__ import annotations

import os

from slapos.model.errors import MachineError
from slapos.model.text import size_text


def free_space(path: str) -> int:
    """Bytes that a process without privileges may still write on the file system of ``path``."""
    stats = os.statvfs(path)
    return stats.f_bavail * stats.f_frsize


def require_free_space(path: str, needed: int) -> int:
    """The free bytes; :class:`MachineError` ``disk-full`` when they are less than ``needed``."""
    free = free_space(path)
    if free < needed:
        raise MachineError(
            f"{path}: {size_text(free)} are free, {size_text(needed)} are needed.",
            reference="disk-full",
            context={"path": path, "free": free, "needed": needed},
            hint="Free some space on that file system, or lower the minimum in the node's configuration.",
        )
    return free
