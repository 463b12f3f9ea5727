"""Giving a partition to an instance, or a host to a shared one; serving those that wait.

The decision is :mod:`slapos.master.allocation`'s; here are its facts, read with indexes so that an order costs the
same however many partitions there are, and its effects.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Select, String, and_, bindparam, func, or_, select

from slapos.master.allocation.hosts import Host, HostDecision, decide_host
from slapos.master.allocation.place import Candidate, Decision, Surroundings, decide, quiet_since
from slapos.master.allocation.sla import Sla, parse_sla
from slapos.master.services import capacity, history
from slapos.master.services.changes import about, touch, write
from slapos.master.services.records import Row, dump, instance_row, select_instances
from slapos.master.storage import tables
from slapos.master.storage.identities import instance_guid, instance_number, node_number, node_reference
from slapos.master.storage.prepared import prepared
from slapos.master.storage.transaction import Transaction
from slapos.model.states import Health, InstanceState, SupplyReport, SupplyState

FIT_LIMIT = 64  # nodes looked at before all of them are, to explain a refusal
SERVE_LIMIT = 500  # pending requests tried when capacity comes
SOME = 50  # … and without a reason, at each sweep
MASTER = "master"  # the actor of what nobody asked for just now


def place(tx: Transaction, row: Row, now: float, *, by: str = MASTER) -> bool:
    """Allocates a pending instance, or writes down why not; whether it has a place now."""
    sla = parse_sla(json.loads(row["sla"]))
    return _place_shared(tx, row, sla, now, by) if row["shared"] else _place_own(tx, row, sla, now, by)


def serve_pending(tx: Transaction, now: float, *, node: int | None = None) -> int:
    """Tries pending requests, the oldest first; how many were served.  ``node``: those that this node could serve."""
    waiting = select(tables.instances.c.number).where(tables.instances.c.pending)
    if node is not None:
        waiting = _that_node_could_serve(waiting, node)
    served = 0
    for number in tx.execute(waiting.order_by(tables.instances.c.number).limit(SERVE_LIMIT)).scalars().all():
        if node is not None and not capacity.has_free(tx, node):
            break
        served += _try(tx, number, now)
    return served


def serve_some(tx: Transaction, now: float, turn: int) -> int:
    """Tries a few pending requests, others at each ``turn``, so that the writer is not held up; how many it served."""
    instances = tables.instances
    amount = tx.execute(select(func.count()).select_from(instances).where(instances.c.pending)).scalar_one()
    first = turn * SOME % max(1, amount)
    page = select(instances.c.number).where(instances.c.pending).order_by(instances.c.number)
    return sum(_try(tx, number, now) for number in tx.execute(page.offset(first).limit(SOME)).scalars().all())


def _that_node_could_serve(waiting: Select[Any], node: int) -> Select[Any]:
    instances, supplies, nodes = tables.instances, tables.supplies, tables.nodes
    there = select(supplies.c.release).where(supplies.c.node == node, supplies.c.state == SupplyState.AVAILABLE.value)
    return waiting.where(
        instances.c.release.in_(there),
        instances.c.shared.is_(False),
        instances.c.project == select(nodes.c.project).where(nodes.c.number == node).scalar_subquery(),
        or_(instances.c.wanted_node.is_(None), instances.c.wanted_node == node),
    )


def _try(tx: Transaction, number: int, now: float) -> bool:
    row = instance_row(tx, number)
    return row is not None and row["pending"] and place(tx, row, now)


@dataclass(frozen=True)
class Place:
    """Where an instance will live, and the columns that say so."""

    free: capacity.Free
    columns: Mapping[str, Any]


def seek(tx: Transaction, row: Row, sla: Sla, now: float) -> Place | Decision:
    """A place for an ordinary instance, reserved until the commit; without one, why.

    ``row`` may be one that is not written yet, with the number 0.
    """
    around = _surroundings(tx, row, sla)
    decision = Decision()
    for likely, wait in ((True, False), (False, False), (False, True)):
        candidates = _candidates(tx, row, sla, likely=likely)
        decision = decide(sla, candidates, around, now)
        for choice in decision.choices:
            free = capacity.reserve(tx, node_number(choice) or 0, sla.capability, wait=wait)
            if free is not None:
                chosen = next(candidate for candidate in candidates if candidate.node == choice)
                return Place(free, _placed_columns(chosen, now))
        if not likely and not decision.choices:
            break
    return decision if decision.reasons else Decision(reasons=("Others took the last free partitions just now.",))


def _place_own(tx: Transaction, row: Row, sla: Sla, now: float, by: str) -> bool:
    found = seek(tx, row, sla, now)
    if isinstance(found, Decision):
        wait(tx, row, found, now)
        return False
    placed = {**row, "node": found.free.node, "partition": found.free.partition}
    touch(tx, placed, now, **found.columns)
    settle(tx, row, found, now, by)
    return True


def settle(tx: Transaction, row: Row, found: Place, now: float, by: str) -> bool:
    """The place is the instance's; whether others have been served by that, and so more may have changed."""
    capacity.take(tx, found.free, row["number"])
    sentence = f"Allocated on {node_reference(found.free.node)}, partition {found.free.partition}."
    history.record(tx, about(row), "allocated", sentence, by=by, now=now)
    return _serve_shared(tx, row, now)


