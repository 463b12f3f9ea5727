"""One cycle of the store: observe, plan, apply, report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from slapos.model.text import size_text
from slapos.node.context import Node
from slapos.node.plan import Action, Outcome, Plan, apply_plan
from slapos.node.store.apply import StoreEffects
from slapos.node.store.observe import observe_store
from slapos.node.store.plan import plan_store
from slapos.system.locks import locked

LOCK_SECONDS = 60.0


@dataclass(frozen=True)
class StoreCycle:
    """What a cycle came to; ``removed`` parts had ``freed`` bytes."""

    plan: Plan
    outcome: Outcome
    removed: int = 0
    freed: int = 0

    @property
    def sentence(self) -> str:
        """For people."""
        if self.outcome.error is not None:
            return str(self.outcome.error)
        waiting = f", {len(self.plan.skips)} wait for the end of their grace time" if self.plan.skips else ""
        return f"{self.removed} unused parts were removed, {size_text(self.freed)} freed{waiting}."


def plan_store_now(node: Node, grace: float | None = None) -> Plan:
    """What would be done; nothing is.  ``grace``: seconds, the configured ones by default."""
    observed = observe_store(node)
    if observed is None:
        return Plan(node.config.store_root[0])
    return plan_store(observed, node.clock.wall(), node.config.collect_grace if grace is None else grace)


def process_store(
    node: Node, grace: float | None = None, on_action: Callable[[Action], None] | None = None
) -> StoreCycle:
    """Remove what nothing uses; one process at a time per node."""
    with locked(node.layout.store_lock, LOCK_SECONDS, "The store of the node"):
        plan = plan_store_now(node, grace)
        effects = StoreEffects(node, plan.subject)
        outcome = apply_plan(plan, effects.table(), on_action)
        effects.remember()
    return StoreCycle(plan, outcome, len(effects.freed), sum(effects.freed))
