"""Goal: the instance runs with what was ordered, and keeps its promises.  Pure.

Order, and why it is safe: the directory belongs to the instance before anything of it is written; the certificate
exists before a recipe calls the master; the profile is whole before buildout reads it; services change only after
the run; promises are asked last, of what runs then.
"""

from __future__ import annotations

from slapos.node.goals.free import plan_free
from slapos.node.goals.observed import ENGINE, ORDER, RELEASE, Observed, Wanted
from slapos.node.goals.services import plan_services, services_digest
from slapos.node.plan import Action, Kind, Plan, Skip

_CHANGES = {
    ORDER: "the order changed",
    RELEASE: "the release was built again",
    ENGINE: "hyperopenx was upgraded",
}
_ENDS = {
    "waiting": "the last run waited: {}",
    "failed": "the last run failed: {}",
    "timeout": "the last run took too long",
}


def plan_started(wanted: Wanted, observed: Observed, now: float) -> Plan:
    """The rest of the way to a running instance."""
    guid = wanted.instance.guid
    if observed.record.guid not in ("", guid) or (not observed.record.guid and observed.is_dirty):
        before = plan_free(observed)
        after = plan_started(wanted, observed.emptied(), now)
        return Plan(observed.partition, before.actions + after.actions, before.skips + after.skips, after.partial)
    if not observed.release_ready:
        actions, skips = plan_services(observed, trusted=False)
        return Plan(observed.partition, tuple(actions), (*skips, _waiting_for_release(wanted, observed)))
    actions = _files(wanted, observed, now)
    reason = run_reason(wanted, observed, now)
    if reason:
        actions.append(Action(Kind.RUN, observed.partition, reason))
        skip = Skip("services and promises", "decided once buildout has run")
        return Plan(observed.partition, tuple(actions), (skip,), partial=True)
    more, skips = plan_services(observed, trusted=True)
    actions += more
    if observed.children != observed.record.children:
        actions.append(Action(Kind.CHILDREN, observed.partition, "the list changed"))
    reason = _promise_reason(observed, now, changing=bool(more))
    if reason:
        actions.append(Action(Kind.PROMISES, observed.partition, reason))
    return Plan(observed.partition, tuple(actions), tuple(skips))


def _waiting_for_release(wanted: Wanted, observed: Observed) -> Skip:
    why = observed.release_sentence or f"waiting for the release {wanted.instance.release}"
    return Skip(observed.partition, why, waiting=True)


def _files(wanted: Wanted, observed: Observed, now: float) -> list[Action]:
    actions: list[Action] = []
    partition = observed.partition
    if not observed.record.guid:
        actions.append(Action(Kind.PREPARE, partition, f"{wanted.instance.title} moves in"))
    elif not observed.prepared:
        actions.append(Action(Kind.PREPARE, partition, "owner, mode or links are not as they must be"))
    if observed.renew_at is None:
        actions.append(Action(Kind.CERTIFY, partition, "it has none"))
    elif now >= observed.renew_at:
        actions.append(Action(Kind.CERTIFY, partition, "half of its life is over"))
    if observed.files != wanted.files:
        actions.append(Action(Kind.WRITE, partition, "they differ from what is wanted"))
    return actions


def run_reason(wanted: Wanted, observed: Observed, now: float) -> str:
    """Why buildout must run; empty when it need not."""
    record = observed.record
    if not record.run_inputs:
        return "it never ran here"
    for key, phrase in _CHANGES.items():
        if record.run_inputs.get(key) != wanted.inputs.get(key):
            return phrase
    if record.run_outcome != "done":
        return _ENDS.get(record.run_outcome, "the last run did not end").format(record.run_sentence)
    return "its period is over" if 0 <= observed.period <= now - record.run_at else ""


def _promise_reason(observed: Observed, now: float, *, changing: bool) -> str:
    if not observed.has_promises:
        return "it has none any more" if observed.record.promises else ""
    if changing or observed.record.promises_for != services_digest(observed):
        return "something changed"
    if any(not promise.ok for promise in observed.record.promises):
        return "one failed"
    if now >= observed.promises_due:
        return "it is time"
    return ""
