"""Rows of instances and nodes as objects of the model."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Select, bindparam, case, select

from slapos.master.storage import tables
from slapos.master.storage.blocking import may_block
from slapos.master.storage.identities import instance_guid, node_reference
from slapos.master.storage.prepared import Row, prepared
from slapos.master.storage.transaction import Transaction
from slapos.model.objects import Address, Instance, PromiseResult, SharedInstance
from slapos.model.states import Health, InstanceState

_root = tables.instances.alias("root")
_place = tables.partitions.alias("place")


__all__ = ["Row", "dump", "instance_row", "select_instances", "shared_of", "to_instances", "to_shared", "wanted_state"]


MANY = 100  # shared instances: to write them down takes long


def dump(value: Any) -> str:
    """JSON text; the order of keys is kept."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@functools.cache
def select_instances() -> Select[Any]:
    """Instances with their root's title and state and their place (of a shared instance: its host's)."""
    instances = tables.instances
    lives_as = case((instances.c.shared, instances.c.host), else_=instances.c.number)
    return (
        select(
            instances,
            _root.c.title.label("root_title"),
            _root.c.state.label("root_state"),
            _place.c.node.label("node"),
            _place.c.reference.label("partition"),
            _place.c.addresses.label("addresses"),
        )
        .select_from(instances)
        .join(_root, _root.c.number == instances.c.tree)
        .outerjoin(_place, _place.c.instance == lives_as)
    )


@prepared
def _by_number() -> Select[Any]:
    return select_instances().where(tables.instances.c.number == bindparam("of_number"))


def instance_row(tx: Transaction, number: int | None) -> Row | None:
    if number is None:
        return None
    return _by_number.row(tx, of_number=number)


def wanted_state(row: Row, *, for_node: bool = False) -> InstanceState:
    """A stopped root stops its tree; a destroyed instance that is retained is only stopped on its node."""
    own = InstanceState(row["state"])
    if own is InstanceState.DESTROYED:
        kept = for_node and row["retained"] is not None
        return InstanceState.STOPPED if kept else InstanceState.DESTROYED
    return InstanceState.STOPPED if row["root_state"] != InstanceState.STARTED.value else own


def to_instance(row: Row, shared: Sequence[SharedInstance] = (), *, for_node: bool = False) -> Instance:
    """``shared`` are those that it hosts; ``for_node``: as its node must bring it about."""
    return Instance(
        guid=instance_guid(row["number"]),
        title=row["title"],
        root_guid=instance_guid(row["tree"]),
        root_title=row["root_title"],
        project=row["project"],
        release=row["release"],
        software_type=row["software_type"],
        state=wanted_state(row, for_node=for_node),
        parameters=json.loads(row["parameters"]),
        sla=json.loads(row["sla"]),
        connection=json.loads(row["connection"]),
        shared=row["shared"],
        node=node_reference(row["node"]) if row["node"] is not None else "",
        partition=row["partition"] or "",
        addresses=to_addresses(row["addresses"]),
        requester_guid=instance_guid(row["requester"]) if row["requester"] is not None else "",
        orphan=row["orphan"],
        shared_instances=tuple(shared),
        timestamp=row["timestamp"],
        generation=row["generation"],
        reported_state=row["reported_state"],
        health=Health(row["health"]),
        sentence=row["sentence"],
        reasons=tuple(json.loads(row["reasons"])),
        promises=tuple(PromiseResult(**promise) for promise in json.loads(row["promises"])),
        error=json.loads(row["error"]),
    )


def to_addresses(text: str | None) -> tuple[Address, ...]:
    return tuple(Address(interface, ip) for interface, ip in json.loads(text or "[]"))


def to_shared(row: Row) -> SharedInstance:
    return SharedInstance(
        guid=instance_guid(row["number"]),
        title=row["title"],
        software_type=row["software_type"],
        parameters=json.loads(row["parameters"]),
        connection=json.loads(row["connection"]),
        state=wanted_state(row),
        timestamp=row["timestamp"],
    )


def shared_of(tx: Transaction, hosts: Iterable[int]) -> Mapping[int, list[SharedInstance]]:
    """The live shared instances of each host, oldest first."""
    wanted = list(hosts)
    found: dict[int, list[SharedInstance]] = {}
    if len(wanted) == 1:
        guests = _of_host.rows(tx, of_host=wanted[0])
        if len(guests) > MANY:
            may_block()
        return {wanted[0]: [to_shared(row) for row in guests]} if guests else found
    for chunk in (wanted[start : start + 500] for start in range(0, len(wanted), 500)):
        for row in tx.execute(_of_hosts(), {"of_hosts": chunk}).mappings():
            found.setdefault(row["host"], []).append(to_shared(row))
    return found


@prepared
def _of_host() -> Select[Any]:
    instances = tables.instances
    of_host = instances.c.host == bindparam("of_host")
    return select_instances().where(of_host, instances.c.gone.is_(None)).order_by(instances.c.number)


@functools.cache
def _of_hosts() -> Select[Any]:
    instances = tables.instances
    of_hosts = instances.c.host.in_(bindparam("of_hosts", expanding=True))
    return select_instances().where(of_hosts, instances.c.gone.is_(None)).order_by(instances.c.number)


def to_instances(tx: Transaction, rows: Sequence[Row], *, for_node: bool = False) -> list[Instance]:
    shared = shared_of(tx, [row["number"] for row in rows if not row["shared"]])
    found = [to_instance(row, shared.get(row["number"], ()), for_node=for_node) for row in rows]
    elsewhere = [row["number"] for row in rows if row["forwarded"]]
    return _placed_elsewhere(tx, found, elsewhere) if elsewhere else found


def _placed_elsewhere(tx: Transaction, instances: list[Instance], numbers: Sequence[int]) -> list[Instance]:
    """Those of other masters say where they live, in the words of those."""
    forwards = tables.forwards
    places = {}
    for chunk in (numbers[start : start + 500] for start in range(0, len(numbers), 500)):
        for row in tx.execute(select(forwards).where(forwards.c.instance.in_(chunk))).mappings():
            place = {"node": row["node"], "partition": row["partition"], "master": row["master"].rstrip("/")}
            places[instance_guid(row["instance"])] = place
    return [replace(instance, **places.get(instance.guid, {})) for instance in instances]
