"""A run of the engine as data: what is asked (``Job``), told meanwhile (``Progress``), how it ended (``Result``).

These cross two process borders as JSON; ``as_data`` and ``from_data`` are inverse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from slapos.model.errors import from_data

Kind = Literal["build", "instance"]
Outcome = Literal["done", "failed", "waiting", "timeout", "interrupted"]
PartOutcome = Literal["installed", "kept", "failed", "waiting", "blocked"]
ENDINGS = frozenset({"done", "failed", "blocked"})
"""Stages of a part that runs no more."""


@dataclass(frozen=True)
class Job:
    """One run: ``profile`` (path or URL) in ``directory``, as ``user`` (None: as ourselves).

    ``overrides`` are option values (data) that win over the profile's; ``environment`` is added to a clean one;
    ``log`` is a path in a directory of the node's; ``time_limit`` in seconds; ``label`` names the run for people;
    ``expected`` are seconds per part from the last build; ``own`` is the buildout that the release brings, which runs
    instead of our engine; ``slots``: how many commands compile at once, 0 for one on each processor.
    """

    kind: Kind
    directory: str
    profile: str
    log: str
    overrides: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    user: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    umask: int = 0o027
    time_limit: float | None = None
    label: str = ""
    expected: Mapping[str, float] = field(default_factory=dict)
    own: str = ""
    slots: int = 0

    def as_data(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Job:
        return cls(**data)


@dataclass(frozen=True)
class Progress:
    """``part`` number ``index`` of ``total`` (from 1) is at ``stage``: ``start``, ``make``…, or one of ``ENDINGS``.

    ``elapsed`` seconds since the run began; ``expected`` seconds of this part in the last build, if there was one.
    ``beside``: others run at the same time, and this one runs until it is told of an ending; what is not told like that
    ends when the next part is told of.
    """

    part: str
    index: int
    total: int
    stage: str
    elapsed: float
    expected: float | None = None
    beside: bool = False


@dataclass(frozen=True)
class PartResult:
    """How one part ended; ``sentence`` is empty for ``installed`` and ``kept``; ``seconds`` of work."""

    part: str
    outcome: PartOutcome
    sentence: str = ""
    seconds: float = 0.0


def in_place_sentence(parts: int) -> str:
    """For people, of a run that is done."""
    return f"{parts} parts are in place."


@dataclass(frozen=True)
class Profiled:
    """A profile, template or patch that was read (path or URL), with the digest of its bytes."""

    location: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Result:
    """``sentence`` is for people; ``error`` is :meth:`HyperopenxError.as_data` of the first failure, ``errors`` all.

    Each has in its context the part, and where there are any its log and the last lines of that.  ``stored``: part →
    digest of the parts that lie in the store.
    """

    outcome: Outcome
    sentence: str
    error: dict[str, Any] | None = None
    seconds: float = 0.0
    parts: tuple[PartResult, ...] = ()
    profiles: tuple[Profiled, ...] = ()
    errors: tuple[dict[str, Any], ...] = ()
    stored: Mapping[str, str] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Result:
        """``ValueError``, ``TypeError`` or ``KeyError`` for what is none: it may come from somebody hostile."""
        if data["outcome"] not in get_args(Outcome):
            raise ValueError(f"{data['outcome']!r} is no outcome")
        error = data["error"]
        return cls(
            outcome=data["outcome"],
            sentence=str(data["sentence"]),
            error=None if error is None else from_data(error).as_data(),
            seconds=float(data["seconds"]),
            parts=tuple(_part(part) for part in data["parts"]),
            profiles=tuple(
                Profiled(str(item["location"]), str(item["sha256"]), int(item["size"])) for item in data["profiles"]
            ),
            errors=tuple(from_data(item).as_data() for item in data.get("errors", ())),
            stored={str(part): str(digest) for part, digest in data.get("stored", {}).items()},
        )


def _part(data: Mapping[str, Any]) -> PartResult:
    if data["outcome"] not in get_args(PartOutcome):
        raise ValueError(f"{data['outcome']!r} is no outcome of a part")
    return PartResult(str(data["part"]), data["outcome"], str(data["sentence"]), float(data["seconds"]))
