"""What the daemon counts about itself while it runs."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Counters:
    """Thread-safe.  ``rounds`` by (kind of subject, how it settled), ``builds`` by how they ended.

    ``contact_at``: when the master last took a report, UTC epoch seconds, 0 for never.
    """

    rounds: Counter[tuple[str, str]] = field(default_factory=Counter)
    builds: Counter[str] = field(default_factory=Counter)
    supervisor_restarts: int = 0
    contact_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def round(self, kind: str, settled: str) -> None:
        """A subject was looked at."""
        with self._lock:
            self.rounds[kind, settled] += 1

    def build(self, settled: str) -> None:
        """A release was built, or not."""
        with self._lock:
            self.builds[settled] += 1

    def restart(self) -> None:
        """The supervisor had ended and was started again."""
        with self._lock:
            self.supervisor_restarts += 1
