"""One cycle of one release: observe, plan, apply, report."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass

from slapos.build.release import expected_seconds, release_directory
from slapos.model.objects import SupplyStatus
from slapos.model.states import SupplyReport, SupplyState
from slapos.model.trouble import told
from slapos.node.context import Node
from slapos.node.plan import Action, Kind, Outcome, Plan, apply_plan
from slapos.node.records import load_release_record
from slapos.node.software.apply import ReleaseEffects
from slapos.node.software.observe import observe_release
from slapos.node.software.plan import ObservedRelease, plan_release
from slapos.node.software.speaker import Speaker
from slapos.system.locks import locked

LOCK_SECONDS = 3600.0


@dataclass(frozen=True)
class ReleaseCycle:
    """What a cycle came to; see :class:`slapos.node.partition.cycle.Cycle`."""

    subject: str
    settled: str
    plans: tuple[Plan, ...]
    outcome: Outcome
    report: SupplyStatus | None = None
    next_at: float = math.inf


Say = Callable[[SupplyStatus], object]


def plan_release_now(node: Node, release: str) -> Plan:
    """What would be done; nothing is."""
    return plan_release(node.desired.supply(release), observe_release(node, release))


def process_release(
    node: Node,
    release: str,
    say: Say = lambda status: None,
    on_action: Callable[[Action], None] | None = None,
) -> ReleaseCycle:
    """Build or remove; one process at a time per release."""
    lock = node.layout.release_lock(release)
    os.makedirs(os.path.dirname(lock), exist_ok=True)
    with locked(lock, LOCK_SECONDS, f"The release {release}"):
        plan = plan_release_now(node, release)
        building = any(action.kind is Kind.BUILD for action in plan.actions)
        outcome = _build(node, release, plan, say, on_action) if building else _apply(node, release, plan, on_action)
        observed = observe_release(node, release)
    report = make_status(node, observed, plan, outcome)
    settled = "failed" if outcome.error else "ok"
    return ReleaseCycle(release, settled, (plan,), outcome, report)


OnAction = Callable[[Action], None] | None


def _apply(node: Node, release: str, plan: Plan, on_action: OnAction) -> Outcome:
    return apply_plan(plan, ReleaseEffects(node, release, lambda progress: None).table(), on_action)


def _build(node: Node, release: str, plan: Plan, say: Say, on_action: OnAction) -> Outcome:
    before = load_release_record(node.layout, release).error

    def speak(sentence: str) -> None:
        node.progress.say(release, sentence)
        say(SupplyStatus(release, SupplyReport.BUILDING, sentence, before))

    directory = release_directory(node.config.software_root, release)
    try:
        with Speaker(expected=expected_seconds(directory), say=speak) as speaker:
            return apply_plan(plan, ReleaseEffects(node, release, speaker.progress).table(), on_action)
    finally:
        node.progress.say(release, "")


def make_status(node: Node, observed: ObservedRelease, plan: Plan, outcome: Outcome) -> SupplyStatus | None:
    """What the master is told; None when nobody wishes to know."""
    release = observed.release
    supply = node.desired.supply(release)
    if supply is None:
        return None
    if outcome.error is not None:
        return SupplyStatus(release, SupplyReport.ERROR, str(outcome.error), told(outcome.error))
    skip = next((str(skip.reason) for skip in plan.skips), "")
    if supply.state is SupplyState.DESTROYED and not observed.exists:
        return SupplyStatus(release, SupplyReport.DESTROYED, "nothing of it is left on the node")
    if supply.state is SupplyState.DESTROYED:
        return SupplyStatus(release, SupplyReport.AVAILABLE, f"not removed: {skip}")
    if observed.complete:
        return SupplyStatus(release, SupplyReport.AVAILABLE, skip or "built")
    return SupplyStatus(release, SupplyReport.ERROR, skip or "not built")
