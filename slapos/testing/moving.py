"""Built components moved to another place through a binary cache, the first place being hidden while they run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from slapos.build.cache.client import CacheClient
from slapos.build.cache.places import DirectoryPlace
from slapos.build.cache.publish import push
from slapos.build.cache.settings import CacheSettings
from slapos.build.cache.signing import SigningKey
from slapos.build.store.store import Store
from slapos.system.processes import Completed
from slapos.testing.components import Component

LONGER = "a/store/that/has/a/longer/path/than/the/first/one/by/far/whatever/the/first/one/was"


@dataclass(frozen=True)
class Moved(Component):
    """A component that came from a cache; ``hidden`` is the store where it was built."""

    hidden: str = ""

    def call(self, program: str, *arguments: str, stdin: bytes | None = None, **environment: str) -> Completed:
        """As its base; below ``hidden`` there is nothing."""
        return super().call("bwrap", *self.hiding, program, *arguments, stdin=stdin, **environment)

    @property
    def hiding(self) -> tuple[str, ...]:
        """What ``bwrap`` is told."""
        return ("--dev-bind", "/", "/", "--tmpfs", self.hidden, "--die-with-parent")


def moved(component: Component, top: Path) -> Moved:
    """Push a component and what its files name to a new cache below ``top``, and pull it to a longer path there."""
    first = os.path.dirname(os.path.dirname(component.location))
    built, store = Store((first,)), Store((str(top / LONGER),))
    _, part, digest = component.location.rsplit("/", 2)
    names = _named(built, f"{part}/{digest}")
    key, place = SigningKey.new(), DirectoryPlace(str(top / "cache"))
    for stored in built.parts():
        if stored.record.name in names:
            push(stored, built, place, key)
    client = CacheClient(CacheSettings((place.url,), (key.public.text,)))
    if not client.pull_needs(part, digest, store):
        raise client.refusals[-1]
    locations = {name.split("/")[0]: store.location(*name.split("/")) for name in names}
    return Moved(component.name, locations, first)


def _named(store: Store, name: str) -> set[str]:
    """``part/digest`` of a part and of all that it names, directly or not."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        part, _, digest = one.partition("/")
        record = store.record(part, digest)
        if one not in found and record is not None:
            found.add(one)
            waiting += record.references
    return found
