"""Format a node, describe it, undo it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable
from typing import Any

from slapos.build.toolchain_view import copies_of
from slapos.model.objects import Address, NodeFormat, Partition
from slapos.node.config import NodeConfig
from slapos.node.format.apply import apply_format
from slapos.node.format.layout import Place
from slapos.node.format.observe import machine_id, observe_format, record_path
from slapos.node.format.plan import INTERFACE, FormatAction, FormatPlan, plan_format
from slapos.node.format.wish import make_wish
from slapos.system.accounts import remove_user
from slapos.system.files import read_json
from slapos.system.network import add_address, addresses_of, has_ipv6, remove_address
from slapos.system.proctable import end_processes, of_user, process_table
from slapos.system.removal import remove_tree
from slapos.system.users import find_identity


def make_format_plan(config: NodeConfig) -> FormatPlan:
    """What :func:`format_node` would do now."""
    wish = make_wish(config, machine=machine_id(), ipv6=has_ipv6())
    return plan_format(wish, observe_format(config, wish))


def format_node(config: NodeConfig, say: Callable[[FormatAction], object] = lambda action: None) -> NodeFormat:
    """Users, directories, addresses and descriptions as configured; ``say`` hears each action before it is done."""
    plan = make_format_plan(config)
    apply_format(config, plan, say)
    return describe_node(plan.places)


def describe_node(places: tuple[Place, ...]) -> NodeFormat:
    """What the master is told.  Nodes whose partitions are on one machine's ``lo`` share a network."""
    partitions = tuple(
        Partition(place.reference, tuple(Address(INTERFACE, address) for address in place.addresses))
        for place in places
    )
    network = "lo-" + hashlib.sha256(machine_id().encode()).hexdigest()[:16]
    return NodeFormat(partitions, network, _details())


def _details() -> dict[str, Any]:
    """``os_type`` is the text that existing masters expect: [platform, distribution, version, name]."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    names = [platform.platform(), release.get("ID", ""), release.get("VERSION_ID", ""), release.get("NAME", "")]
    return {
        "os": release.get("PRETTY_NAME", platform.platform()),
        "os_type": json.dumps(names),
        "python": platform.python_version(),
        "python_version": platform.python_version(),
        "version": importlib.metadata.version("hyperopenx"),
        "machine": platform.machine(),
        "processors": os.cpu_count() or 1,
    }


def restore_addresses(config: NodeConfig) -> tuple[str, ...]:
    """Give ``lo`` the recorded addresses that a restart of the machine took; those that were added."""
    if not config.alter_network:
        return ()
    recorded = read_json(record_path(config), {}).get("addresses", {})
    present = addresses_of(INTERFACE)
    missing = sorted({one for many in recorded.values() for one in many if ":" in one} - present)
    for address in missing:
        add_address(INTERFACE, address)
    return tuple(missing)


def deformat_node(config: NodeConfig) -> tuple[str, ...]:
    """Remove the addresses and users that formatting created, and nothing else; their names.

    Processes of those users are ended first, and their copies of compilers go.  Directories stay: who owns the state
    removes them.  Can be repeated.
    """
    created = read_json(record_path(config), {}).get("created", {})
    removed = [address for address in created.get("addresses", ()) if remove_address(INTERFACE, address)]
    for name in created.get("users", ()):
        user = find_identity(name)
        if user is not None and user.uid != 0:
            end_processes(of_user(process_table(), user.uid), grace=5.0)
            remove_tree(copies_of(user.uid))
        if remove_user(name):
            removed.append(name)
    return tuple(removed)
