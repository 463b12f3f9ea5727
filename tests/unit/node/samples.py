"""Instances and records for the tests of the node."""

from __future__ import annotations

import dataclasses
from typing import Any

from slapos.model.objects import Address, Instance
from slapos.model.states import InstanceState

INSTANCE = Instance(
    guid="SOFTINST-1",
    title="one",
    root_guid="SOFTINST-1",
    root_title="one",
    project="main",
    release="/release/software.cfg",
    software_type="default",
    state=InstanceState.STARTED,
    parameters={"text": "hello"},
    sla={},
    connection={},
    node="COMP-1",
    partition="slappart0",
    addresses=(Address("lo", "127.0.0.1"), Address("lo", "::1")),
    timestamp=7,
)


def instance(**changes: Any) -> Instance:
    """The sample with ``changes``; a state may be given as text."""
    if "state" in changes:
        changes["state"] = InstanceState(changes["state"])
    return dataclasses.replace(INSTANCE, **changes)
