"""Who waits for which subject, and what changed since: the memory behind ``GET /events``.

Lives in the event loop's thread; :meth:`Hub.publish` is the one way in from other threads.  An event only says *look
at this subject*.  The hub remembers the last generation of each subject, at most ``memory`` of them; a client whose
number lies before what the hub knows gets ``reset`` and looks at everything.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from slapos.model.errors import Unavailable

SUBJECTS_REMEMBERED = 100_000
WATCHES_LIMIT = 10_000
PROJECT = "project:"  # such a subject changes with everything: its watchers look at lists


@dataclass(frozen=True)
class Notice:
    """What a watcher is told: ``kind`` is ``changed`` or ``reset``."""

    kind: str
    generation: int


@dataclass(eq=False)
class Watch:
    """One waiting client.  ``seen`` is the generation that it knows."""

    subject: str
    seen: int
    must_reset: bool = False
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class Hub:
    """Subjects, their last generations, and the watches on them."""

    def __init__(self, *, memory: int = SUBJECTS_REMEMBERED, watches: int = WATCHES_LIMIT) -> None:
        self.closed = False
        self._floor = 0  # everything after this generation is known
        self._generation = 0
        self._memory = memory
        self._limit = watches
        self._latest: OrderedDict[str, int] = OrderedDict()
        self._watches: defaultdict[str, set[Watch]] = defaultdict(set)
        self._count = 0

    def start(self, generation: int) -> None:
        """The generation of the storage at start: what happened before is not known."""
        self._floor = self._generation = max(generation, self._generation)

    def watch(self, subject: str, last: int | None) -> Watch:
        """A new watch of a client that knows generation ``last`` (None: nothing)."""
        if self._count >= self._limit:
            raise Unavailable(f"More than {self._limit} clients wait for events.", hint="Try again later.")
        watch = Watch(subject, seen=last or 0)
        # A number from the future comes from a database that was replaced by a backup.
        watch.must_reset = last is None or not self._floor <= last <= self._generation
        self._watches[subject].add(watch)
        self._count += 1
        return watch

    def leave(self, watch: Watch) -> None:
        """The client is gone."""
        watches = self._watches.get(watch.subject, set())
        if watch in watches:
            watches.remove(watch)
            self._count -= 1
            if not watches:
                del self._watches[watch.subject]

    def take(self, watch: Watch) -> Notice | None:
        """What to tell now; None when there is nothing new."""
        watch.woken.clear()
        if watch.must_reset:
            watch.must_reset, watch.seen = False, self._generation
            return Notice("reset", self._generation)
        latest = self._generation if watch.subject.startswith(PROJECT) else self._latest.get(watch.subject, 0)
        if latest > watch.seen:
            watch.seen = latest
            return Notice("changed", latest)
        return None

    def publish(self, generation: int, subjects: Iterable[str]) -> None:
        """After a commit.  No subjects at all: changes may have been missed, everybody looks at everything."""
        self._generation = max(generation, self._generation)
        names = list(subjects)
        if not names:
            self._forget_all()
            return
        for subject in names:
            self._latest[subject] = max(generation, self._latest.get(subject, 0))
            self._latest.move_to_end(subject)
            self._wake(subject)
        for subject in [name for name in self._watches if name.startswith(PROJECT)]:
            self._wake(subject)
        while len(self._latest) > self._memory:
            _, forgotten = self._latest.popitem(last=False)
            self._floor = max(self._floor, forgotten)

    def wake_all(self) -> None:
        """Have every watch look again, for example whether its client may still look."""
        for watches in self._watches.values():
            for watch in watches:
                watch.woken.set()

    def close(self) -> None:
        """The server stops: every stream ends."""
        self.closed = True
        self.wake_all()

    @property
    def watching(self) -> tuple[str, ...]:
        """The subjects that somebody watches now."""
        return tuple(self._watches)

    def _wake(self, subject: str) -> None:
        for watch in self._watches.get(subject, ()):
            watch.woken.set()

    def _forget_all(self) -> None:
        self._floor = self._generation
        self._latest.clear()
        for watches in self._watches.values():
            for watch in watches:
                watch.must_reset = True
                watch.woken.set()
