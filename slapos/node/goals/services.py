"""Which services of a started partition are touched, and why.  Everything else is left alone.  Pure.

Invariants: a process keeps its pid unless what it runs changed; a configuration that its check command refused is
not tried again until it changed; a service is added, changed or removed only after a run that succeeded, because
the files of a failed or waiting run may be half of a change.
"""

from __future__ import annotations

import hashlib

from slapos.node.partition.observed import Declared, Observed, Running, ServiceRecord
from slapos.node.plan import Action, Kind, Skip


def token(declared: Declared) -> str:
    """What a refusal is remembered by."""
    return f"{declared.restart} {declared.reload}"


def services_digest(observed: Observed) -> str:
    """Changes when a process was started, restarted or reloaded with something else."""
    parts = [f"{name} {item.restart} {item.reload}" for name, item in sorted(observed.record.services.items())]
    inputs = [f"{key}={value}" for key, value in sorted(observed.record.run_inputs.items())]
    return hashlib.sha256("\n".join(inputs + parts).encode()).hexdigest()


def plan_services(observed: Observed, *, trusted: bool) -> tuple[list[Action], list[Skip]]:
    """Actions and skips for all services; ``trusted``: the last run succeeded with what is wanted now."""
    running = {item.name: item for item in observed.running}
    actions: list[Action] = []
    skips = [Skip(f"service {name}", why) for name, why in sorted(observed.refused.items())]
    if trusted:
        names = {item.name for item in observed.declared}
        actions += [
            Action(Kind.REMOVE, name, "the instance no longer has it") for name in sorted(running) if name not in names
        ]
    for declared in sorted(observed.declared, key=lambda item: item.name):
        record = observed.record.services.get(declared.name)
        step = _step(declared, running.get(declared.name), record, trusted)
        if isinstance(step, Action):
            actions.append(step)
        elif step is not None:
            skips.append(step)
    return actions, skips


def _step(
    declared: Declared, running: Running | None, record: ServiceRecord | None, trusted: bool
) -> Action | Skip | None:
    name = declared.name
    if running is None:
        if record is not None:
            return Action(Kind.ADD, name, "the supervisor does not have it")
        return Action(Kind.ADD, name, "it is new") if trusted else None
    if trusted:
        change = _change(declared, record)
        if change is not None:
            return change
    if running.state == "failed":
        return Action(Kind.START, name, "it ended and should not have")
    if running.state == "stopped":
        return Action(Kind.START, name, "it is stopped")
    return None


def _change(declared: Declared, record: ServiceRecord | None) -> Action | Skip | None:
    name = declared.name
    if record is None:
        return Action(Kind.RESTART, name, "nobody knows with which files it was started")
    if record.restart == declared.restart and record.reload == declared.reload:
        return None
    if record.refused == token(declared):
        return Skip(f"service {name}", f"it refused the new configuration; the old one keeps serving: {record.message}")
    if record.restart != declared.restart:
        return Action(Kind.RESTART, name, "what it runs changed")
    return Action(Kind.RELOAD, name, "its configuration changed")
