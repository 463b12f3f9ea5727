"""The sandbox of a stored part: its work directory, the parts that it is made from, the programs of the machine."""

from __future__ import annotations

import os
from collections.abc import Mapping

from slapos.build.sandbox import Sandbox, available
from slapos.build.store.building import Building
from slapos.build.store.inputs import Inputs
from slapos.build.store.record import SANDBOXED
from slapos.build.store.store import Store
from slapos.build.toolchain_view import view_of_machine

_VIEWS = ".views"


def sandbox_for(building: Building, inputs: Inputs, store: Store) -> tuple[Sandbox | None, str]:
    """The sandbox and what the record says of it; None where none can be made."""
    reason = available()
    if reason:
        return None, f"none: {reason}"
    os.makedirs(building.tree)
    sandbox = Sandbox(
        build=building.work,
        view=view_of_machine(os.path.join(building.root, _VIEWS)),
        readable=closure(store, inputs.dependencies),
        writable={building.location: building.tree},
    )
    return sandbox, SANDBOXED


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
