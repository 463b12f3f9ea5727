"""A built release as a bill of materials tells it: its parts and what each is made from, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from slapos.build.recipe import Source
from slapos.catalogue.header import Header

Kind = Literal["library", "application", "file"]


@dataclass(frozen=True, kw_only=True)
class BuiltPart:
    """One part.

    ``kind`` is what a reader sees in it; ``used`` the sha256 of each source that was used, of those that are accepted;
    ``patches`` (name, sha256) in the order in which they were applied; ``needs`` the parts that it was made with or
    names; ``runs``: something that runs needs it, it is more than a tool of the build; ``digest`` and ``content`` as
    the store has them, empty for a part of the release's own directory; ``file_sha256`` of a part that is one file;
    ``location`` where it lies.
    """

    name: str
    recipe: str
    kind: Kind
    version: str = ""
    header: Header = field(default_factory=Header)
    sources: tuple[Source, ...] = ()
    used: tuple[str, ...] = ()
    patches: tuple[tuple[str, str], ...] = ()
    needs: tuple[str, ...] = ()
    runs: bool = True
    digest: str = ""
    content: str = ""
    file_sha256: str = ""
    location: str = ""


@dataclass(frozen=True, kw_only=True)
class BuiltRelease:
    """``built_at`` in UTC epoch seconds; ``listed`` are the parts that the release names, ``toolchain`` the exact
    versions of what the machine gave to compile with; ``profiles`` what was read, location → sha256."""

    url: str
    built_at: float
    parts: tuple[BuiltPart, ...]
    listed: tuple[str, ...]
    toolchain: Mapping[str, str] = field(default_factory=dict)
    profiles: Mapping[str, str] = field(default_factory=dict)
