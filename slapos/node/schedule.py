"""Which subject is looked at next: at once on a change, later after a failure, never two at a time for one subject."""

from __future__ import annotations

import math
import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from slapos.system.clock import Clock

FIRST_DELAY = 0.5
LONGEST_DELAY = 300.0


class Subject(NamedTuple):
    """``kind`` is partition, release or a chore of the node; ``name`` which one."""

    kind: str
    name: str = ""


def backoff_delay(failures: int, jitter: float) -> float:
    """Seconds before the next try: doubles from 0.5 s to 5 min; ``jitter`` (0 to 1) takes off up to half.

    >>> [backoff_delay(n, 0.0) for n in (1, 2, 3, 20)]
    [0.5, 1.0, 2.0, 300.0]
    """
    whole = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures - 1, 20))
    return whole * (1.0 - jitter / 2)


@dataclass
class _Entry:
    due: float = math.inf  # monotonic
    failures: int = 0
    busy: bool = False
    again: bool = False  # triggered while busy


@dataclass
class Schedule:
    """Thread-safe.  Times are of ``clock.monotonic``."""

    clock: Clock
    jitter: Callable[[], float] = random.random
    _entries: dict[Subject, _Entry] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _closed: bool = False

    def trigger(self, *subjects: Subject) -> None:
        """Look at them at once: something changed, so earlier failures do not count."""
        now = self.clock.monotonic()
        with self._changed:
            for subject in subjects:
                entry = self._entries.setdefault(subject, _Entry())
                entry.failures = 0
                entry.due = now
                entry.again = entry.busy
            self._changed.notify_all()

    def take(self, kinds: frozenset[str], timeout: float | None = None) -> Subject | None:
        """The next due subject of these kinds, now busy until :meth:`settle`; None when closed or out of time."""
        deadline = math.inf if timeout is None else self.clock.monotonic() + timeout
        with self._changed:
            while not self._closed:
                now = self.clock.monotonic()
                due, subject = self._earliest(kinds)
                if subject is not None and due <= now:
                    self._entries[subject].busy = True
                    return subject
                if now >= deadline:
                    return None
                rest = min(due, deadline) - now
                self._changed.wait(None if math.isinf(rest) else rest)
        return None

    def _earliest(self, kinds: frozenset[str]) -> tuple[float, Subject | None]:
        ready = [
            (entry.due, subject)
            for subject, entry in self._entries.items()
            if subject.kind in kinds and not entry.busy and entry.due < math.inf
        ]
        return min(ready, default=(math.inf, None))

    def settle(self, subject: Subject, settled: str, after: float) -> None:
        """``subject`` was looked at: ok and waiting come again ``after`` seconds, failed with back-off."""
        with self._changed:
            entry = self._entries[subject]
            entry.busy = False
            entry.failures = entry.failures + 1 if settled == "failed" and not entry.again else 0
            if not entry.again:
                wait = backoff_delay(entry.failures, self.jitter()) if entry.failures else after
                entry.due = self.clock.monotonic() + wait
            entry.again = False
            self._changed.notify_all()

    def failures(self, subject: Subject) -> int:
        """In a row."""
        with self._changed:
            entry = self._entries.get(subject)
            return entry.failures if entry else 0

    def depths(self) -> Counter[tuple[str, str]]:
        """How many subjects of a kind are ``due`` now, ``busy``, or ``failing`` and tried again later."""
        now = self.clock.monotonic()
        found: Counter[tuple[str, str]] = Counter()
        with self._changed:
            for subject, entry in self._entries.items():
                due = not entry.busy and entry.due <= now
                for state, true in (("due", due), ("busy", entry.busy), ("failing", entry.failures > 0)):
                    found[subject.kind, state] += true
        return found

    @property
    def closed(self) -> bool:
        """Whether the daemon is ending."""
        return self._closed

    def close(self) -> None:
        """Nothing is handed out any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
