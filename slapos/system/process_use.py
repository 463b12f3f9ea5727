"""What the processes of the machine use, read in one pass over ``/proc``.

Source of the fields: ``proc(5)``, ``/proc/pid/stat``.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from slapos.system.proctable import DEAD_STATES, stat_line

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """``start`` is in clock ticks since boot.  ``ticks`` of processor time: its own, and ``waited_ticks`` of its
    children that ended and that it waited for.  A dead process that nobody waited for keeps its ticks."""

    pid: int
    start: int
    ppid: int
    session: int
    uid: int
    alive: bool
    ticks: int
    waited_ticks: int
    resident_bytes: int

    @property
    def key(self) -> tuple[int, int]:
        """What tells it apart for ever (within one boot)."""
        return self.pid, self.start

    @property
    def total_ticks(self) -> int:
        """Its own and those that it waited for."""
        return self.ticks + self.waited_ticks


def parse_use(text: str, uid: int) -> ProcessUse:
    """One line of ``/proc/<pid>/stat``; the name may hold spaces and parentheses."""
    fields = text[text.rindex(")") + 2 :].split()
    return ProcessUse(
        pid=int(text[: text.index(" ")]),
        start=int(fields[19]),
        ppid=int(fields[1]),
        session=int(fields[3]),
        uid=uid,
        alive=fields[0] not in DEAD_STATES,
        ticks=int(fields[11]) + int(fields[12]),
        waited_ticks=int(fields[13]) + int(fields[14]),
        resident_bytes=int(fields[21]) * PAGE_BYTES,
    )


def process_uses() -> list[ProcessUse]:
    """All processes of the machine but the threads of the kernel."""
    lines = (stat_line(int(name)) for name in os.listdir("/proc") if name.isdigit())
    uses = (parse_use(*line) for line in lines if line is not None)
    return [use for use in uses if 2 not in (use.pid, use.ppid)]


def age_seconds(use: ProcessUse) -> float:
    """Since it was started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - use.start / TICKS_PER_SECOND
