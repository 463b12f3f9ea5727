"""Processor time and memory of the partitions, kept over restarts of the daemon.

A process is seen from time to time only.  What a partition used since the last look is what its processes have more
than then, plus what is known of those that went without being waited for by another process of the partition (the time
of one that was waited for is in its parent's).  So only the time after the last look of a process that the supervisor
waits for is lost.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from slapos.node.config import NodeConfig
from slapos.node.supervisor.spawn import MARK
from slapos.system.process_use import TICKS_PER_SECOND, ProcessUse, age_seconds, process_uses
from slapos.system.proctable import boot_id, environment_of
from slapos.system.users import find_identity

_SETTLED_SECONDS = 10.0  # a process this old does not turn into a service any more

Key = tuple[int, int]
Owners = Callable[[Iterable[ProcessUse]], Mapping[Key, str]]


class Seen(NamedTuple):
    """A process at the last look."""

    partition: str
    ppid: int
    ticks: int


@dataclass(frozen=True)
class PartitionUse:
    """``cpu_ticks`` since the partition was first seen; the rest is of now."""

    processes: int = 0
    resident_bytes: int = 0
    cpu_ticks: int = 0

    @property
    def cpu_seconds(self) -> float:
        """Of processor time."""
        return self.cpu_ticks / TICKS_PER_SECOND


@dataclass
class Ledger:
    """Ticks by partition, and the processes seen last.  ``boot``: in which they mean anything."""

    boot: str = ""
    ticks: Counter[str] = field(default_factory=Counter)
    seen: dict[Key, Seen] = field(default_factory=dict)

    def enter(self, uses: Iterable[ProcessUse], owners: Mapping[Key, str], boot: str) -> None:
        """Take over a look."""
        before = self.seen if boot == self.boot else {}
        now = {use.key: Seen(owners[use.key], use.ppid, use.total_ticks) for use in uses if use.key in owners}
        used: Counter[str] = Counter()
        for key, seen in now.items():
            used[seen.partition] += seen.ticks - (before[key].ticks if key in before else 0)
        gone = {key[0]: seen for key, seen in before.items() if key not in now}
        alive = {key[0] for key in now}
        for seen in gone.values():
            if _was_waited_for(seen, gone, alive):
                used[seen.partition] -= seen.ticks
        self.ticks.update({partition: ticks for partition, ticks in used.items() if ticks > 0})
        self.boot, self.seen = boot, now

    def as_data(self) -> dict[str, Any]:
        """JSON-compatible; :func:`ledger_from_data` is the inverse."""
        seen = [[*key, *item] for key, item in self.seen.items()]
        return {"boot": self.boot, "ticks": dict(self.ticks), "seen": seen}


def _was_waited_for(seen: Seen, gone: Mapping[int, Seen], alive: set[int]) -> bool:
    """Whether the nearest ancestor that did not go belongs to the partition: its waited time then holds this one's."""
    ppid, steps = seen.ppid, 0
    while ppid in gone and steps < len(gone):
        ppid, steps = gone[ppid].ppid, steps + 1
    return ppid in alive


def ledger_from_data(data: Mapping[str, Any]) -> Ledger:
    """What :meth:`Ledger.as_data` gave; an empty one for anything else."""
    try:
        seen = {(row[0], row[1]): Seen(*row[2:]) for row in data["seen"]}
        return Ledger(str(data["boot"]), Counter(data["ticks"]), seen)
    except (TypeError, KeyError, ValueError, IndexError):
        return Ledger()


class UserOwners:
    """Each partition has a user of its own, which may be made later than this."""

    def __init__(self, config: NodeConfig) -> None:
        self.missing = {name: config.partition_user(name) or "" for name in config.partition_names}
        self.partitions: dict[int, str] = {}

    def __call__(self, uses: Iterable[ProcessUse]) -> Mapping[Key, str]:
        for name, user in tuple(self.missing.items()):
            identity = find_identity(user)
            if identity is not None:
                self.partitions[identity.uid] = name
                del self.missing[name]
        return {use.key: self.partitions[use.uid] for use in uses if use.uid in self.partitions}


class MarkedOwners:
    """All partitions run as one user: whose a process is says the mark that the supervisor gave it, or that of the
    leader of its session.

    ``prefix`` begins the marks of this node.  The mark of a process is read once: it is inherited and stays.
    """

    def __init__(self, *, prefix: str, uid: int) -> None:
        self.prefix = prefix
        self.uid = uid
        self.known: dict[Key, str] = {}

    def __call__(self, uses: Iterable[ProcessUse]) -> Mapping[Key, str]:
        mine = [use for use in uses if use.uid == self.uid]
        marked = {use.key: self._marked(use) for use in mine}
        self.known = {
            use.key: marked[use.key] for use in mine if marked[use.key] or age_seconds(use) > _SETTLED_SECONDS
        }
        sessions = {use.session: marked[use.key] for use in mine if marked[use.key]}
        found = {use.key: marked[use.key] or sessions.get(use.session, "") for use in mine}
        return {key: partition for key, partition in found.items() if partition}

    def _marked(self, use: ProcessUse) -> str:
        known = self.known.get(use.key)
        if known is not None:
            return known
        mark = environment_of(use.pid).get(MARK, "")
        return mark.removeprefix(self.prefix).partition(":")[0] if mark.startswith(self.prefix) else ""


class ProcessUsage:
    """Thread-safe.  One pass over ``/proc`` for each look."""

    def __init__(self, *, ledger: Ledger, owners: Owners) -> None:
        self._ledger = ledger
        self._owners = owners
        self._lock = threading.Lock()

    def look(self) -> dict[str, PartitionUse]:
        """By partition, those that have, or ever had, a process."""
        with self._lock:
            uses = process_uses()
            owners = self._owners(uses)
            self._ledger.enter(uses, owners, boot_id())
            count: Counter[str] = Counter()
            resident: Counter[str] = Counter()
            for use in uses:
                partition = owners.get(use.key)
                if partition is not None and use.alive:
                    count[partition] += 1
                    resident[partition] += use.resident_bytes
            ticks = self._ledger.ticks
            return {name: PartitionUse(count[name], resident[name], ticks[name]) for name in {*ticks, *count}}

    def as_data(self) -> dict[str, Any]:
        """What the next daemon must know."""
        with self._lock:
            return self._ledger.as_data()
