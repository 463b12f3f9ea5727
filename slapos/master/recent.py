"""Which messages came lately, told by their hashes: what comes again probably changes nothing."""

from __future__ import annotations

RECENT = 65_536  # messages, of some 70 bytes each


class Recent:
    """Knows the latest ``size`` messages at least, and twice as many at most.

    For decisions that may be wrong: two messages may share a hash, and threads that note messages at the same moment
    may forget one.
    """

    def __init__(self, size: int = RECENT) -> None:
        self._size = size
        self._young: set[int] = set()
        self._old: frozenset[int] | set[int] = frozenset()

    def came_before(self, name: str, message: bytes) -> bool:
        """Whether ``message`` came to ``name`` before; from now on it did."""
        key = hash((name, message))
        young, old = self._young, self._old
        known = key in young or key in old
        young.add(key)
        if len(young) >= self._size:
            self._young, self._old = set(), young
        return known
