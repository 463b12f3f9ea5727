"""Nodes: what one must bring about, what it reports, how people see it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select, func, select, update

from slapos.master.authorization import Action
from slapos.master.services import access, history, supplies
from slapos.master.services.changes import touch
from slapos.master.services.formatting import format_node
from slapos.master.services.presence import heartbeat, is_online, see
from slapos.master.services.records import dump, select_instances, to_instances
from slapos.master.services.reports import record_reports
from slapos.master.storage import tables
from slapos.master.storage.identities import instance_guid, node_reference
from slapos.master.storage.transaction import Transaction, current_generation
from slapos.model.errors import InputError
from slapos.model.objects import InstanceReport, NodeState, NodeView, Supply, SupplyStatus
from slapos.model.principal import Principal

__all__ = [
    "bang_node",
    "find_node",
    "format_node",
    "heartbeat",
    "last_plan",
    "list_nodes",
    "node_state",
    "report",
]

PLAN_LIMIT = 1024 * 1024  # characters of JSON


def node_state(tx: Transaction, principal: Principal, node: str, since: int = 0) -> NodeState:
    """What changed after generation ``since``; everything when that is too old to tell, from a future, or 0."""
    number = access.find_node_number(tx, principal, node, Action.NODE_STATE)
    generation = current_generation(tx)
    nodes, places, instances = tables.nodes, tables.partitions, tables.instances
    reset = tx.execute(select(nodes.c.reset_generation).where(nodes.c.number == number)).scalar_one()
    complete = since <= 0 or since < reset or since > generation
    mine = select(places.c.reference, places.c.instance).where(places.c.node == number)
    if not complete:
        mine = mine.where(places.c.generation > since)
    rows = tx.execute(mine.order_by(places.c.position, places.c.reference)).all()
    of_node = places.alias("of_node")
    living = select_instances().join(of_node, of_node.c.instance == instances.c.number)
    living = living.where(of_node.c.node == number)
    if not complete:
        living = living.where(of_node.c.generation > since)
    found = to_instances(tx, tx.execute(living).mappings().all(), for_node=True)
    by_guid = {instance.guid: instance for instance in found}
    return NodeState(
        generation=generation,
        complete=complete,
        supplies=tuple(supplies.supplies_of(tx, number, 0 if complete else since)),
        partitions={
            row.reference: by_guid.get(instance_guid(row.instance)) if row.instance is not None else None
            for row in rows
        },
    )


def report(
    tx: Transaction,
    principal: Principal,
    node: str,
    instances: Sequence[InstanceReport],
    statuses: Sequence[SupplyStatus],
    now: float,
) -> None:
    """What a node says after a cycle.  One wrong line, and nothing of it is kept.

    Reports of instances that are gone already are passed over: a repeated report is right twice.
    """
    number = access.find_node_number(tx, principal, node, Action.NODE_REPORT)
    by = history.actor(principal)
    record_reports(tx, number, instances, by=by, now=now)
    supplies.record_statuses(tx, number, statuses, by=by, now=now)
    see(tx, number, now)


def keep_plan(tx: Transaction, principal: Principal, node: str, plan: Mapping[str, Any], now: float) -> None:
    """The last plan of a node, for people."""
    number = access.find_node_number(tx, principal, node, Action.NODE_REPORT)
    text = dump(dict(plan))
    if len(text) > PLAN_LIMIT:
        raise InputError(
            f"plan: {len(text)} characters, more than {PLAN_LIMIT}.",
            reference="too-large",
            context={"field": "plan", "size": len(text), "limit": PLAN_LIMIT},
        )
    see(tx, number, now)
    table = tables.presence
    tx.execute(update(table).where(table.c.node == number).values(plan=text, planned=int(now)))


def last_plan(tx: Transaction, principal: Principal, node: str) -> dict[str, Any]:
    """``{"date": epoch seconds, "plan": …}``; date 0 and an empty plan when none was reported."""
    number = access.find_node_number(tx, principal, node, Action.NODE_READ)
    table = tables.presence
    row = tx.execute(select(table.c.plan, table.c.planned).where(table.c.node == number)).one_or_none()
    if row is None or row.plan is None:
        return {"date": 0, "plan": {}}
    return {"date": row.planned, "plan": json.loads(row.plan)}


def list_nodes(tx: Transaction, principal: Principal, now: float) -> list[NodeView]:
    """Those of the projects that the principal sees; without their supplies."""
    visible = access.visible_projects(tx, principal)
    return _views(tx, _select_views().where(tables.nodes.c.project.in_(visible)), now)


def find_node(tx: Transaction, principal: Principal, node: str, now: float) -> NodeView:
    """One node with its supplies."""
    number = access.find_node_number(tx, principal, node, Action.NODE_READ)
    found = supplies.supplies_of(tx, number)
    return _views(tx, _select_views().where(tables.nodes.c.number == number), now, tuple(found))[0]


def _select_views() -> Select[Any]:
    nodes, presence, place = tables.nodes, tables.presence, tables.partitions
    counts = (
        select(place.c.node, func.count().label("partitions"), func.count(place.c.instance).label("busy"))
        .group_by(place.c.node)
        .subquery()
    )
    return (
        select(nodes, presence.c.seen, counts.c.partitions, counts.c.busy)
        .select_from(nodes)
        .outerjoin(presence, presence.c.node == nodes.c.number)
        .outerjoin(counts, counts.c.node == nodes.c.number)
        .order_by(nodes.c.number)
    )


def _views(tx: Transaction, statement: Select[Any], now: float, held: tuple[Supply, ...] = ()) -> list[NodeView]:
    return [
        NodeView(
            reference=node_reference(row["number"]),
            name=row["name"],
            project=row["project"],
            seen=row["seen"] or 0,
            online=is_online(row["seen"] or 0, now),
            partitions=row["partitions"] or 0,
            busy=row["busy"] or 0,
            network=row["network"],
            details=json.loads(row["details"]),
            supplies=held,
        )
        for row in tx.execute(statement).mappings()
    ]


def bang_node(tx: Transaction, principal: Principal, node: str, message: str, now: float) -> None:
    """Everything that lives on the node is processed again."""
    number = access.find_node_number(tx, principal, node, Action.NODE_BANG)
    place = tables.partitions.alias("of_node")
    living = select_instances().join(place, place.c.instance == tables.instances.c.number)
    for row in tx.execute(living.where(place.c.node == number)).mappings().all():
        touch(tx, row, now)
    tx.node_changed(number)
    project = access.project_of_node(tx, number)
    history.record(tx, (project, node), "bang", message or "Process it again.", by=history.actor(principal), now=now)