def _placed_columns(chosen: Candidate, now: float) -> dict[str, Any]:
    quiet = quiet_since(chosen, now)
    if quiet:
        sentence = f"Allocated on {chosen.node}, which is offline since {quiet}; it starts when the node is back."
    else:
        sentence = f"Allocated on {chosen.node}; the node has not reported yet."
    return {"pending": False, "reasons": "[]", "health": Health.WORKING.value, "sentence": sentence}


def _serve_shared(tx: Transaction, row: Row, now: float) -> bool:
    """An instance that has a partition now may be the host that shared instances wait for; whether some did."""
    waiting = _waiting_shared.column(tx, of_release=row["release"], of_project=row["project"])
    for number in waiting:
        found = instance_row(tx, number)
        if found is not None:
            place(tx, found, now)
    return bool(waiting)


@prepared
def _waiting_shared() -> Select[tuple[int]]:
    instances = tables.instances
    waiting = select(instances.c.number).where(
        instances.c.pending,
        instances.c.release == bindparam("of_release"),
        instances.c.shared,
        instances.c.project == bindparam("of_project"),
    )
    return waiting.order_by(instances.c.number).limit(SERVE_LIMIT)


def wait(tx: Transaction, row: Row, decision: Decision | HostDecision, now: float) -> None:
    """There is no place: why not is written down, once, and whether one may come."""
    reasons, hopeless = decision.reasons, decision.hopeless
    if json.loads(row["reasons"]) == list(reasons) and row["pending"] != hopeless:
        return
    write(
        tx,
        row,
        pending=not hopeless,
        reasons=dump(list(reasons)),
        health=Health.PENDING.value,
        sentence="Waiting for a place: " + " ".join(reasons),
    )
    history.record(tx, about(row), "pending", " ".join(reasons), by=MASTER, now=now)


@prepared
def _candidate_nodes() -> Select[tuple[object, ...]]:
    """All nodes of a project."""
    nodes, counts, presence, supplies = tables.nodes, tables.capacities, tables.presence, tables.supplies
    supplied = and_(
        supplies.c.node == nodes.c.number,
        supplies.c.release == bindparam("of_release"),
        supplies.c.state == SupplyState.AVAILABLE.value,
    )
    counted = and_(counts.c.node == nodes.c.number, counts.c.capability == bindparam("of_capability"))
    return (
        select(
            nodes.c.number,
            nodes.c.network,
            func.coalesce(counts.c.total, 0).label("total"),
            func.coalesce(counts.c.free, 0).label("free"),
            func.coalesce(presence.c.seen, 0).label("seen"),
            supplies.c.reported,
        )
        .select_from(nodes)
        .outerjoin(supplies, supplied)
        .outerjoin(counts, counted)
        .outerjoin(presence, presence.c.node == nodes.c.number)
        .where(nodes.c.project == bindparam("of_project"))
        .order_by(nodes.c.number)
    )


@prepared
def _named_node() -> Select[tuple[object, ...]]:
    candidates: Select[tuple[object, ...]] = _candidate_nodes.statement
    return candidates.where(tables.nodes.c.number == bindparam("of_node"))


@prepared
def _fitting_nodes() -> Select[tuple[object, ...]]:
    """The emptiest nodes that hold the release and have room: nearly always, one of them fits."""
    network: BindParameter[str] = bindparam("of_network", type_=String)
    candidates: Select[tuple[object, ...]] = _candidate_nodes.statement
    return (
        candidates.where(
            tables.supplies.c.release.is_not(None),
            tables.capacities.c.free > 0,
            or_(network == "", tables.nodes.c.network == network),
        )
        .order_by(None)
        .order_by(tables.capacities.c.free.desc(), tables.nodes.c.number)
        .limit(FIT_LIMIT)
    )


