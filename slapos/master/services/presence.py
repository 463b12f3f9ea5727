"""Signs of life of nodes.  They wake nobody, and cost one row at most every :data:`RESOLUTION` seconds."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import insert, select, update

from slapos.master.allocation.place import LOST_SECONDS, QUIET_SECONDS
from slapos.master.services.placing import serve_pending
from slapos.master.storage import tables
from slapos.master.storage.identities import node_number
from slapos.master.storage.transaction import Transaction

RESOLUTION = 15


def see(tx: Transaction, node: int, now: float) -> None:
    """Writes the sign of life of an existing node; one that was lost may be allocated on again."""
    table = tables.presence
    seen = tx.execute(select(table.c.seen).where(table.c.node == node)).scalar_one_or_none()
    if seen is None:
        tx.execute(insert(table).values(node=node, seen=int(now)))
    elif now - seen >= RESOLUTION:
        tx.execute(update(table).where(table.c.node == node).values(seen=int(now)))
    if seen is None or now - seen > QUIET_SECONDS:
        tx.node_changed(node)  # its view changes: online again
    if seen is not None and now - seen > LOST_SECONDS:
        serve_pending(tx, now, node=node)


def heartbeat(tx: Transaction, nodes: Iterable[str], now: float) -> None:
    """Signs of life of several nodes (``COMP-<n>``), whose rights were checked when they gave it."""
    known = tables.nodes
    numbers = sorted(number for number in map(node_number, nodes) if number is not None)
    for start in range(0, len(numbers), 500):
        chunk = select(known.c.number).where(known.c.number.in_(numbers[start : start + 500]))
        for number in tx.execute(chunk.order_by(known.c.number)).scalars().all():
            see(tx, number, now)


def is_online(seen: int, now: float) -> bool:
    return seen > 0 and now - seen <= QUIET_SECONDS
