"""Nodes of the legacy listener may call themselves what they want: in a message, their name becomes ``COMP-<n>``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slapos.master.field.identification import legacy_node
from slapos.master.storage.blocking import may_block
from slapos.master.storage.database import Storage
from slapos.master.storage.identities import node_number
from slapos.model.errors import NotFound

NODE = "computer_guid"
WISHES = ("sla_parameters", "sla")


def is_own_name(name: object) -> bool:
    """Whether it is a text that only a node itself can have chosen."""
    return isinstance(name, str) and bool(name) and node_number(name) is None


def with_known_nodes(storage: Storage, message: Mapping[str, Any]) -> Mapping[str, Any]:
    """A JSON message whose node, and the one that an order wishes, are the master's; unknown names stay."""
    found = _known(storage, message)
    for name in WISHES:
        wish = message.get(name)
        if isinstance(wish, Mapping):
            found = {**found, name: _known(storage, wish)}
    return found


def _known(storage: Storage, holder: Mapping[str, Any]) -> Mapping[str, Any]:
    name = holder.get(NODE)
    if not isinstance(name, str) or not is_own_name(name):
        return holder
    may_block()
    try:
        return {**holder, NODE: storage.read(lambda tx: legacy_node(tx, name))}
    except NotFound:
        return holder
