"""What to do with a release on a node.  Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slapos.model.objects import Supply
from slapos.model.states import SupplyState
from slapos.node.plan import Action, Kind, Plan, Skip


@dataclass(frozen=True)
class ReleaseRecord:
    """What the node remembers of building a release, on disk."""

    release: str = ""
    outcome: str = ""  # done, failed, …; "building" while a build runs or after one that was cut
    sentence: str = ""
    at: float = 0.0
    engine: str = ""
    error: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # of the last build that failed


@dataclass(frozen=True)
class ObservedRelease:
    """A release as it is.  ``users``: titles of the instances on this node that run it and are not destroyed."""

    release: str
    record: ReleaseRecord = dataclasses.field(default_factory=ReleaseRecord)
    exists: bool = False  # its directory
    complete: bool = False
    changed: tuple[str, ...] = ()  # profiles whose bytes differ from those that were built
    users: tuple[str, ...] = ()


def plan_release(supply: Supply | None, observed: ObservedRelease) -> Plan:
    """The rest of the way to a release that is there, or gone; ``supply`` None: nobody wishes it any more."""
    release = observed.release
    if supply is None or supply.state is SupplyState.DESTROYED:
        return _removal(observed)
    if not observed.complete:
        return Plan(release, (Action(Kind.BUILD, release, _build_reason(observed)),))
    skips: tuple[Skip, ...] = ()
    if observed.changed:
        names = ", ".join(observed.changed)
        skips = (Skip(release, f"{names} changed since it was built; it stays as it was built"),)
    return Plan(release, (), skips)


def _build_reason(observed: ObservedRelease) -> str:
    if observed.record.outcome == "failed":
        return f"the last build failed: {observed.record.sentence}"
    if observed.record.outcome and observed.record.outcome != "done":
        return "the last build did not end"
    return "it is not built yet"


def _removal(observed: ObservedRelease) -> Plan:
    release = observed.release
    if observed.users:
        who = ", ".join(observed.users[:5]) + (", …" if len(observed.users) > 5 else "")
        skip = Skip(release, f"it is used by {len(observed.users)} instance(s): {who}", waiting=True)
        return Plan(release, (), (skip,))
    actions: list[Action] = []
    if observed.exists:
        actions.append(Action(Kind.REMOVE_RELEASE, release, "the node must no longer hold it"))
    if observed.exists or observed.record != ReleaseRecord():
        actions.append(Action(Kind.FORGET_RELEASE, release, "nothing of it is left"))
    return Plan(release, tuple(actions))


def record_to_data(record: ReleaseRecord) -> dict[str, Any]:
    """JSON of a record."""
    return dataclasses.asdict(record)


def record_from_data(data: Mapping[str, Any]) -> ReleaseRecord:
    """The inverse; unknown members are left out."""
    known = {item.name for item in dataclasses.fields(ReleaseRecord)}
    return ReleaseRecord(**{key: value for key, value in data.items() if key in known})
