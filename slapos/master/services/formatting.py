"""What a node says of itself when formatted: its partitions, their addresses and capabilities.

A partition that the new format no longer has is forgotten; one that is busy stays until its instance is destroyed.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import RowMapping, delete, insert, select, update

from slapos.master.authorization import Action
from slapos.master.services import access, capacity, history
from slapos.master.services.changes import touch_number
from slapos.master.services.placing import serve_pending
from slapos.master.services.presence import see
from slapos.master.services.records import dump
from slapos.master.storage import tables
from slapos.master.storage.transaction import Transaction
from slapos.model.errors import InputError
from slapos.model.objects import NodeFormat, Partition
from slapos.model.principal import Principal
from slapos.model.text import check_text, is_file_name

PARTITIONS_LIMIT = 10_000
DETAILS_LIMIT = 64 * 1024  # characters of JSON


def format_node(tx: Transaction, principal: Principal, node: str, wanted: NodeFormat, now: float) -> None:
    """Writes the format down, counts anew and serves who waits; the same format twice changes nothing."""
    number = access.find_node_number(tx, principal, node, Action.NODE_REPORT)
    check_format(wanted)
    see(tx, number, now)
    table = tables.nodes
    tx.execute(select(table.c.number).where(table.c.number == number).with_for_update())
    values = {"network": wanted.network, "details": dump(dict(wanted.details))}
    row = tx.execute(select(table).where(table.c.number == number)).mappings().one()
    same = all(row[name] == value for name, value in values.items()) and row["formatted"] > 0
    changed = _write_partitions(tx, number, wanted, now)
    if same and not changed:
        return
    tx.execute(update(table).where(table.c.number == number).values(formatted=int(now), **values))
    capacity.recount(tx, number)
    tx.node_changed(number, reset=True)
    sentence = f"Formatted with {len(wanted.partitions)} partitions."
    history.record(tx, (row["project"], node), "formatted", sentence, by=history.actor(principal), now=now)
    serve_pending(tx, now, node=number)


def check_format(wanted: NodeFormat) -> None:
    """Raises :class:`InputError` with the field named."""
    check_text("format.network", wanted.network)
    check_text("format.details", dump(dict(wanted.details)))
    if len(wanted.partitions) > PARTITIONS_LIMIT or len(dump(dict(wanted.details))) > DETAILS_LIMIT:
        raise InputError(
            f"format: at most {PARTITIONS_LIMIT} partitions and {DETAILS_LIMIT} characters of details are expected.",
            reference="too-large",
            context={"field": "format", "partitions": len(wanted.partitions)},
        )
    seen: set[str] = set()
    for index, partition in enumerate(wanted.partitions):
        field = f"format.partitions[{index}]"
        if not is_file_name(partition.reference) or partition.reference in seen:
            raise InputError(
                f"{field}.reference: {partition.reference[:100]!r} is no name for a partition, or it is there twice.",
                reference="invalid-partition",
                context={"field": f"{field}.reference", "value": partition.reference[:100]},
                hint="Use letters, digits, dot, dash and underscore.",
            )
        seen.add(partition.reference)
        for text in (*partition.capabilities, *(part for a in partition.addresses for part in (a.interface, a.ip))):
            check_text(field, text)


def _write_partitions(tx: Transaction, node: int, wanted: NodeFormat, now: float) -> bool:
    table = tables.partitions
    found = tx.execute(select(table).where(table.c.node == node)).mappings().all()
    known = {row["reference"]: row for row in found}
    changed = False
    for position, partition in enumerate(wanted.partitions):
        changed |= _write_partition(tx, node, position, partition, known.pop(partition.reference, None), now)
    for row in known.values():
        changed |= _forget(tx, row)
    return changed


def _write_partition(
    tx: Transaction, node: int, position: int, partition: Partition, row: RowMapping | None, now: float
) -> bool:
    table = tables.partitions
    values: dict[str, Any] = {
        "position": position,
        "addresses": dump([[address.interface, address.ip] for address in partition.addresses]),
        "capabilities": dump(sorted(set(partition.capabilities))),
        "formatted": True,
    }
    if row is None:
        tx.execute(insert(table).values(node=node, reference=partition.reference, **values))
    elif all(row[name] == value for name, value in values.items()):
        return False
    else:
        where = (table.c.node == node, table.c.reference == partition.reference)
        tx.execute(update(table).where(*where).values(**values))
        if row["addresses"] != values["addresses"]:
            touch_number(tx, row["instance"], now)
    _write_capabilities(tx, node, partition)
    tx.partition_changed(node, partition.reference)
    return True


def _write_capabilities(tx: Transaction, node: int, partition: Partition) -> None:
    table = tables.partition_capabilities
    tx.execute(delete(table).where(table.c.node == node, table.c.reference == partition.reference))
    names = sorted(set(partition.capabilities))
    if names:
        same = {"node": node, "reference": partition.reference}
        tx.execute(insert(table), [{**same, "capability": name} for name in names])


def _forget(tx: Transaction, row: RowMapping) -> bool:
    """False when nothing changed."""
    table = tables.partitions
    where = (table.c.node == row["node"], table.c.reference == row["reference"])
    if row["instance"] is None:
        tx.execute(delete(table).where(*where))
        return True
    if not row["formatted"]:
        return False
    tx.execute(update(table).where(*where).values(formatted=False))
    return True
