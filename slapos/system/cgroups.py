"""Limits on processes and memory that hold for root too, where this process may make them: the controllers of cgroups.

Source: ``cgroups(7)``; the kernel's "Control Group v2", and of version 1 "Process Number Controller" and "Memory
Resource Controller".
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_TOP = "/sys/fs/cgroup"
_PREFIX = "hyperopenx-"


@dataclass(frozen=True)
class Group:
    """``directories`` that a process joins, one in each hierarchy; none where none can be made."""

    directories: tuple[str, ...] = ()

    @property
    def out_of_memory(self) -> bool:
        """Whether the kernel killed a process in it for its memory."""
        return any(_killed(os.path.join(group, name)) for group in self.directories for name in _COUNTERS)

    def joined(self, command: Sequence[str]) -> list[str]:
        """The command line that joins it, as far as it can, and becomes ``command``."""
        if not self.directories:
            return list(command)
        files = [os.path.join(group, "cgroup.procs") for group in self.directories]
        return ["/bin/sh", "-c", _JOIN, "sh", str(len(files)), *files, *command]


_JOIN = 'n=$1; shift; while [ $n -gt 0 ]; do { echo $$ >"$1"; } 2>/dev/null; shift; n=$((n - 1)); done; exec "$@"'
_COUNTERS = ("memory.events", "memory.oom_control")


@contextlib.contextmanager
def bounded(processes: int, memory_bytes: int) -> Iterator[Group]:
    """A group of at most so many processes and threads with so much memory while the block runs, as far as it can be
    made.

    What a killed block left is removed by the next one.
    """
    memory = {"memory.limit_in_bytes": memory_bytes, "memory.memsw.limit_in_bytes": memory_bytes}
    unified = {"memory.max": memory_bytes, "memory.swap.max": 0, "memory.oom.group": 1}
    group = Group(
        (
            *_made(os.path.join(_TOP, "pids"), {"pids.max": processes}),
            *_made(_own_place("memory"), memory),
            *_made(_TOP, {"pids.max": processes, **unified}),
        )
    )
    try:
        yield group
    finally:
        for directory in group.directories:
            _remove(directory)


def _own_place(controller: str) -> str:
    """Below our own group in the hierarchy of version 1 of a controller: what bounds us bounds it too."""
    with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as stream:
        found = (line.rstrip("\n").split(":", 2) for line in stream)
        own = next((path for _, names, path in found if controller in names.split(",")), "/")
    return os.path.join(_TOP, controller, own.lstrip("/")).rstrip("/")


def _made(place: str, limits: Mapping[str, int]) -> Iterator[str]:
    """A new group in ``place`` with those of the ``limits`` that can be set there; none when that is no one."""
    for left in glob.glob(f"{glob.escape(place)}/{_PREFIX}*"):
        if not os.path.exists(f"/proc/{left.rpartition(_PREFIX)[2].partition('-')[0]}"):
            _remove(left, 1)
    group = os.path.join(place, f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}")
    try:
        os.mkdir(group)
    except OSError:
        return
    if any([_limited(os.path.join(group, name), limit) for name, limit in limits.items()]):
        yield group
    else:
        os.rmdir(group)


def _remove(group: str, times: int = 20) -> None:
    """It is busy as long as the last process of it is on its way out."""
    for _ in range(times):
        with contextlib.suppress(OSError):
            os.rmdir(group)
            return
        time.sleep(0.01)


def _limited(path: str, limit: int) -> bool:
    try:
        with open(path, "r+", encoding="ascii") as stream:
            stream.write(str(limit))
    except OSError:
        return False
    return True


def _killed(path: str) -> bool:
    try:
        with open(path, encoding="ascii") as stream:
            return re.search(r"^oom_kill [1-9]", stream.read(), re.MULTILINE) is not None
    except OSError:
        return False
