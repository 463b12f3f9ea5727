"""How partitions were written last: nearly always, they are the same at the next question."""

from __future__ import annotations

import threading

from slapos.master.services.shown import ShownPartition
from slapos.master.storage.blocking import may_block
from slapos.wire import field_documents, marshal
from slapos.wire.marshal import Written

LIMIT = 64 * 1024 * 1024  # characters written; what they were made of takes about as many


class PartitionMemory:
    """Remembers each partition as it was shown last, and how that is written.  Thread-safe, bounded by ``limit``."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._size = 0
        self._kept: dict[tuple[str, str, bool], tuple[ShownPartition, Written]] = {}
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """How many characters are kept."""
        return self._size

    def written(self, node: str, shown: ShownPartition, *, for_node: bool = True) -> Written:
        """The document of a partition of ``node``; ``for_node``: as that must bring it about."""
        place = (node, shown.reference, for_node)
        kept = self._kept.get(place)
        if kept is not None and kept[0] == shown:
            return kept[1]
        if shown.is_long:
            may_block()
        instance = shown.instance(for_node=for_node)
        written = marshal.written(field_documents.partition(node, shown.reference, instance))
        self._keep(place, shown, written)
        return written

    def _keep(self, place: tuple[str, str, bool], shown: ShownPartition, written: Written) -> None:
        """The oldest give way."""
        with self._lock:
            before = self._kept.pop(place, None)
            self._size += written.size - (before[1].size if before is not None else 0)
            self._kept[place] = shown, written
            while self._size > self._limit:
                self._size -= self._kept.pop(next(iter(self._kept)))[1].size
