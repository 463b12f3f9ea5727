"""Goal: the instance is gone and proof of it can be given to the master.  Pure.

Order: the instance's own pre-destruction scripts run while its services still do; a retention delay keeps the data,
not the services; then as for a free partition.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

from slapos.node.goals.free import erasures, plan_free, stops
from slapos.node.goals.observed import Observed, Wanted
from slapos.node.plan import Action, Kind, Plan, Skip

DAY = 86400.0


def retention_delay(text: str) -> float:
    """Days (SLA key ``retention_delay``) → seconds; what is no number keeps the data until a person decides."""
    try:
        days = float(text or 0)
    except ValueError:
        return math.inf
    return math.inf if math.isnan(days) else max(days, 0.0) * DAY


def plan_destroyed(wanted: Wanted, observed: Observed, now: float) -> Plan:
    """The rest of the way to an empty partition."""
    guid, record, partition = wanted.instance.guid, observed.record, observed.partition
    if not observed.is_dirty:
        if record.destroyed == guid:
            return Plan(partition)
        return Plan(partition, (Action(Kind.FORGET, partition, "nothing of the instance is here"),))
    if record.guid != guid:
        return plan_free(observed)
    delay = retention_delay(wanted.instance.sla.get("retention_delay", ""))
    if delay and (not record.retention_until or now < record.retention_until):
        return _held(observed, delay, now)
    actions = [] if record.wiped else _prerms(observed)
    actions += stops(observed, "the instance is wanted destroyed")
    return Plan(partition, (*actions, *erasures(observed)))


def _prerms(observed: Observed) -> list[Action]:
    return [
        Action(Kind.PRERM, name, "the instance wants to do it before it ends")
        for name in observed.prerm
        if name not in observed.record.prerm_done
    ]


def _held(observed: Observed, delay: float, now: float) -> Plan:
    until = observed.record.retention_until
    actions = [] if until or math.isinf(delay) else [Action(Kind.HOLD, observed.partition, "its order asks for it")]
    actions += stops(observed, "the instance is wanted destroyed")
    end = until or now + delay
    if math.isinf(end):
        why = "its retention_delay is not a number of days; its data stays until that is corrected"
    else:
        why = f"its data is kept until {datetime.fromtimestamp(end, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return Plan(observed.partition, tuple(actions), (Skip(observed.partition, why, waiting=True),))
