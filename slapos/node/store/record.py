"""What a node remembers of its store, on disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class StoreRecord:
    """``unused``: part of the store at ``root`` → UTC epoch seconds since when nothing uses it.

    Of the last collection that removed something: when (``at``), how many parts (``removed``), bytes (``freed``).
    """

    root: str = ""
    unused: Mapping[str, float] = field(default_factory=dict)
    at: float = 0.0
    removed: int = 0
    freed: int = 0


def store_record_to_data(record: StoreRecord) -> dict[str, Any]:
    """JSON of a record."""
    return dataclasses.asdict(record)


def store_record_from_data(data: Mapping[str, Any]) -> StoreRecord:
    """The inverse; unknown members are left out."""
    known = {item.name for item in dataclasses.fields(StoreRecord)}
    return StoreRecord(**{key: value for key, value in data.items() if key in known})
