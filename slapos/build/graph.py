"""What a profile would do, as data: its parts, their options with the lines that gave them, what each refers to.

Nothing is run, written or fetched but the profiles themselves.  A recipe that is not ours is an opaque node: what it
would give to others is unknown.  ``slapos.build.reading`` reads one in a forked child.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from slapos.build.store.inputs import Inputs
from slapos.model.errors import HyperopenxError, from_data
from slapos.model.profiles import Origin, Source

AFTER = "<part-dependencies>"
"""The option that ``=> name`` in a section stands for."""


@dataclass(frozen=True)
class Link:
    """``option`` (written at ``origin``) of a part needs ``part``.

    ``through`` are the ``section:option`` that it names on the way, the first as it stands in the option, the last of
    ``part`` itself.  ``option`` is empty when the recipe asks for the section by its name.
    """

    part: str
    option: str = ""
    through: tuple[str, ...] = ()
    origin: Origin | None = None

    @property
    def sentence(self) -> str:
        """``option `x` refers to ${openssl:location} (file:line)``."""
        if not self.option:
            return f"its recipe uses [{self.part}]"
        place = f" ({self.origin})" if self.origin else ""
        if self.option == AFTER:
            return f"it comes after [{self.part}]{place}"
        return f"option `{self.option}` refers to {', '.join(f'${{{name}}}' for name in self.through)}{place}"


@dataclass(frozen=True)
class PartNode:
    """One part; ``uses`` are the sections that it refers to; ``opaque`` when its recipe cannot describe itself.

    ``origins``: option → each line that set it or changed it, the oldest first; also ``<section> <option>`` of the
    sections that are no parts and that it refers to.  ``reads``: option → options of the same part that it names.
    ``links`` lead to the parts that it needs.  ``inputs``: what a part of the store is made from; ``private``: why it
    is none; ``unconfined``: it runs commands, without a sandbox.  ``problem`` is a sentence when the part cannot even
    be described, ``error`` the whole of it as data.
    """

    name: str
    recipe: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    uses: tuple[str, ...] = ()
    origin: Origin | None = None
    opaque: bool = False
    signature: str = ""
    problem: str = ""
    origins: Mapping[str, tuple[Origin, ...]] = field(default_factory=dict)
    links: tuple[Link, ...] = ()
    reads: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    inputs: Inputs | None = None
    private: str = ""
    unconfined: bool = False
    error: Mapping[str, Any] | None = None

    @cached_property
    def needs(self) -> tuple[str, ...]:
        """The parts that it needs directly, sorted."""
        return tuple(sorted({link.part for link in self.links}))

    def place_of(self, option: str) -> Origin | None:
        """The line that gave an option its last value."""
        origins = self.origins.get(option)
        return origins[-1] if origins else None

    def as_data(self) -> dict[str, Any]:
        """JSON types."""
        return {
            **{item.name: getattr(self, item.name) for item in fields(self)},
            "sources": [dict(vars(source)) for source in self.sources],
            "origin": _origin_data(self.origin),
            "inputs": self.inputs.as_data() if self.inputs else None,
            "origins": {option: [dict(vars(item)) for item in all_] for option, all_ in self.origins.items()},
            "links": [{**vars(link), "origin": _origin_data(link.origin)} for link in self.links],
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> PartNode:
        return cls(
            **{
                **data,
                "sources": tuple(Source(**_tuples(item, "sha256", "mirrors")) for item in data["sources"]),
                "uses": tuple(data["uses"]),
                "origin": _origin(data["origin"]),
                "reads": _tuples(data["reads"], *data["reads"]),
                "inputs": Inputs.from_data(data["inputs"]) if data["inputs"] else None,
                "origins": {option: tuple(Origin(**item) for item in all_) for option, all_ in data["origins"].items()},
                "links": tuple(
                    Link(**{**_tuples(item, "through"), "origin": _origin(item["origin"])}) for item in data["links"]
                ),
            }
        )


@dataclass(frozen=True)
class Graph:
    """Parts in the order in which they would be processed, those with a problem last.

    ``listed``: part of ``[buildout] parts`` → the line that has it there.
    """

    parts: tuple[PartNode, ...]
    profile: str = ""
    listed: Mapping[str, Origin | None] = field(default_factory=dict)

    def node(self, part: str) -> PartNode | None:
        """The part of this name."""
        return self._nodes.get(part)

    def users(self, part: str) -> tuple[str, ...]:
        """The parts that need ``part`` directly, in order."""
        return tuple(self._users.get(part, ()))

    @cached_property
    def _nodes(self) -> dict[str, PartNode]:
        return {node.name: node for node in self.parts}

    @cached_property
    def _users(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for node in self.parts:
            for needed in node.needs:
                found.setdefault(needed, []).append(node.name)
        return found

    def needed_for(self, part: str) -> frozenset[str]:
        """``part`` and all that it needs, directly or not."""
        found: set[str] = set()
        todo = [part]
        while todo:
            name = todo.pop()
            node = self.node(name)
            if name not in found and node is not None:
                found.add(name)
                todo.extend(node.needs)
        return frozenset(found)

    def chain_to(self, part: str) -> tuple[str, ...]:
        """From a listed part down to ``part``, the shortest way; empty when nothing leads there."""
        chains: list[tuple[str, ...]] = [(name,) for name in self.listed]
        seen = set(self.listed)
        for chain in chains:  # grows while it is walked: breadth first
            if chain[-1] == part:
                return chain
            node = self.node(chain[-1])
            for name in node.needs if node else ():
                if name not in seen:
                    seen.add(name)
                    chains.append((*chain, name))
        return ()

    def first_error(self) -> HyperopenxError | None:
        """Of the parts that cannot be described, the first one's error."""
        return next((from_data(node.error) for node in self.parts if node.error), None)

    def as_data(self) -> dict[str, Any]:
        return {
            "profile": self.profile,
            "listed": {part: _origin_data(origin) for part, origin in self.listed.items()},
            "parts": [node.as_data() for node in self.parts],
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Graph:
        return cls(
            parts=tuple(PartNode.from_data(item) for item in data["parts"]),
            profile=data["profile"],
            listed={part: _origin(origin) for part, origin in data["listed"].items()},
        )


def _origin(data: Mapping[str, Any] | None) -> Origin | None:
    return Origin(**data) if data else None


def _origin_data(origin: Origin | None) -> dict[str, Any] | None:
    return dict(vars(origin)) if origin else None


def _tuples(data: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {**data, **{name: tuple(data[name]) for name in names}}