def _candidates(tx: Transaction, row: Row, sla: Sla, *, likely: bool) -> list[Candidate]:
    """``likely``: only the best few that have room; else all, or the one that is named."""
    values = {"of_release": row["release"], "of_capability": sla.capability, "of_project": row["project"]}
    statement = _candidate_nodes
    if sla.node:
        statement, values["of_node"] = _named_node, node_number(sla.node) or 0
    elif likely:
        statement, values["of_network"] = _fitting_nodes, sla.network
    return [
        Candidate(
            node=node_reference(found["number"]),
            release=found["reported"] is not None,
            total=found["total"],
            free=found["free"],
            network=found["network"],
            seen=found["seen"],
            built=found["reported"] == SupplyReport.AVAILABLE.value,
            broken=found["reported"] == SupplyReport.ERROR.value,
        )
        for found in statement.rows(tx, **values)
    ]


def _surroundings(tx: Transaction, row: Row, sla: Sla) -> Surroundings:
    """Asked only for what the SLA names."""
    companion = _companion_node(tx, row, sla.companion) if sla.companion else ""
    if not sla.spread and not sla.unique_by_network:
        return Surroundings(companion_node=companion)
    others = _others(tx, row)
    return Surroundings(
        spread_nodes=frozenset(node_reference(node) for node, spread, _ in others if spread == sla.spread),
        networks=frozenset(network or node_reference(node) for node, _, network in others),
        companion_node=companion,
    )


def _others(tx: Transaction, row: Row) -> Iterable[tuple[int, str | None, str]]:
    """(node, spread, network) of the other placed instances of the tree."""
    instances, partitions, nodes = tables.instances, tables.partitions, tables.nodes
    statement = (
        select(partitions.c.node, instances.c.spread, nodes.c.network)
        .join(partitions, partitions.c.instance == instances.c.number)
        .join(nodes, nodes.c.number == partitions.c.node)
        .where(instances.c.tree == row["tree"], instances.c.gone.is_(None), instances.c.number != row["number"])
    )
    return [(found.node, found.spread, found.network) for found in tx.execute(statement)]


def _companion_node(tx: Transaction, row: Row, guid: str) -> str:
    found = instance_row(tx, instance_number(guid))
    if found is None or found["project"] != row["project"] or found["node"] is None:
        return ""
    return node_reference(found["node"])


def _place_shared(tx: Transaction, row: Row, sla: Sla, now: float, by: str) -> bool:
    decision = decide_host(sla, row["software_type"], _hosts(tx, row, sla))
    if not decision.host:
        wait(tx, row, decision, now)
        return False
    host = instance_number(decision.host)
    sentence = f"Served by {decision.host}, which has not reported yet."
    values = {"host": host, "pending": False, "reasons": "[]", "health": Health.WORKING.value, "sentence": sentence}
    touch(tx, row, now, **values)
    host_row = instance_row(tx, host)
    if host_row is not None:
        touch(tx, host_row, now)
    history.record(tx, about(row), "allocated", f"Served by {decision.host}.", by=by, now=now)
    return True


def _hosts(tx: Transaction, row: Row, sla: Sla) -> list[Host]:
    instances = tables.instances
    guest = instances.alias("guest")
    served = (
        select(func.count())
        .where(guest.c.host == instances.c.number, guest.c.gone.is_(None))
        .correlate(instances)
        .scalar_subquery()
    )
    statement = (
        select_instances()
        .add_columns(served.label("served"))
        .where(
            instances.c.project == row["project"],
            instances.c.release == row["release"],
            instances.c.gone.is_(None),
            instances.c.shared.is_(False),
            instances.c.state != InstanceState.DESTROYED.value,
        )
    )
    networks = _networks(tx, row["project"]) if sla.network else {}
    return [
        Host(
            guid=instance_guid(found["number"]),
            number=found["number"],
            software_type=found["software_type"],
            started=found["state"] == InstanceState.STARTED.value,
            shared=found["served"],
            node=node_reference(found["node"]) if found["node"] is not None else "",
            network=networks.get(found["node"], ""),
        )
        for found in tx.execute(statement).mappings()
    ]


def _networks(tx: Transaction, project: str) -> dict[int, str]:
    """Node number → network."""
    nodes = tables.nodes
    found = tx.execute(select(nodes.c.number, nodes.c.network).where(nodes.c.project == project))
    return {node.number: node.network for node in found}
