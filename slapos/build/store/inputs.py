"""What a stored part is made from, and the digest by which it is known.

The digest covers all that may change the result and nothing that cannot: where a source comes from is left out, its
accepted digests are in; patches count by content, other parts by their own digests, texts as they are, except that the
path of the store is written ``@STORE@``, so that the same part has the same digest in every store.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

FORMAT = 1
"""Changes when the way in which digests are computed does: every part gets a new one."""

DIGEST_LENGTH = 32
"""Hexadecimal digits of a part's digest: 128 bits of a sha256."""

Kind = Literal["recipe", "identity", "option", "source", "patch", "dependency", "toolchain"]

RELOCATABLE = "relocatable"
"""The option that says that a part runs at another place than that for which it was built; it changes no byte."""

_SHORT = 60
_IDENTITY = re.compile(r"interface=(?P<interface>\d+) source=(?P<source>[0-9a-f]{8})[0-9a-f]*")


@dataclass(frozen=True)
class Inputs:
    """What a part is made from.

    ``recipe`` is its name and ``identity`` its interface and source digest; ``options`` are texts; ``sources`` the
    accepted sha256 of each source, ``patches`` (name, sha256) in the order in which they are applied, of which the
    names are for people; ``dependencies`` part → digest; ``toolchain`` tool → exact version.
    """

    part: str
    recipe: str
    identity: str
    options: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[tuple[str, ...], ...] = ()
    patches: tuple[tuple[str, str], ...] = ()
    dependencies: Mapping[str, str] = field(default_factory=dict)
    toolchain: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """The first 32 hexadecimal digits of the sha256 of all that counts."""
        counted = {
            **self.as_data(),
            "options": _counted(self.options),
            "format": FORMAT,
            "sources": [sorted(digests) for digests in self.sources],
            "patches": [digest for _, digest in self.patches],
        }
        return hashlib.sha256(canonical(counted)).hexdigest()[:DIGEST_LENGTH]

    def as_data(self) -> dict[str, Any]:
        """JSON types."""
        return {
            "part": self.part,
            "recipe": self.recipe,
            "identity": self.identity,
            "options": dict(self.options),
            "sources": [list(digests) for digests in self.sources],
            "patches": [list(patch) for patch in self.patches],
            "dependencies": dict(self.dependencies),
            "toolchain": dict(self.toolchain),
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Inputs:
        """The inverse; ``KeyError``, ``TypeError`` or ``ValueError`` for what is none: it may come from a cache."""
        return cls(
            part=text(data["part"]),
            recipe=text(data["recipe"]),
            identity=text(data["identity"]),
            options=texts(data["options"]),
            sources=tuple(tuple(map(text, digests)) for digests in data["sources"]),
            patches=tuple((text(name), text(digest)) for name, digest in data["patches"]),
            dependencies=texts(data["dependencies"]),
            toolchain=texts(data["toolchain"]),
        )


@dataclass(frozen=True)
class Difference:
    """One input that is not the same; ``old`` or ``new`` is None where there is none."""

    kind: Kind
    name: str
    old: str | None
    new: str | None

    @property
    def sentence(self) -> str:
        """For people, in one line."""
        return " ".join(_SENTENCES[self.kind](self).split())


def differences(old: Inputs, new: Inputs) -> list[Difference]:
    """What changed from one to the other, what a person wrote first; empty when the digests are the same."""
    found: list[Difference] = []
    found += _changed("option", _counted(old.options), _counted(new.options))
    found += _changed("source", _numbered(old.sources), _numbered(new.sources))
    found += _changed("patch", _named(old.patches), _named(new.patches))
    found += _changed("recipe", {"recipe": old.recipe}, {"recipe": new.recipe})
    found += _changed("identity", {old.recipe: old.identity}, {old.recipe: new.identity})
    found += _changed("dependency", old.dependencies, new.dependencies)
    found += _changed("toolchain", old.toolchain, new.toolchain)
    if not found and old.digest != new.digest:  # the same patches in another order
        found.append(Difference("patch", "their order", "", ""))
    return found


def _counted(options: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in options.items() if name != RELOCATABLE}


def canonical(value: Any) -> bytes:
    """One byte string per JSON value."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def text(value: Any) -> str:
    """``value`` when it is a text; ``TypeError`` otherwise."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def texts(value: Any) -> dict[str, str]:
    """``value`` when it is a mapping of texts to texts; ``TypeError`` otherwise."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{value!r} is not a mapping")
    return {text(key): text(item) for key, item in value.items()}


def _changed(kind: Kind, old: Mapping[str, str], new: Mapping[str, str]) -> list[Difference]:
    names = sorted(old.keys() | new.keys())
    return [Difference(kind, name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)]


def _numbered(sources: Sequence[Sequence[str]]) -> dict[str, str]:
    return {str(number): " ".join(sorted(digests)) for number, digests in enumerate(sources, start=1)}


def _named(patches: Sequence[tuple[str, str]]) -> dict[str, str]:
    """By name, without the names where only these changed."""
    return {name: digest for name, digest in patches}


def _arrow(change: Difference, length: int = _SHORT) -> str:
    return f"{_short(change.old or '', length) or 'nothing'} → {_short(change.new or '', length) or 'nothing'}"


def _short(value: str, length: int) -> str:
    line = " ".join(value.split())
    return line if len(line) <= length else f"{line[:length]}…"


def _option(change: Difference) -> str:
    if change.old is None:
        return f"option `{change.name}` is new: {_short(change.new or '', _SHORT)}"
    if change.new is None:
        return f"option `{change.name}` is gone, it was: {_short(change.old, _SHORT)}"
    old, new = _around(" ".join(change.old.split()), " ".join(change.new.split()))
    return f"option `{change.name}` changed: {_short(old, _SHORT) or 'nothing'} → {_short(new, _SHORT) or 'nothing'}"


def _around(old: str, new: str) -> tuple[str, str]:
    """The words in which two long texts differ, with ``…`` for what they share before and after."""
    before, after = old.split(" "), new.split(" ")
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    if max(len(old), len(new)) <= _SHORT:
        return old, new
    shown = [words[start : len(words) - end] for words in (before, after)]
    head, tail = ("… " if start else ""), (" …" if end else "")
    return f"{head}{' '.join(shown[0])}{tail}", f"{head}{' '.join(shown[1])}{tail}"


def _presence(what: str, change: Difference) -> str:
    if change.old is None:
        return f"{what} is new"
    return f"{what} is gone" if change.new is None else f"{what} changed"


def _toolchain(change: Difference) -> str:
    return f"{change.name} {change.old or 'was not there'} → {change.new or 'is not there'}"


def _identity(change: Difference) -> str:
    """Interface and digest of a recipe's code, as :func:`slapos.build.recipe.identity` gives them."""
    old, new = (_IDENTITY.fullmatch(text or "") for text in (change.old, change.new))
    if old is None or new is None:
        return f"the recipe {change.name} changed: {_arrow(change)}"
    if old["interface"] != new["interface"]:
        return f"the recipe {change.name} has another interface: {old['interface']} → {new['interface']}"
    return f"the code of the recipe {change.name} changed: {old['source']} → {new['source']}"


_SENTENCES = {
    "option": _option,
    "source": lambda change: f"the accepted sha256 of source {change.name} changed: {_arrow(change, 12)}",
    "patch": lambda change: _presence(f"the patch {change.name}", change),
    "recipe": lambda change: f"the recipe changed: {_arrow(change)}",
    "identity": _identity,
    "dependency": lambda change: _presence(change.name, change),
    "toolchain": _toolchain,
}
