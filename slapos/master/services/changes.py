"""The one place that moves the timestamp of an instance.

A node processes an instance again when its timestamp differs, so it changes exactly when there is something to do
(docs/explanation/timestamps.rst), and as integer seconds that only grow: ``max(previous + 1, now)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Integer, Select, Update, bindparam, case, select, update

from slapos.master.services.records import Row, instance_row, select_instances
from slapos.master.storage import tables
from slapos.master.storage.identities import instance_guid
from slapos.master.storage.prepared import prepared
from slapos.master.storage.transaction import Transaction
from slapos.model.states import Health, InstanceState

CHANGED = "Changed; the node has not reported yet."


def about(row: Row) -> tuple[str, str]:
    """(project, subject) of an instance's events."""
    return row["project"], instance_guid(row["number"])


def lock_tree(tx: Transaction, root: int) -> None:
    """Nobody else changes the tree until the commit.  SQLite has one writer anyway."""
    if tx.dialect.name == "postgresql":
        instances = tables.instances
        tx.execute(select(instances.c.number).where(instances.c.number == root).with_for_update())


def live_tree(tx: Transaction, root: int) -> Sequence[Row]:
    """The rows of a tree that are not gone, its root first."""
    return _live_tree.rows(tx, of_root=root)


@prepared
def _live_tree() -> Select[Any]:
    instances = tables.instances
    of_tree = (instances.c.tree == bindparam("of_root"), instances.c.gone.is_(None))
    return select_instances().where(*of_tree).order_by(instances.c.number)


def write(tx: Transaction, row: Row, **values: Any) -> None:
    """Sets columns and wakes those who watch; the node has nothing to do."""
    _update.change(tx, of_number=row["number"], **values)
    _tell(tx, row)


def _tell(tx: Transaction, row: Row) -> None:
    tx.instance_changed(row["number"], *(number for number in (row["tree"], row["requester"]) if number is not None))


def current(tx: Transaction, row: Row) -> Row:
    """The row again, if this transaction has written it."""
    if row["number"] not in tx.changes.instances:
        return row
    found = instance_row(tx, row["number"])
    assert found is not None
    return found


def touch(tx: Transaction, row: Row, now: float, **values: Any) -> None:
    """Sets columns and gives a new timestamp: the node must process it.  Of a shared instance, its host too."""
    if row["node"] is not None:
        values.setdefault("health", Health.WORKING.value)
        values.setdefault("sentence", CHANGED)
    _update_later.change(tx, of_number=row["number"], of_now=int(now), **values)
    _tell(tx, row)
    if not row["shared"] and row["node"] is not None:
        tx.partition_changed(row["node"], row["partition"])
    if row["shared"] and row["host"] is not None:
        touch_number(tx, row["host"], now)


@prepared
def _update() -> Update:
    """The columns are those of the values that come with it."""
    instances = tables.instances
    return update(instances).where(instances.c.number == bindparam("of_number"))


@prepared
def _update_later() -> Update:
    timestamp, now = tables.instances.c.timestamp, bindparam("of_now", type_=Integer)
    update_it: Update = _update.statement
    return update_it.values(timestamp=case((timestamp + 1 > now, timestamp + 1), else_=now))


def touch_number(tx: Transaction, number: int | None, now: float) -> None:
    """Of a live instance that still has something to do; nothing for a destroyed one."""
    row = instance_row(tx, number)
    if row is not None and row["gone"] is None:
        touch(tx, row, now)


def mark_gone(tx: Transaction, row: Row, now: float) -> None:
    """Its destruction is complete: title and place are free."""
    words = {"health": Health.DESTROYED.value, "reported_state": InstanceState.DESTROYED.value}
    write(tx, row, gone=int(now), host=None, sentence="Destroyed.", **words)
