"""Goal: no process of the instance runs; its files stay.  Pure."""

from __future__ import annotations

from slapos.node.goals.free import plan_free, stops
from slapos.node.goals.observed import Observed, Wanted
from slapos.node.plan import Plan


def plan_stopped(wanted: Wanted, observed: Observed) -> Plan:
    """Stop what runs, nothing else.  What another instance left is removed first."""
    if observed.record.guid not in ("", wanted.instance.guid):
        return plan_free(observed)
    return Plan(observed.partition, tuple(stops(observed, "the instance is wanted stopped")))
