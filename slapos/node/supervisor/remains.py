"""Processes that a service left behind, found by its session or by the mark in their environment, and their end."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from slapos.node.supervisor.spawn import MARK
from slapos.system.proctable import Process, environment_of, find_process, is_alive, process_table, send_signal


@dataclass(frozen=True)
class Snapshot:
    """The processes alive at one moment (``taken``: monotonic seconds before the look), by session and by mark."""

    by_session: Mapping[int, tuple[Process, ...]]
    by_mark: Mapping[str, tuple[Process, ...]]
    taken: float


class Looker:
    """Looks at the processes of the machine; ``prefix``: only marks that begin with it, those of this node, are kept.

    A mark is inherited and read once for each process.  Our own children are read again each time: between fork and
    exec they have our environment.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.marks: dict[tuple[int, int], str] = {}

    def look(self) -> Snapshot:
        taken, own = time.monotonic(), os.getpid()
        by_session: dict[int, list[Process]] = {}
        by_mark: dict[str, list[Process]] = {}
        marks: dict[tuple[int, int], str] = {}
        for process in process_table().values():
            if not process.alive or 2 in {process.pid, process.ppid}:  # threads of the kernel
                continue
            by_session.setdefault(process.session, []).append(process)
            mark = self.marks.get(process.key)
            if mark is None or process.ppid == own:
                mark = environment_of(process.pid).get(MARK, "")
            marks[process.key] = mark
            if mark.startswith(self.prefix):
                by_mark.setdefault(mark, []).append(process)
        self.marks = marks
        return _snapshot(by_session, by_mark, taken)


def _snapshot(sessions: dict[int, list[Process]], marks: dict[str, list[Process]], taken: float) -> Snapshot:
    return Snapshot(
        {key: tuple(value) for key, value in sessions.items()},
        {key: tuple(value) for key, value in marks.items()},
        taken,
    )


def remains_of(snapshot: Snapshot, mark: str, leader: tuple[int, int] | None) -> tuple[Process, ...]:
    """Alive processes of the service with ``mark`` whose main process ``leader`` (pid, start) was.

    A session belongs to it unless its number was given to a new process meanwhile, which the kernel does only after
    the last member of the old session went.
    """
    found = {process.key: process for process in snapshot.by_mark.get(mark, ())}
    if leader is not None:
        now = find_process(leader[0])
        if now is None or now.start == leader[1]:
            found.update({process.key: process for process in snapshot.by_session.get(leader[0], ())})
    return tuple(found.values())


@dataclass
class Ending:
    """Processes being ended: TERM when added, KILL from the moment ``kill_at`` on (monotonic seconds)."""

    kill_at: float
    keys: set[tuple[int, int]] = field(default_factory=set)
    killed: set[tuple[int, int]] = field(default_factory=set)

    def add(self, processes: Iterable[Process]) -> None:
        """Those not known yet are told to end."""
        for process in processes:
            if process.key not in self.keys:
                self.keys.add(process.key)
                _tell(process.key, signal.SIGTERM)

    def step(self, now: float) -> bool:
        """Kill what had its time; whether nothing known is left."""
        self.keys = {key for key in self.keys if is_alive(*key)}
        if now >= self.kill_at:
            for key in self.keys:
                _tell(key, signal.SIGKILL)
        return not self.keys


def _tell(key: tuple[int, int], number: int) -> None:
    with contextlib.suppress(PermissionError):
        send_signal(*key, number)
