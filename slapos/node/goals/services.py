"""Which services of a started partition are touched, and why.  Everything else is left alone.  Pure.

Invariants: a process keeps its pid unless what it runs changed; a configuration that its check command refused is
not tried again until it changed; a program that runs once and failed is started again only once it or the order
changed; a service is added, changed or removed only after a run that succeeded, because the files of a failed or
waiting run may be half of a change; none is removed while its folder cannot be read.
"""

from __future__ import annotations

import hashlib

from slapos.node.goals.observed import Declared, Observed, Record, Refusal, Running
from slapos.node.plan import Action, Kind, Skip


def token(declared: Declared) -> str:
    """What a refusal is remembered by."""
    return f"{declared.restart} {declared.reload}"


def services_digest(observed: Observed) -> str:
    """Changes when a process was started, restarted or reloaded with something else."""
    parts = sorted(f"{item.name} {item.restart} {item.reload}" for item in observed.running)
    inputs = [f"{key}={value}" for key, value in sorted(observed.record.run_inputs.items())]
    return hashlib.sha256("\n".join(inputs + parts).encode()).hexdigest()


def plan_services(observed: Observed, *, trusted: bool) -> tuple[list[Action], list[Skip]]:
    """Actions and skips for all services; ``trusted``: the last run succeeded with what is wanted now."""
    running = {item.name: item for item in observed.running}
    actions: list[Action] = []
    skips = [Skip(f"service {name!r}", why) for name, why in sorted(observed.refused.items())]
    if trusted and not any("/" in name for name in observed.refused):  # a folder that cannot be read hides services
        names = {item.name for item in observed.declared}
        actions += [
            Action(Kind.REMOVE, name, "the instance no longer has it") for name in sorted(running) if name not in names
        ]
    for declared in sorted(observed.declared, key=lambda item: item.name):
        refusal = observed.record.refusals.get(declared.name)
        process = running.get(declared.name)
        step = _step(declared, process, refusal, trusted) or _again(declared, process, observed.record, trusted)
        if isinstance(step, Action):
            actions.append(step)
        elif step is not None:
            skips.append(step)
    return actions, skips


def _step(declared: Declared, running: Running | None, refusal: Refusal | None, trusted: bool) -> Action | Skip | None:
    name = declared.name
    if running is None:
        return Action(Kind.ADD, name, "it is new") if trusted else None
    if trusted and (running.restart, running.reload) != (declared.restart, declared.reload):
        return _change(declared, running, refusal)
    if running.state == "failed" and declared.watched:
        return Action(Kind.START, name, "it failed")
    if running.state == "stopped":
        return Action(Kind.START, name, "it is stopped")
    return None


def _again(declared: Declared, running: Running | None, record: Record, trusted: bool) -> Action | None:
    """One that runs once, and failed before the instance was processed with something new."""
    failed = running is not None and running.state == "failed" and running.since < record.renewed_at
    if not (failed and trusted) or declared.watched:
        return None
    return Action(Kind.START, declared.name, "it failed, and the instance was processed after a change")


def _change(declared: Declared, running: Running, refusal: Refusal | None) -> Action | Skip:
    name = declared.name
    if refusal is not None and refusal.token == token(declared):
        why = f"it refused the new configuration; the old one keeps serving: {refusal.message}"
        return Skip(f"service {name}", why)
    if running.restart != declared.restart or running.state not in ("running", "crashing"):
        return Action(Kind.RESTART, name, "what it runs changed")
    return Action(Kind.RELOAD, name, "its configuration changed")
