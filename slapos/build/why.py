"""Why a part is as the plan says: the chain of inputs that made it so, and how it came into the release.  Pure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from slapos.build.graph import Graph, Link, PartNode
from slapos.build.plan import Observed, Plan, PlanLine, changes_between, own_reasons
from slapos.build.store.inputs import Difference, Inputs
from slapos.build.store.record import PartRecord
from slapos.model.profiles import Origin

_WRITTEN_AS: Mapping[str, str] = {"source": "sha256", "patch": "patches", "recipe": "recipe", "identity": "recipe"}
"""Kind of a difference → the option that holds it; of an option its own name."""


@dataclass(frozen=True)
class Cause:
    """One changed input of a part; ``origin``: the line that has it; ``causes``: what changed in a dependency."""

    difference: Difference
    origin: Origin | None = None
    causes: tuple[Cause, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """JSON types."""
        return {
            **asdict(self.difference),
            "sentence": self.difference.sentence,
            "origin": asdict(self.origin) if self.origin else None,
            "causes": [cause.as_data() for cause in self.causes],
        }


@dataclass(frozen=True)
class Step:
    """``user`` (empty: the release itself, at ``origin``) needs ``part``; ``link`` is the first option that says so."""

    user: str
    part: str
    origin: Origin | None = None
    link: Link | None = None

    @property
    def sentence(self) -> str:
        """For people."""
        if not self.user:
            return f"[buildout] parts names {self.part}{f' ({self.origin})' if self.origin else ''}"
        return f"{self.user} needs {self.part}: {self.link.sentence if self.link else ''}".rstrip(": ")


@dataclass(frozen=True)
class Explanation:
    """``line`` of the plan, the changed inputs that led to it, and the steps that lead from the release to the part.

    ``built``: of a part that is present, how it was made; the causes are then what was not as in ``before``.
    """

    line: PlanLine
    causes: tuple[Cause, ...]
    steps: tuple[Step, ...]
    built: PartRecord | None = None
    before: PartRecord | None = None

    @property
    def roots(self) -> tuple[Cause, ...]:
        """The causes that have no other behind them: what somebody changed."""
        return tuple(_ends(self.causes))

    def as_data(self) -> dict[str, Any]:
        """JSON types."""
        steps = [{**asdict(step), "sentence": step.sentence} for step in self.steps]
        return {
            **self.line.as_data(),
            "causes": [cause.as_data() for cause in self.causes],
            "built": self.built.as_data() if self.built else None,
            "before": self.before.as_data() if self.before else None,
            "roots": [cause.as_data() for cause in self.roots],
            "needed_by": steps,
        }


def explain(graph: Graph, observed: Observed, plan: Plan, part: str) -> Explanation:
    """Why ``part``, which the graph has, is in the state that the plan says."""
    line = plan.line(part)
    assert line is not None, part
    return Explanation(line, _causes(graph, observed.known, part, line.changes), _steps(graph, part))


def explain_present(
    graph: Graph, line: PlanLine, built: PartRecord, before: PartRecord | None, known: Mapping[str, Inputs]
) -> Explanation:
    """Why a part that is there was made: what was not as in the one ``before``; ``known`` as of :class:`Observed`."""
    changes = changes_between(before.inputs, built.inputs) if before else ()
    causes = _causes(graph, known, line.part, changes)
    return Explanation(line, causes, _steps(graph, line.part), built, before)


def _causes(graph: Graph, known: Mapping[str, Inputs], part: str, changes: tuple[Difference, ...]) -> tuple[Cause, ...]:
    node = graph.node(part)
    if node is None:
        return ()
    behind = own_reasons(node, changes)
    inner = {name for names in behind.values() for name in names}
    by_name = {change.name: change for change in changes if change.kind == "option"}

    def cause(change: Difference) -> Cause:
        causes = _causes(graph, known, change.name, _changes_of(graph, known, change))
        if change.kind == "option":
            causes = tuple(cause(by_name[name]) for name in behind.get(change.name, ()))
        return Cause(change, _origin_of(node, change), causes)

    return tuple(cause(change) for change in changes if change.kind != "option" or change.name not in inner)


def _changes_of(graph: Graph, known: Mapping[str, Inputs], change: Difference) -> tuple[Difference, ...]:
    """What changed in a dependency since the part was made with an older one; nothing where nobody knows."""
    old = known.get(f"{change.name}/{change.old}") if change.kind == "dependency" else None
    node = graph.node(change.name)
    return changes_between(old, node.inputs) if old and node and node.inputs else ()


def _origin_of(node: PartNode, change: Difference) -> Origin | None:
    if change.kind == "dependency":
        return next((link.origin for link in node.links if link.part == change.name), None)
    return node.place_of(_WRITTEN_AS.get(change.kind, change.name))


def _steps(graph: Graph, part: str) -> tuple[Step, ...]:
    chain = graph.chain_to(part)
    if not chain:
        return ()
    steps = [Step("", chain[0], graph.listed.get(chain[0]))]
    for user, needed in itertools.pairwise(chain):
        node = graph.node(user)
        link = next((link for link in node.links if link.part == needed), None) if node else None
        steps.append(Step(user, needed, link.origin if link else None, link))
    return tuple(steps)


def _ends(causes: tuple[Cause, ...]) -> list[Cause]:
    found: list[Cause] = []
    for cause in causes:
        found += _ends(cause.causes) if cause.causes else [cause]
    return list(dict.fromkeys(found))
