"""Which goal a partition has: one file per goal in ``slapos.node.goals``.  Pure."""

from __future__ import annotations

from slapos.model.states import InstanceState
from slapos.node.goals.destroyed import plan_destroyed
from slapos.node.goals.free import plan_free
from slapos.node.goals.observed import Observed, Wanted
from slapos.node.goals.started import plan_started
from slapos.node.goals.stopped import plan_stopped
from slapos.node.plan import Plan, Skip


def plan_partition(wanted: Wanted | None, observed: Observed, now: float) -> Plan:
    """What to do with a partition; ``wanted`` None means free, ``now`` is UTC epoch seconds."""
    if not observed.exists:
        if wanted is None:
            return Plan(observed.partition)
        return Plan(observed.partition, (), (Skip(observed.partition, "its directory is not there: format the node"),))
    if wanted is None:
        return plan_free(observed)
    if wanted.instance.state is InstanceState.STARTED:
        return plan_started(wanted, observed, now)
    if wanted.instance.state is InstanceState.STOPPED:
        return plan_stopped(wanted, observed)
    return plan_destroyed(wanted, observed, now)
