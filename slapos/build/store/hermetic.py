"""The sandbox of a stored part: its work directory, the parts that it is made from, the programs of the machine."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from slapos.build.options import FALSE, profile_error
from slapos.build.recipe import Recipe
from slapos.build.sandbox import Sandbox, available
from slapos.build.store.building import Building
from slapos.build.store.inputs import Inputs
from slapos.build.store.record import SANDBOXED
from slapos.build.store.store import Store
from slapos.build.toolchain_view import view_of_machine, views_directory
from slapos.build.values import as_text
from slapos.build.watch import BuildLimits

_VIEWS = ".views"


def sandbox_for(building: Building, inputs: Inputs, store: Store, recipe: Recipe) -> tuple[Sandbox | None, str]:
    """The sandbox and what the record says of it; None where none can be made."""
    main = recipe.buildout["buildout"]
    reason = reason_for_none(main)
    if reason:
        return None, f"none: {reason}"
    os.makedirs(building.tree)
    sandbox = Sandbox(
        build=building.work,
        view=view_of_machine(views_directory(os.path.join(building.root, _VIEWS)), recipe.host_packages),
        readable=closure(store, inputs.dependencies),
        writable={building.location: building.tree},
        limits=limits_of(main),
        user=building.user,
    )
    return sandbox, SANDBOXED if sandbox.view.is_exact else f"{SANDBOXED}, with all of /usr"


def know_machine(root: str, packages: tuple[str, ...], main: Mapping[str, Any]) -> None:
    """Find out what sandboxes with these ``packages`` need of the machine, for a store below ``root``: processes that
    are forked afterwards know it."""
    if not reason_for_none(main):
        view_of_machine(views_directory(os.path.join(root, _VIEWS)), packages)


def reason_for_none(main: Mapping[str, Any]) -> str:
    """Why commands run without a sandbox; empty when they run in one."""
    switched_off = as_text(main.get("sandbox", "true")).strip().lower() in FALSE
    return "switched off by [buildout] sandbox" if switched_off else available()


def limits_of(main: Mapping[str, Any]) -> BuildLimits:
    """``command-seconds``, ``command-idle-seconds``, ``command-processes``, ``command-memory`` and ``build-bytes`` of
    ``[buildout]``."""
    return BuildLimits(
        seconds=_number(main, "command-seconds", BuildLimits.seconds),
        idle_seconds=_number(main, "command-idle-seconds", BuildLimits.idle_seconds),
        processes=int(_number(main, "command-processes", BuildLimits.processes)),
        memory_bytes=int(_number(main, "command-memory", BuildLimits.memory_bytes)),
        disk_bytes=int(_number(main, "build-bytes", BuildLimits.disk_bytes)),
    )


def _number(main: Mapping[str, Any], option: str, default: float) -> float:
    text = as_text(main.get(option, default)).strip()
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        raise profile_error(
            f"is a number, not {text[:60]!r}.", section="buildout", option=option, reference="invalid-option"
        )
    return float(text)


def closure(store: Store, dependencies: Mapping[str, str]) -> tuple[str, ...]:
    """Where ``dependencies`` (part → digest) lie with all that they need, directly or not."""
    found: dict[tuple[str, str], str] = {}
    todo = sorted(dependencies.items())
    while todo:
        name = todo.pop(0)
        location = store.find(*name) if name not in found else None
        record = store.record(*name) if location else None
        if location is not None and record is not None:
            found[name] = location
            todo += [(part, digest) for part, _, digest in (need.partition("/") for need in record.needs)]
    return tuple(found.values())
