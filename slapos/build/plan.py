"""What a build of a release would do, part by part, and why.  Pure: what is there comes as :class:`Observed`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal

from slapos.build.graph import Graph, PartNode
from slapos.build.store.inputs import Difference, Inputs, differences

State = Literal["present", "cached", "build", "private", "opaque", "problem"]

STATES: Mapping[State, str] = {
    "present": "the store has it",
    "cached": "it comes from the binary cache",
    "build": "it is built into the store",
    "private": "it is made in the directory of the release",
    "opaque": "its recipe is not ours: nobody knows before it runs",
    "problem": "its section cannot be evaluated",
}
_STORED_PATH = re.compile(r"@STORE@/([^/\s]+)/[0-9a-f]{32}")


@dataclass(frozen=True)
class Observed:
    """What is there already.

    ``present``: part → its location in a store; ``cached``: part → bytes to fetch from the binary cache; ``former``:
    part → what it was last made from, for this release if that is known, else for any; ``released``: parts of which
    ``former`` is what this release was made with; ``known``: ``part/digest`` → what it was made from, of all that these
    were made from, as far as the store still has it; ``missing``: part → bytes of its sources that are not on this
    machine, None where nobody knows; ``seconds``: part → of its last build.
    """

    present: Mapping[str, str] = field(default_factory=dict)
    cached: Mapping[str, int] = field(default_factory=dict)
    former: Mapping[str, Inputs] = field(default_factory=dict)
    released: frozenset[str] = frozenset()
    known: Mapping[str, Inputs] = field(default_factory=dict)
    missing: Mapping[str, int | None] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PlanLine:
    """One part: its ``state``, and ``reason`` as a phrase for people.

    ``seconds``: expected, None when it was never made; ``download_bytes``: None when nobody knows; ``digest`` and
    ``location`` of a part of the store; ``changes``: what is not as it was in ``former``, the digest of its last build;
    ``unconfined``: what is run for it runs without a sandbox.
    """

    part: str
    state: State
    reason: str
    seconds: float | None = None
    download_bytes: int | None = 0
    digest: str = ""
    location: str = ""
    former: str = ""
    changes: tuple[Difference, ...] = ()
    unconfined: bool = False

    def as_data(self) -> dict[str, Any]:
        """JSON types; each change with its sentence."""
        changes = [{**asdict(change), "sentence": change.sentence} for change in self.changes]
        return {**asdict(self), "changes": changes}


@dataclass(frozen=True)
class Plan:
    """A line per part, in the order in which they would be processed."""

    lines: tuple[PlanLine, ...]

    def line(self, part: str) -> PlanLine | None:
        """That of one part."""
        return self._lines.get(part)

    @cached_property
    def _lines(self) -> dict[str, PlanLine]:
        return {line.part: line for line in self.lines}

    def of_state(self, *states: State) -> tuple[PlanLine, ...]:
        """The lines in one of the states."""
        return tuple(line for line in self.lines if line.state in states)

    @property
    def seconds(self) -> float:
        """Expected for all that is to be made, one after another; what was never made counts as nothing."""
        return sum(line.seconds or 0.0 for line in self.lines)

    @property
    def download_bytes(self) -> int:
        """Of all that is known."""
        return sum(line.download_bytes or 0 for line in self.lines)

    def as_data(self) -> dict[str, Any]:
        """JSON types; ``unknown_seconds`` and ``unknown_bytes`` count the parts that the sums leave out."""
        return {
            "parts": [line.as_data() for line in self.lines],
            "states": {state: len(self.of_state(state)) for state in STATES},
            "seconds": self.seconds,
            "unknown_seconds": sum(line.seconds is None for line in self.of_state("build")),
            "download_bytes": self.download_bytes,
            "unknown_bytes": sum(line.download_bytes is None for line in self.lines),
        }


def make_plan(graph: Graph, observed: Observed) -> Plan:
    """What building ``graph`` would do where things are as ``observed``."""
    return Plan(tuple(_line(node, observed) for node in graph.parts))


def is_plain(graph: Graph, line: PlanLine) -> bool:
    """A part of the release's own directory that fetches and runs nothing and has nothing to do with others: a copied
    file."""
    node = graph.node(line.part)
    if line.state != "private" or line.unconfined or node is None:
        return False
    return not (node.sources or node.needs or graph.users(line.part))


def changes_between(old: Inputs, new: Inputs) -> tuple[Difference, ...]:
    """As :func:`differences`, without options that differ only in the digests of parts that they name."""
    found = differences(_without_digests(old), _without_digests(new))
    return tuple(found or differences(old, new))


def changes_sentence(changes: Iterable[Difference]) -> str:
    """All changes as one phrase; of more than two the number."""
    sentences = [change.sentence for change in changes]
    if len(sentences) > 2:
        return f"{sentences[0]}, and {len(sentences) - 1} more changes"
    return " and ".join(sentences)


def own_reasons(node: PartNode, changes: Iterable[Difference]) -> dict[str, tuple[str, ...]]:
    """Changed option → changed options of the same part that its text names, and that so explain it."""
    changed = {change.name for change in changes if change.kind == "option"}
    found = {name: tuple(other for other in node.reads.get(name, ()) if other in changed) for name in changed}
    return {name: others for name, others in found.items() if others}


def _first_changes(node: PartNode, changes: tuple[Difference, ...]) -> list[Difference]:
    """Without options that changed because another one did."""
    explained = own_reasons(node, changes)
    return [change for change in changes if change.kind != "option" or change.name not in explained]


def _without_digests(inputs: Inputs) -> Inputs:
    shorter = {option: _STORED_PATH.sub(r"@STORE@/\1", text) for option, text in inputs.options.items()}
    return dataclasses.replace(inputs, options=shorter)


def _line(node: PartNode, observed: Observed) -> PlanLine:
    seconds = observed.seconds.get(node.name)
    if node.problem:
        return PlanLine(node.name, "problem", node.problem, 0.0)
    if node.opaque:
        reason = f"{node.recipe} is not ours, and runs without a sandbox"
        return PlanLine(node.name, "opaque", reason, seconds, None, unconfined=True)
    if node.inputs is None:
        reason = node.private + ("; its commands run without a sandbox" if node.unconfined else "")
        missing = observed.missing.get(node.name, 0)
        return PlanLine(node.name, "private", reason, seconds, missing, unconfined=node.unconfined)
    return _stored_line(node, node.inputs, observed)


def _stored_line(node: PartNode, inputs: Inputs, observed: Observed) -> PlanLine:
    part = node.name
    location = str(node.outputs.get("location", ""))
    if part in observed.present:
        place = observed.present[part]
        return PlanLine(part, "present", "unchanged", 0.0, 0, inputs.digest, place)
    former = observed.former.get(part)
    changes = changes_between(former, inputs) if former else ()
    line = PlanLine(
        part=part,
        state="build",
        reason=_reason(part, former, _first_changes(node, changes), observed),
        seconds=observed.seconds.get(part),
        download_bytes=observed.missing.get(part),
        digest=inputs.digest,
        location=location,
        former=former.digest if former else "",
        changes=changes,
    )
    if part in observed.cached:
        return dataclasses.replace(line, state="cached", seconds=0.0, download_bytes=observed.cached[part])
    return line


def _reason(part: str, former: Inputs | None, changes: list[Difference], observed: Observed) -> str:
    if former is None:
        return "it was never built here"
    if not changes:
        return "it was built with the same inputs, but is not in the store any more"
    if part in observed.released:
        return changes_sentence(changes)
    return f"the store has another {part}: {changes_sentence(changes)}"
