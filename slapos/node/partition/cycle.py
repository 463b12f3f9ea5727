"""One cycle of one partition: observe, plan, apply, report."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass

from slapos.model.objects import InstanceReport
from slapos.model.states import Health
from slapos.node.context import Node
from slapos.node.goals.observed import Observed, Wanted
from slapos.node.partition.apply import PartitionEffects
from slapos.node.partition.observe import observe
from slapos.node.partition.plan import plan_partition
from slapos.node.partition.report import make_report, working_report
from slapos.node.plan import Action, Outcome, Plan, apply_plan
from slapos.system.locks import locked

_ROUNDS = 4  # a partial plan is followed by another one: two are enough, unless the order changes meanwhile
LOCK_SECONDS = 600.0


@dataclass(frozen=True)
class Cycle:
    """What a cycle came to.  ``next_at``: when to look again though nothing happens (UTC epoch seconds)."""

    subject: str
    settled: str  # ok, waiting or failed
    plans: tuple[Plan, ...]
    outcome: Outcome
    report: InstanceReport | None = None
    next_at: float = math.inf


Say = Callable[[InstanceReport], object]


def plan_now(node: Node, partition: str) -> Plan:
    """What would be done; nothing is."""
    wanted, observed = observe(node, partition)
    return plan_partition(wanted, observed, node.clock.wall())


def process_partition(
    node: Node,
    partition: str,
    say: Say = lambda report: None,
    on_action: Callable[[Action], None] | None = None,
) -> Cycle:
    """Bring the partition where it must be, or as far as it goes.  One process at a time per partition."""
    lock = node.layout.partition_lock(partition)
    os.makedirs(os.path.dirname(lock), exist_ok=True)
    with locked(lock, LOCK_SECONDS, f"The partition {partition}"):
        node.supervisor.ensure()
        return _process(node, partition, say, on_action)


def _process(node: Node, partition: str, say: Say, on_action: Callable[[Action], None] | None) -> Cycle:
    plans: list[Plan] = []
    wanted, observed = observe(node, partition)
    for _ in range(_ROUNDS):
        plan = plan_partition(wanted, observed, node.clock.wall())
        plans.append(plan)
        if wanted is not None and (working := working_report(wanted, observed, plan)) is not None:
            say(working)
        outcome = _apply(node, partition, wanted, plan, on_action)
        if plan.actions:
            wanted, observed = observe(node, partition)
        if outcome.error is not None or not plan.partial:
            break
    now = node.clock.wall()
    report = None if wanted is None else make_report(wanted, observed, plan, outcome, now)
    return Cycle(
        subject=partition,
        settled=_settled(plan, outcome, report),
        plans=tuple(plans),
        outcome=outcome,
        report=report,
        next_at=_next_look(wanted, observed),
    )


def _apply(
    node: Node,
    partition: str,
    wanted: Wanted | None,
    plan: Plan,
    on_action: Callable[[Action], None] | None,
) -> Outcome:
    effects = PartitionEffects(node=node, place=node.place(partition), wanted=wanted)
    return apply_plan(plan, effects.table(), on_action)


def _settled(plan: Plan, outcome: Outcome, report: InstanceReport | None) -> str:
    if outcome.error is not None:
        return "waiting" if outcome.waiting else "failed"
    if any(skip.waiting for skip in plan.skips):
        return "waiting"
    bad = report is not None and report.health in (Health.ERROR, Health.WORKING)
    return "failed" if bad else "ok"


def _next_look(wanted: Wanted | None, observed: Observed) -> float:
    """The earliest moment at which time alone changes the plan."""
    if wanted is None:
        return math.inf
    moments = [observed.record.retention_until or math.inf]
    if observed.record.run_outcome == "done" and observed.release_ready:
        moments += [observed.renew_at or math.inf, observed.promises_due if observed.has_promises else math.inf]
        if observed.period > 0:
            moments.append(observed.record.run_at + observed.period)
    return min(moments)
