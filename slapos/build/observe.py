"""Looks at what is there already, for a plan: the store, the binary cache, the download cache."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from slapos.build.fetch.sizes import sizes_of
from slapos.build.graph import Graph, PartNode
from slapos.build.plan import Observed
from slapos.build.store.inputs import Inputs
from slapos.build.store.record import PartRecord, read_part_record
from slapos.build.store.store import Store
from slapos.model.profiles import Source

if TYPE_CHECKING:
    from slapos.build.cache.client import Offer

_ASKED_AT_ONCE = 8

Sizes = Callable[[Iterable[str]], Mapping[str, int]]
"""URLs → bytes of those that are known."""


class Cached(Protocol):
    """What is asked of a binary cache (``slapos.build.cache.client.CacheClient``)."""

    def lookup(self, part: str, digest: str) -> Offer | None:
        """What it has of a part, believed; None when it has nothing.  Called by several threads at once."""
        ...


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where is looked.  ``download_cache`` is a directory; ``sizes`` asks how much there is to fetch."""

    store: Store | None = None
    cache: Cached | None = None
    download_cache: str = ""
    sizes: Sizes = sizes_of


def observe(
    graph: Graph,
    places: Places,
    *,
    released: Mapping[str, str] | None = None,
    seconds: Mapping[str, float] | None = None,
) -> Observed:
    """Look for the parts of ``graph``.

    ``released``: part → digest with which this release was built; ``seconds``: part → of its last build in it.
    """
    store = places.store
    present = _present(graph, store)
    absent = [node for node in graph.parts if node.name not in present]
    cached = _cached(absent, places.cache)
    looked = Records(store)
    former = {node.name: old for node in absent if (old := looked.former(node, (released or {}).get(node.name, "")))}
    return Observed(
        present=present,
        cached=cached,
        former={part: old.inputs for part, old in former.items()},
        released=frozenset(part for part, old in former.items() if (released or {}).get(part) == old.inputs.digest),
        known=looked.known(former.values()),
        missing=_missing([node for node in absent if node.name not in cached], places),
        seconds={**(seconds or {}), **looked.seconds},
    )


def _present(graph: Graph, store: Store | None) -> dict[str, str]:
    if store is None:
        return {}
    found = ((node.name, store.find(node.name, node.inputs.digest)) for node in graph.parts if node.inputs)
    return {part: location for part, location in found if location is not None}


def _cached(nodes: list[PartNode], cache: Cached | None) -> dict[str, int]:
    if cache is None:
        return {}
    wanted = {node.name: node.inputs.digest for node in nodes if node.inputs}
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        found = zip(wanted, pool.map(cache.lookup, wanted, wanted.values()), strict=True)
        return {part: offer.manifest.archive_size for part, offer in found if offer is not None}


class Records:
    """Records of the parts of a store, read when they are asked for."""

    def __init__(self, store: Store | None) -> None:
        self.roots = store.roots if store else ()
        self.seconds: dict[str, float] = {}

    def former(self, node: PartNode, released: str) -> PartRecord | None:
        """What a part was with which this release was made, else what was last made of that name."""
        found = self._all(node.name) if node.inputs else []
        if not found:
            return None
        newest = max(found, key=lambda record: record.built_at)
        self.seconds[node.name] = newest.total_seconds
        return next((record for record in found if record.inputs.digest == released), newest)

    def built(self, part: str, digest: str) -> tuple[PartRecord | None, PartRecord | None]:
        """The record of a part, and that of the part of this name which was made last before it."""
        own = self._one(part, digest)
        earlier = [record for record in self._all(part) if own and record.built_at < own.built_at]
        return own, max(earlier, key=lambda record: record.built_at, default=None)

    def known(self, records: Iterable[PartRecord]) -> dict[str, Inputs]:
        """``part/digest`` → inputs, of all that the records were made from."""
        found: dict[str, Inputs] = {}
        todo = [record.inputs for record in records]
        while todo:
            for part, digest in todo.pop().dependencies.items():
                name = f"{part}/{digest}"
                record = None if name in found else self._one(part, digest)
                if record is not None:
                    found[name] = record.inputs
                    todo.append(record.inputs)
        return found

    def _all(self, part: str) -> list[PartRecord]:
        found = []
        for root in self.roots:
            directory = os.path.join(root, part)
            names = os.listdir(directory) if os.path.isdir(directory) else []
            found += [record for name in names if (record := self._one(part, name)) is not None]
        return found

    def _one(self, part: str, digest: str) -> PartRecord | None:
        records = (read_part_record(os.path.join(root, part, digest)) for root in self.roots)
        return next((record for record in records if record and record.name == f"{part}/{digest}"), None)


def _missing(nodes: list[PartNode], places: Places) -> dict[str, int | None]:
    """Part → bytes of the sources that the download cache does not have, None where one of them is not known."""
    wanted = {
        node.name: [source.url for source in node.sources if not _is_here(source, places.download_cache)]
        for node in nodes
    }
    known = places.sizes([url for urls in wanted.values() for url in urls])
    return {
        part: sum(known[url] for url in urls) if all(url in known for url in urls) else None
        for part, urls in wanted.items()
    }


def _is_here(source: Source, download_cache: str) -> bool:
    return any(os.path.exists(os.path.join(download_cache, "sha256", digest)) for digest in source.sha256)
