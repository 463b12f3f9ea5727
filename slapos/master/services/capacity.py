"""Taking and giving back partitions.  The counts in ``capacities`` move in the same transaction."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, Update, and_, bindparam, delete, func, insert, select, update

from slapos.master.storage import tables
from slapos.master.storage.identities import node_reference
from slapos.master.storage.prepared import Prepared, prepared
from slapos.master.storage.transaction import Transaction
from slapos.model.errors import InternalError


@dataclass(frozen=True)
class Free:
    """A free partition.  ``capabilities`` and ``addresses`` are JSON texts."""

    node: int
    partition: str
    capabilities: str
    addresses: str


def reserve(tx: Transaction, node: int, capability: str, *, wait: bool) -> Free | None:
    """A free partition, which nobody else takes before the commit; None when there is none.

    Partitions that other transactions hold are passed over, unless ``wait``.
    """
    statement = _free_partition(bool(capability), wait)
    values = {"of_node": node, "of_capability": capability} if capability else {"of_node": node}
    found = statement.row(tx, **values)
    return None if found is None else Free(node, found["reference"], found["capabilities"], found["addresses"])


def take(tx: Transaction, free: Free, instance: int) -> None:
    """The partition is the instance's now."""
    if _take.change(tx, of_node=free.node, of_reference=free.partition, of_instance=instance) != 1:
        raise InternalError(f"{node_reference(free.node)}, {free.partition} was reserved, and is not free.")
    _count(tx, free.node, _keys(free.capabilities), -1)
    tx.partition_changed(free.node, free.partition)


@functools.cache
def _free_partition(with_capability: bool, wait: bool) -> Prepared:
    return Prepared(lambda: _select_free(with_capability, wait))


def _select_free(with_capability: bool, wait: bool) -> Select[Any]:
    table, having = tables.partitions, tables.partition_capabilities
    free = select(table.c.reference, table.c.capabilities, table.c.addresses).where(
        table.c.node == bindparam("of_node"), table.c.instance.is_(None), table.c.formatted
    )
    if with_capability:
        on = and_(having.c.node == table.c.node, having.c.reference == table.c.reference)
        free = free.join(having, on).where(having.c.capability == bindparam("of_capability"))
    else:
        free = free.where(table.c.capabilities == "[]")
    return free.order_by(table.c.position).limit(1).with_for_update(of=table, skip_locked=not wait)


@prepared
def _take() -> Update:
    table = tables.partitions
    free = (table.c.node == bindparam("of_node"), table.c.reference == bindparam("of_reference"))
    return update(table).where(*free, table.c.instance.is_(None)).values(instance=bindparam("of_instance"))


def give_back(tx: Transaction, node: int, partition: str) -> None:
    """The partition is free again; one that its node no longer has is forgotten."""
    table = tables.partitions
    mine = (table.c.node == node, table.c.reference == partition)
    row = tx.execute(select(table.c.capabilities, table.c.formatted).where(*mine)).one()
    if not row.formatted:
        tx.execute(delete(table).where(*mine))
        tx.node_changed(node, reset=True)
        return
    tx.execute(update(table).where(*mine).values(instance=None))
    _count(tx, node, _keys(row.capabilities), 1)
    tx.partition_changed(node, partition)


def recount(tx: Transaction, node: int) -> None:
    """Writes the counts anew, after the node's format changed."""
    table, counts = tables.partitions, tables.capacities
    totals: dict[str, list[int]] = {}
    formatted = select(table.c.capabilities, table.c.instance).where(table.c.node == node, table.c.formatted)
    for row in tx.execute(formatted):
        for key in _keys(row.capabilities):
            total = totals.setdefault(key, [0, 0])
            total[0] += 1
            total[1] += row.instance is None
    tx.execute(delete(counts).where(counts.c.node == node))
    rows = [{"node": node, "capability": key, "total": a, "free": b} for key, (a, b) in sorted(totals.items())]
    if rows:
        tx.execute(insert(counts), rows)


def has_free(tx: Transaction, node: int) -> bool:
    counts = tables.capacities
    free = tx.execute(select(func.sum(counts.c.free)).where(counts.c.node == node)).scalar_one_or_none()
    return bool(free)


def _keys(capabilities: str) -> list[str]:
    """The rows of ``capacities`` that count a partition: its capabilities, or "" when it has none."""
    return sorted(set(json.loads(capabilities))) or [""]


def _count(tx: Transaction, node: int, keys: Iterable[str], change: int) -> None:
    for key in keys:
        _change_free.change(tx, of_node=node, of_capability=key, change=change)


@prepared
def _change_free() -> Update:
    counts = tables.capacities
    mine = (counts.c.node == bindparam("of_node"), counts.c.capability == bindparam("of_capability"))
    return update(counts).where(*mine).values(free=counts.c.free + bindparam("change"))
