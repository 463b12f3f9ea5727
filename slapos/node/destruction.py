"""Wiping a partition, and the proof that nothing of its last instance is left on the machine."""

from __future__ import annotations

import dataclasses
import os

from slapos.model.errors import MachineError
from slapos.node import certificates, layout
from slapos.node.context import Node
from slapos.node.format import make_format_plan
from slapos.node.format.apply import apply_format
from slapos.node.format.plan import FormatKind
from slapos.node.partition.services import Place
from slapos.system.below import list_below
from slapos.system.leftovers import Leftover, LeftoverKind, Tenant, find_leftovers, remove_leftover
from slapos.system.removal import remove_tree

_ROUNDS = 3
_SHOWN = 5


def wipe(node: Node, place: Place) -> None:
    """End what still runs, then remove files, certificate and logs.  Continued when it was cut."""
    for found in find_leftovers(_tenant(place)):
        if found.kind is LeftoverKind.PROCESS:
            remove_leftover(found)
    for name, _ in list_below(place.directory):
        if name != layout.RESOURCE:
            remove_tree(os.path.join(place.directory, name))
    certificates.remove_certificate(node.layout, place.partition)
    remove_tree(place.logs)
    _describe(node, place.partition)


def scan(node: Node, place: Place) -> None:
    """Remove what is found; :class:`MachineError` ``leftovers`` names what cannot be removed."""
    found: tuple[Leftover, ...] = ()
    for _ in range(_ROUNDS):
        found = find_leftovers(_tenant(place))
        if not found:
            return
        for leftover in found:
            if leftover.kind is not LeftoverKind.MOUNT:
                remove_leftover(leftover)
    found = find_leftovers(_tenant(place))
    if not found:
        return
    shown = ", ".join(str(item) for item in found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
    raise MachineError(
        f"{place.partition} cannot be given to another instance: {shown} is left.",
        reference="leftovers",
        context={"partition": place.partition, "leftovers": [str(item) for item in found[:100]]},
        hint="Remove it by hand (umount a mount point, end a process); it is looked at again.",
    )


def _tenant(place: Place) -> Tenant:
    user = place.user
    if not place.switch:
        return Tenant(directory=place.directory)
    return Tenant(directory=place.directory, uid=user.uid, name=user.name, gids=frozenset(user.groups))


def _describe(node: Node, partition: str) -> None:
    """The description of the partition was in the hands of the instance: it is what format writes again."""
    plan, directory = make_format_plan(node.config), node.config.partition_directory(partition)
    actions = tuple(
        action
        for action in plan.actions
        if action.kind is FormatKind.DESCRIBE and action.details["partition"] == directory
    )
    apply_format(node.config, dataclasses.replace(plan, actions=actions), lambda action: None)
