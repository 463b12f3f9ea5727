"""Where an instance is to live: a pure decision, with reasons for people.

A node is a candidate when the release is supplied there (wished, not necessarily built yet).  What its last sign of
life says only informs at first: a node unseen for :data:`QUIET_SECONDS` is chosen when no other fits, and one
unseen for :data:`LOST_SECONDS` is not chosen at all unless the request names it (docs/adr/0005).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from slapos.master.allocation.sla import Sla

QUIET_SECONDS = 300
LOST_SECONDS = 86_400


@dataclass(frozen=True)
class Candidate:
    """A node of the project.  ``total`` and ``free`` count the partitions that have the wanted capability.

    ``release``: it is supplied there; ``built``: the node reported it available; ``broken``: its build failed.
    ``seen``: UTC epoch seconds of the last sign of life, 0 for never.
    """

    node: str
    release: bool
    total: int
    free: int
    network: str = ""
    seen: int = 0
    built: bool = False
    broken: bool = False


@dataclass(frozen=True)
class Surroundings:
    """What of the rest of the tree matters: nodes with the same spread, networks in use, where the companion lives."""

    spread_nodes: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()
    companion_node: str = ""


@dataclass(frozen=True)
class Decision:
    """``choices`` are the nodes that fit, the best first; empty: ``reasons`` say why.

    ``hopeless``: no capacity can help, only another request.
    """

    choices: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    hopeless: bool = False


def decide(sla: Sla, candidates: Sequence[Candidate], surroundings: Surroundings, now: float) -> Decision:
    """The nodes that fit, or the reasons why none does."""
    if sla.refusals:
        return Decision(reasons=sla.refusals, hopeless=True)
    if not candidates:
        return Decision(reasons=(_nothing(sla),))
    verdicts = {candidate: _objection(sla, candidate, surroundings, now) for candidate in candidates}
    fit = [candidate for candidate, objection in verdicts.items() if objection is None]
    if not fit:
        return Decision(reasons=(summary(sla, verdicts.values(), candidates),))
    best = sorted(fit, key=lambda candidate: _rank(candidate, now))
    return Decision(choices=tuple(candidate.node for candidate in best))


def quiet_since(candidate: Candidate, now: float, limit: int = QUIET_SECONDS) -> str | None:
    """Since when nothing was heard of the node, as text, once that is longer than ``limit``."""
    return since(candidate.seen, now) if now - candidate.seen > limit else None


def since(date: int, now: float) -> str:
    """``03:12`` on the same UTC day, else with the date."""
    if date == 0:
        return "ever"
    then = datetime.fromtimestamp(date, UTC)
    same_day = then.date() == datetime.fromtimestamp(now, UTC).date()
    return then.strftime("%H:%M" if same_day else "%Y-%m-%d %H:%M")


@dataclass(frozen=True)
class _Objection:
    """Why a node does not fit: ``one`` and ``many`` are what is said of one node and of several."""

    one: str
    many: str
    detail: str = ""


Test = Callable[[Sla, Candidate, Surroundings, float], _Objection | None]


def _network(sla: Sla, candidate: Candidate, around: Surroundings, now: float) -> _Objection | None:
    if sla.network and candidate.network != sla.network:
        return _Objection("is not in the network", "are not in the network", sla.network)
    return None


def _companion(sla: Sla, candidate: Candidate, around: Surroundings, now: float) -> _Objection | None:
    if sla.companion and candidate.node != around.companion_node:
        return _Objection("does not hold the instance", "do not hold the instance", sla.companion)
    return None


def _release(sla: Sla, candidate: Candidate, around: Surroundings, now: float) -> _Objection | None:
    return None if candidate.release else _Objection("lacks the release", "lack the release")


def _capacity(sla: Sla, candidate: Candidate, around: Surroundings, now: float) -> _Objection | None:
    if candidate.free > 0:
        return None
    if candidate.total:
        return _Objection("is full", "are full", f"{candidate.total}/{candidate.total}")
    if sla.capability:
        return _Objection("lacks the capability", "lack the capability", sla.capability)
    return _Objection("is not formatted", "are not formatted")


def _spread(sla: Sla, candidate: Candidate, around: Surroundings, now: float) -> _Objection | None:
    if sla.spread and candidate.node in around.spread_nodes:
        return _Objection("already holds one of the spread group", "already hold one of the spread group", sla.spread)
    return None


def _mode(sla: Sla, candidate: Candidate, around: Surroundings, now: float) -> _Objection | None:
    if sla.unique_by_network and (candidate.network or candidate.node) in around.networks:
        return _Objection("is in a network that the tree already uses", "are in networks that the tree already uses")
    return None


def _lost(sla: Sla, candidate: Candidate, around: Surroundings, now: float) -> _Objection | None:
    if sla.node:
        return None
    text = quiet_since(candidate, now, LOST_SECONDS)
    return None if text is None else _Objection("is offline", "are offline", f"since {text}")


TESTS: tuple[Test, ...] = (_network, _companion, _release, _capacity, _spread, _mode, _lost)


def _objection(sla: Sla, candidate: Candidate, around: Surroundings, now: float) -> _Objection | None:
    """The first one, in the order in which a person would want to know."""
    return next((found for test in TESTS if (found := test(sla, candidate, around, now)) is not None), None)


def _rank(candidate: Candidate, now: float) -> tuple[bool, bool, bool, int, int, str]:
    """Online before quiet, built before building before broken, then the emptiest; the name makes it definite."""
    quiet = quiet_since(candidate, now) is not None
    return quiet, candidate.broken, not candidate.built, -candidate.free, len(candidate.node), candidate.node


def _nothing(sla: Sla) -> str:
    if sla.node:
        return f"There is no node {sla.node} in the project."
    return "There is no node in the project."


def summary(sla: Sla, objections: Iterable[_Objection | None], candidates: Sequence[Candidate]) -> str:
    """``12 nodes: 7 lack the release, 4 are full (10/10), 1 is offline since 03:12.``"""
    groups: dict[str, list[_Objection]] = {}
    for objection in objections:
        if objection is not None:
            groups.setdefault(objection.many, []).append(objection)
    if len(candidates) == 1:
        return f"{candidates[0].node} {_phrase(next(iter(groups.values())))}."
    largest_first = sorted(groups.values(), key=lambda group: (-len(group), group[0].many))
    parts = ", ".join(f"{len(group)} {_phrase(group)}" for group in largest_first)
    return f"{len(candidates)} nodes: {parts}."


def _phrase(group: list[_Objection]) -> str:
    verb = group[0].one if len(group) == 1 else group[0].many
    details = sorted({objection.detail for objection in group if objection.detail})
    if not details:
        return verb
    if len(group) == 1 and details[0].startswith("since "):
        return f"{verb} {details[0]}"
    shown = ", ".join(details[:3]) + (", …" if len(details) > 3 else "")
    return f"{verb} ({shown})" if verb.endswith("full") or len(details) > 1 else f"{verb} {shown}"
