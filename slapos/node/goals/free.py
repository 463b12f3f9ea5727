"""Goal: nothing of any instance is left, so that the next one finds an empty partition.  Pure.

Order, and why it is safe: nothing is deleted below a running service; the machine is searched only after the wipe,
so that what it finds is a leftover; the memory of the tenant goes last, so that a cut anywhere continues.
"""

from __future__ import annotations

from slapos.node.goals.observed import Observed
from slapos.node.plan import Action, Kind, Plan


def plan_free(observed: Observed) -> Plan:
    """Whatever it takes to have the partition empty."""
    if not observed.is_dirty:
        return Plan(observed.partition)
    return Plan(observed.partition, (*stops(observed, "its instance is gone"), *erasures(observed)))


def stops(observed: Observed, reason: str) -> list[Action]:
    """One stop per service that the supervisor has."""
    return [Action(Kind.STOP, name, reason) for name in sorted(item.name for item in observed.running)]


def erasures(observed: Observed) -> list[Action]:
    """Wipe, search, forget: those that are still to do."""
    partition, record = observed.partition, observed.record
    actions: list[Action] = []
    wipe = not record.wiped or not observed.empty or observed.has_certificate
    if wipe:
        actions.append(Action(Kind.WIPE, partition, "files of its last instance are there"))
    if wipe or not record.scanned:
        actions.append(Action(Kind.SCAN, partition, "nothing of the instance may stay on the machine"))
    actions.append(Action(Kind.FORGET, partition, "nothing of its last instance is left"))
    return actions
