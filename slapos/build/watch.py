"""Waits for a command of a build and ends it when it takes more than it may: time, processes, memory, disk.

No limit of the kernel says that a program hangs, and a quota of the disk needs rights.  So somebody looks, twenty times
a second, at three numbers that cost nothing (tasks, free memory and free disk of the machine), and only when one of
them moved far does he count what belongs to this command.  A command that ended by a limit leaves no process.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from slapos.system.processes import Started
from slapos.system.proctable import (
    children_of,
    cpu_ticks,
    end_tree,
    find_process,
    process_table,
    send_signal,
    tree,
    wait_gone,
)

Reason = Literal["", "time", "idle", "processes", "memory", "disk", "disk-full"]

_GLANCE_SECONDS = 0.05
_PULSE_SECONDS = 5.0
_END_SECONDS = 60.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, kw_only=True)
class BuildLimits:
    """Of one command of a build: ``seconds`` in all; ``idle_seconds`` without a line in the log or processor time;
    ``processes`` and threads at once; ``memory_bytes`` of all of them, 0 for most of what is free when it begins;
    ``disk_bytes`` in its work directory; ``free_bytes`` that stay on the disk."""

    seconds: float = 4 * 3600
    idle_seconds: float = 900
    processes: int = max(1000, 16 * (os.cpu_count() or 1))
    memory_bytes: int = 0
    disk_bytes: int = 50 * 1024**3
    free_bytes: int = 256 * 1024**2

    def beginning(self) -> BuildLimits:
        """Those of a command that begins now: ``memory_bytes`` is a number."""
        return self if self.memory_bytes else replace(self, memory_bytes=_free_memory() // 8 * 7)


@dataclass(frozen=True)
class Ending:
    """``code`` as :func:`subprocess.Popen.wait` gives it; ``reason``: the limit that ended it, ``amount`` of it."""

    code: int
    reason: Reason = ""
    amount: float = 0.0


@dataclass
class Watch:
    """Watches one command, whose output goes to ``log`` and whose files lie in ``directory``; ``confined`` when it
    has process numbers of its own.  ``limits`` are those of :meth:`BuildLimits.beginning`."""

    started: Started
    limits: BuildLimits
    log: str
    directory: str
    confined: bool = False
    begin: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.tasks_before = _tasks_of_machine()
        self.free_before = _free_bytes(self.directory)
        self.disk_allowed = self.limits.disk_bytes
        self.memory_before = _free_memory()
        self.memory_allowed = self.limits.memory_bytes
        self.pulse: tuple[int, int] = (0, 0)
        self.pulse_at = self.looked_at = self.begin

    def wait(self) -> Ending:
        """Until it ended by itself or by a limit; when the waiting is interrupted, its tree ends first."""
        try:
            while not self.started.ends_within(_GLANCE_SECONDS):
                reason, amount = self._excess()
                if reason:
                    return Ending(self._end(), reason, amount)
        except BaseException:
            self._end()
            raise
        return Ending(self.started.wait())

    def _end(self) -> int:
        """With the first process of a sandbox the kernel ends all others, however fast these multiply."""
        if self.confined:
            first = children_of(self.started.pid)
            for process in first:
                send_signal(*process.key, signal.SIGKILL)
            wait_gone([process.key for process in first], _END_SECONDS)
        end_tree(self.started.pid, 0.0)
        return self.started.wait()

    def _excess(self) -> tuple[Reason, float]:
        checks: tuple[Callable[[], tuple[Reason, float]], ...]
        checks = (self._memory, self._disk, self._processes, self._time, self._idle)
        return next(filter(lambda found: found[0], (check() for check in checks)), ("", 0.0))

    def _time(self) -> tuple[Reason, float]:
        seconds = time.monotonic() - self.begin
        return ("time", seconds) if seconds > self.limits.seconds else ("", 0.0)

    def _idle(self) -> tuple[Reason, float]:
        """Neither its log grows nor does any of its processes use the processor."""
        now = time.monotonic()
        if now - self.looked_at >= min(_PULSE_SECONDS, self.limits.idle_seconds / 4):
            self.looked_at = now
            ticks = sum(cpu_ticks(process.pid) for process in tree(process_table(), self.started.pid))
            pulse = (os.path.getsize(self.log), ticks)
            if pulse != self.pulse:
                self.pulse, self.pulse_at = pulse, now
        seconds = now - self.pulse_at
        return ("idle", seconds) if seconds > self.limits.idle_seconds else ("", 0.0)

    def _processes(self) -> tuple[Reason, float]:
        if _tasks_of_machine() - self.tasks_before <= self.limits.processes:
            return "", 0.0
        count = _count(self.started.pid, self.limits.processes)
        return ("processes", count) if count > self.limits.processes else ("", 0.0)

    def _memory(self) -> tuple[Reason, float]:
        taken = self.memory_before - _free_memory()
        if taken > self.memory_allowed:
            used = _used_memory(self.started.pid)
            if used > self.limits.memory_bytes:
                return "memory", used
            self.memory_allowed = taken + self.limits.memory_bytes - used  # others take some as well
        return "", 0.0

    def _disk(self) -> tuple[Reason, float]:
        free = _free_bytes(self.directory)
        if free < min(self.limits.free_bytes, self.free_before // 2):
            return "disk-full", free
        if self.free_before - free > self.disk_allowed:
            used = _used_bytes(self.directory)
            if used > self.limits.disk_bytes:
                return "disk", used
            self.disk_allowed = self.free_before - free + self.limits.disk_bytes - used  # others write as well
        return "", 0.0


def _tasks_of_machine() -> int:
    """Processes and threads; the fourth field of ``/proc/loadavg``, see proc(5)."""
    with open("/proc/loadavg", encoding="ascii") as stream:
        return int(stream.read().split()[3].partition("/")[2])


def _count(leader: int, enough: int) -> int:
    """Processes of the session and tree of ``leader``; no further than ``enough``, for they multiply meanwhile."""
    found = 0
    for name in os.listdir("/proc"):
        process = find_process(int(name)) if name.isdigit() else None
        found += process is not None and process.session == leader and process.alive
        if found > enough:
            return found
    return len(tree(process_table(), leader))


def _free_memory() -> int:
    """Bytes that programs can still take; ``MemAvailable`` of ``/proc/meminfo``, see proc(5)."""
    with open("/proc/meminfo", encoding="ascii") as stream:
        return next(int(line.split()[1]) * 1024 for line in stream if line.startswith("MemAvailable:"))


def _used_memory(leader: int) -> int:
    """Of the session and tree of ``leader``, without what is a file's; what two processes share counts twice."""
    total = 0
    for process in tree(process_table(), leader):
        try:
            with open(f"/proc/{process.pid}/statm", encoding="ascii") as stream:
                resident, shared = stream.read().split()[1:3]
        except OSError:
            continue
        total += (int(resident) - int(shared)) * _PAGE_BYTES
    return total


def _free_bytes(directory: str) -> int:
    facts = os.statvfs(directory)
    return facts.f_bavail * facts.f_frsize


def _used_bytes(directory: str) -> int:
    """What all below takes on the disk; what goes meanwhile counts nothing."""
    total = 0
    for place, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_blocks * 512
            except OSError:
                continue
    return total
