"""What may go from a binary cache, by age and by size; what a kept part needs stays.

:func:`plan_collection` decides, :func:`collect` acts: the manifest goes first, so that nobody is told of what is gone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from slapos.build.cache.addresses import archive_path, is_cache_path, source_path
from slapos.build.cache.manifest import SIZE_LIMIT
from slapos.build.cache.places import Bound, Item, Place, read_bytes
from slapos.model.errors import HyperopenxError

GRACE = 86400.0
"""Seconds: whoever uploads puts the archive first, and may be slow."""


@dataclass(frozen=True)
class Entry:
    """A part in a cache: ``name`` is ``part/digest``, ``items`` its files; what it names and what it was made from."""

    name: str
    items: tuple[Item, ...]
    archive: str = ""
    sources: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()

    @property
    def changed(self) -> float:
        """When its manifest was put there."""
        return max((item.changed for item in self.items if item.path.endswith(".json")), default=0.0)


@dataclass(frozen=True)
class Contents:
    """All that a cache holds: ``entries`` by name, other items by path."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    others: Mapping[str, Item] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes."""
        inside = (item for entry in self.entries.values() for item in entry.items)
        return sum(item.size for item in (*inside, *self.others.values()))


@dataclass(frozen=True)
class Rules:
    """``now`` in UTC epoch seconds; parts older than ``age`` seconds go, then the oldest until ``size`` bytes are left;
    None: not asked for."""

    now: float
    age: float | None = None
    size: int | None = None


@dataclass(frozen=True)
class Removal:
    """One thing that goes, and why."""

    path: str
    size: int
    why: str


def read_contents(place: Place) -> Contents:
    """List a place and read its manifests; one that cannot be read counts as none."""
    parts: dict[str, list[Item]] = {}
    others: dict[str, Item] = {}
    for item in place.items():
        if item.path.startswith("parts/") and is_cache_path(item.path):
            parts.setdefault("/".join(item.path.split("/")[1:3]), []).append(item)
        else:
            others[item.path] = item
    return Contents({name: _entry(place, name, items) for name, items in parts.items()}, others)


def _entry(place: Place, name: str, items: list[Item]) -> Entry:
    try:
        data = json.loads(read_bytes(place, f"parts/{name}/manifest.json", Bound(SIZE_LIMIT, 60.0)))
        return Entry(
            name,
            tuple(items),
            archive_path(data["archive"]["sha256"]),
            frozenset(source_path(digest) for digest in data["built"]["sources"]),
            frozenset(data["references"]),
        )
    except (HyperopenxError, ValueError, KeyError, TypeError, RecursionError):
        return Entry(name, tuple(items))


def plan_collection(contents: Contents, rules: Rules) -> tuple[Removal, ...]:
    """What goes, in the order in which it may."""
    kept = dict(contents.entries)
    removals: list[Removal] = []
    for name, why in _by_age(kept, rules):
        removals += _gone(kept.pop(name), why)
    removals += _loose(contents, kept, rules)
    left = contents.size - sum(removal.size for removal in removals)
    for name in _oldest_first(kept) if rules.size is not None else ():
        if left <= (rules.size or 0):
            break
        before = _files_of(kept.values())
        gone = _gone(kept.pop(name), "the cache is larger than it may be")
        unused = before - _files_of(kept.values())
        gone += [
            Removal(path, contents.others[path].size, gone[0].why) for path in sorted(unused & set(contents.others))
        ]
        left -= sum(removal.size for removal in gone)
        removals += gone
    return tuple(removals)


def collect(place: Place, removals: Iterable[Removal]) -> int:
    """Remove; how many bytes that were."""
    size = 0
    for removal in removals:
        place.remove(removal.path)
        size += removal.size
    return size


def _by_age(entries: Mapping[str, Entry], rules: Rules) -> list[tuple[str, str]]:
    broken = [
        (name, "its manifest cannot be read")
        for name, entry in entries.items()
        if not entry.archive and rules.now - _last(entry) > GRACE
    ]
    if rules.age is None:
        return broken
    young = {name for name, entry in entries.items() if rules.now - entry.changed <= rules.age}
    stays = _closure(young, entries)
    why = f"it is older than {rules.age / 86400:.0f} days"
    return broken + [(name, why) for name, entry in entries.items() if entry.archive and name not in stays]


def _closure(names: set[str], entries: Mapping[str, Entry]) -> set[str]:
    found: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name in entries and name not in found:
            found.add(name)
            todo += entries[name].needs
    return found


def _oldest_first(entries: Mapping[str, Entry]) -> list[str]:
    """An entry comes after all that need it."""
    needed_by: dict[str, set[str]] = {name: set() for name in entries}
    for name, entry in entries.items():
        for need in entry.needs & entries.keys():
            needed_by[need].add(name)
    order: list[str] = []
    left = sorted(entries, key=lambda name: entries[name].changed)
    while left:
        ready = next((name for name in left if not needed_by[name] - set(order)), left[0])
        left.remove(ready)
        order.append(ready)
    return order


def _loose(contents: Contents, kept: Mapping[str, Entry], rules: Rules) -> list[Removal]:
    """Archives and sources that no part names any more, and what interrupted uploads left."""
    used = _files_of(kept.values())
    found = []
    for path, item in sorted(contents.others.items()):
        old = rules.now - item.changed > GRACE
        if path.startswith("archives/") and is_cache_path(path) and path not in used and old:
            found.append(Removal(path, item.size, "no part names it"))
        elif path.startswith("sources/") and is_cache_path(path) and path not in used and _too_old(item, rules):
            found.append(Removal(path, item.size, "no part is made from it, and it is old"))
        elif path.endswith(".tmp") and path.rpartition("/")[2].startswith(".") and old:
            found.append(Removal(path, item.size, "an upload was interrupted"))
    return found


def _too_old(item: Item, rules: Rules) -> bool:
    return rules.age is not None and rules.now - item.changed > max(rules.age, GRACE)


def _files_of(entries: Iterable[Entry]) -> set[str]:
    return {path for entry in entries for path in (entry.archive, *entry.sources)}


def _last(entry: Entry) -> float:
    return max(item.changed for item in entry.items)


def _gone(entry: Entry, why: str) -> list[Removal]:
    ordered = sorted(entry.items, key=lambda item: not item.path.endswith(".json"))
    return [Removal(item.path, item.size, why) for item in ordered]
