"""What a store has, for who looks at it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from slapos.build.store.content import content_digest
from slapos.build.store.store import Store
from slapos.build.store.users import used_parts


@dataclass(frozen=True)
class Entry:
    """A part of the store at ``root``: ``size`` in bytes, ``seconds`` that it took, the directories that use it."""

    name: str
    root: str
    size: int
    built_at: float
    seconds: float
    sandbox: str
    users: tuple[str, ...]


@dataclass(frozen=True)
class Altered:
    """A part whose tree has the digest ``found`` instead of the ``recorded`` one."""

    location: str
    recorded: str
    found: str


def list_contents(store: Store) -> Iterator[Entry]:
    """Every part; who uses it is known to those only who may build there."""
    try:
        used = used_parts(store)
    except PermissionError:
        used = {}
    for stored in store.parts():
        record = stored.record
        users = tuple(directory for directory, names in used.items() if record.name in names)
        root = stored.location.removesuffix(f"/{record.name}")
        yield Entry(record.name, root, record.size, record.built_at, record.total_seconds, record.sandbox, users)


def altered_parts(store: Store) -> Iterator[Altered]:
    """Parts that are not what was built."""
    for stored in store.parts():
        found = content_digest(stored.location)
        if found != stored.record.content:
            yield Altered(stored.location, stored.record.content, found)


def contents_data(store: Store) -> list[dict[str, Any]]:
    """:func:`list_contents` as JSON types."""
    return [asdict(entry) for entry in list_contents(store)]


def altered_data(store: Store) -> list[dict[str, Any]]:
    """:func:`altered_parts` as JSON types."""
    return [asdict(part) for part in altered_parts(store)]
