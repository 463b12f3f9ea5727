"""What a stored part says of itself: ``.hyperopenx-part.json`` in its directory.  A tree without it is no part."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from slapos.build.store.content import RECORD
from slapos.build.store.inputs import Inputs, text
from slapos.system.files import write_json

SANDBOXED = "bubblewrap"


@dataclass(frozen=True, kw_only=True)
class PartRecord:
    """How a part was made.

    ``built_at`` in UTC epoch seconds, ``seconds`` per stage; ``sources``: the sha256 of each source that was used;
    ``sandbox``: ``bubblewrap`` or ``none: <reason>``; ``content``: sha256 of the tree
    (:mod:`slapos.build.store.content`) and ``size`` its bytes; ``references``: ``part/digest`` of the stored parts
    that its files name; ``location``: where it was built; ``builder``: who built it (free text); ``fetched``: the
    binary cache that it comes from and the keys that signed it, empty when it was built here; ``jobs``: how many its
    make ran at most, 0 when that is not known.
    """

    inputs: Inputs
    built_at: float
    seconds: Mapping[str, float] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    sandbox: str = ""
    content: str = ""
    size: int = 0
    references: tuple[str, ...] = ()
    location: str = ""
    builder: str = ""
    fetched: str = ""
    jobs: int = 0

    @property
    def name(self) -> str:
        """``part/digest``."""
        return f"{self.inputs.part}/{self.inputs.digest}"

    @property
    def needs(self) -> tuple[str, ...]:
        """``part/digest`` of each part that it was made from or names."""
        made_from = (f"{part}/{digest}" for part, digest in self.inputs.dependencies.items())
        return tuple(sorted({*made_from, *self.references} - {self.name}))

    @property
    def total_seconds(self) -> float:
        """Of all stages."""
        return sum(self.seconds.values())

    def as_data(self) -> dict[str, Any]:
        """JSON types."""
        return {**asdict(self), "inputs": self.inputs.as_data()}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> PartRecord:
        """The inverse; ``KeyError``, ``TypeError`` or ``ValueError`` for what is none."""
        return cls(
            inputs=Inputs.from_data(data["inputs"]),
            built_at=float(data["built_at"]),
            seconds={text(stage): float(seconds) for stage, seconds in data["seconds"].items()},
            sources=tuple(map(text, data["sources"])),
            sandbox=text(data["sandbox"]),
            content=text(data["content"]),
            size=int(data["size"]),
            references=tuple(map(text, data["references"])),
            location=text(data["location"]),
            builder=text(data["builder"]),
            fetched=text(data.get("fetched", "")),
            jobs=int(data.get("jobs", 0)),
        )


def write_record(tree: str, record: PartRecord) -> None:
    """Put the record into ``tree``; from then on it counts as whole where it lies in a store."""
    write_json(os.path.join(tree, RECORD), record.as_data(), 0o444)


def read_part_record(tree: str) -> PartRecord | None:
    """The record of a tree; None when it has none, or one that is none."""
    try:
        with open(os.path.join(tree, RECORD), "rb") as stream:
            return PartRecord.from_data(json.loads(stream.read()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
