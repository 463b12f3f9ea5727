"""Signs of life of nodes: collected in memory, written together, so that reading costs no write."""

from __future__ import annotations

import threading


class Presence:
    """Node references seen since the last :meth:`take`.  Thread-safe; never more than there are nodes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: set[str] = set()

    def mark(self, node: str) -> None:
        """This node was there."""
        with self._lock:
            self._seen.add(node)

    def take(self) -> frozenset[str]:
        """All that were seen since the last time."""
        with self._lock:
            seen, self._seen = frozenset(self._seen), set()
        return seen
