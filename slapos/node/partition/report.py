"""One sentence for people about an instance after a cycle, and the same for machines.  No effects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slapos.model.objects import Instance, InstanceReport
from slapos.model.states import Health, InstanceState
from slapos.model.trouble import told
from slapos.node import layout
from slapos.node.goals.observed import Observed, Wanted
from slapos.node.plan import Kind, Outcome, Plan

GRACE = 20.0  # seconds after a change of services during which a failing promise means "starting"
_LIMIT = 1000


def make_report(wanted: Wanted, observed: Observed, plan: Plan, outcome: Outcome, now: float) -> InstanceReport:
    """``observed`` is after the cycle, ``plan`` the last one, ``outcome`` what became of it."""
    instance = wanted.instance
    health, sentence = _judge(instance, observed, plan, outcome, now)
    started = instance.state is InstanceState.STARTED
    return InstanceReport(
        guid=instance.guid,
        health=health,
        sentence=sentence if len(sentence) <= _LIMIT else sentence[: _LIMIT - 1] + "…",
        reported_state=_reported_state(instance, observed),
        timestamp=instance.timestamp,
        promises=observed.record.promises if started and observed.record.guid == instance.guid else (),
        error=_error(observed, outcome),
    )


def _error(observed: Observed, outcome: Outcome) -> Mapping[str, Any]:
    """What a person needs to mend the failure: also that of the release for which it waits."""
    if outcome.error is None or outcome.waiting:
        return observed.release_error
    return told(outcome.error)


def working_report(wanted: Wanted, observed: Observed, plan: Plan) -> InstanceReport | None:
    """Said before a plan that takes a while; None when it does not."""
    slow = [action for action in plan.actions if action.kind in (Kind.RUN, Kind.WIPE)]
    if not slow:
        return None
    if wanted.instance.state is InstanceState.DESTROYED:
        sentence = "being destroyed"
    else:
        sentence = f"running buildout: {slow[-1].reason}"
    guid, timestamp = wanted.instance.guid, wanted.instance.timestamp
    return InstanceReport(guid, Health.WORKING, sentence, "", timestamp, (), _last_error(wanted, observed))


def _last_error(wanted: Wanted, observed: Observed) -> Mapping[str, Any]:
    """That of the run which is now repeated; another order may not have it."""
    record = observed.record
    same = record.guid == wanted.instance.guid and record.run_inputs == wanted.inputs
    return record.run_error if same else {}


def _reported_state(instance: Instance, observed: Observed) -> str:
    record = observed.record
    if record.destroyed == instance.guid and not observed.is_dirty:
        return "destroyed"
    if record.guid not in ("", instance.guid) or not observed.exists:
        return ""
    if instance.state is InstanceState.STARTED:
        return "started" if record.run_outcome == "done" and observed.running else ""
    return "" if observed.running else "stopped"


def _judge(instance: Instance, observed: Observed, plan: Plan, outcome: Outcome, now: float) -> tuple[Health, str]:
    if outcome.error is not None:
        return (Health.WAITING if outcome.waiting else Health.ERROR), str(outcome.error)
    waiting = next((skip.reason for skip in plan.skips if skip.waiting), "")
    if instance.state is not InstanceState.STARTED:
        return _ending(_reported_state(instance, observed), waiting)
    if waiting:
        return Health.WAITING, waiting
    if not observed.exists:
        return Health.ERROR, "its partition is not there: format the node"
    return _serving(observed, now)


def _ending(state: str, waiting: str) -> tuple[Health, str]:
    if state == "destroyed":
        return Health.DESTROYED, "destroyed; nothing of it is left on the node"
    if state == "stopped":
        return Health.STOPPED, f"stopped; {waiting}" if waiting else "stopped"
    return Health.WORKING, "stopping"


def _serving(observed: Observed, now: float) -> tuple[Health, str]:
    record = observed.record
    trouble = _trouble(observed)
    if trouble:
        return Health.ERROR, trouble
    failed = [promise for promise in record.promises if not promise.ok]
    if failed:
        first = f"promise {failed[0].name}: {failed[0].message}"
        starting = now < record.changed_at + GRACE
        return (Health.WORKING, f"starting; {first}") if starting else (Health.ERROR, first)
    if not record.promises:
        return Health.OK, "serving" if observed.running else "installed"
    plural = "" if len(record.promises) == 1 else "s"
    return Health.OK, f"serving, {len(record.promises)} promise{plural} ok"


def _trouble(observed: Observed) -> str:
    """What a person must know of the services; empty when nothing."""
    for name, refusal in sorted(observed.record.refusals.items()):
        if any(item.name == name for item in observed.declared):
            return f"{name} refused the new configuration; the old one keeps serving: {refusal.message}"
    for name, why in sorted(observed.refused.items()):
        return f"the service {name!r} is not started: {why}"
    once = {item.name for item in observed.declared if not item.watched}
    for item in observed.running:
        if item.state == "failed" and item.name in once:
            return f"{item.name} of {layout.RUNS} {_end(item.exit_code)}; its log is {item.log}"
        if item.state in ("crashing", "failed"):
            return f"the service {item.name} ends again and again; its log is {item.log}"
    return ""


def _end(code: int | None) -> str:
    return f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with exit status {code}"
