"""One unit of work: a connection, and what it changed.

Services say what they changed (:meth:`Transaction.instance_changed` …); when the transaction ends, the generation
is bumped once and written to the rows that nodes compare with (:func:`record_changes`).  It is bumped last on
purpose: the counter's row is the one lock that all writers share, and holding it until the commit, and no longer,
makes generations become visible in their order, so that a node that has seen generation *g* never misses a
change numbered below.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, CursorResult, Dialect, Select, Update, and_, bindparam, select, update
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.dml import ReturningUpdate

from slapos.master.storage import tables
from slapos.master.storage.identities import instance_guid, node_reference
from slapos.master.storage.prepared import prepared


@dataclass
class Changes:
    """What a transaction changed, by the rows that carry a generation, and the subjects to wake."""

    subjects: set[str] = field(default_factory=set)
    instances: set[int] = field(default_factory=set)
    partitions: set[tuple[int, str]] = field(default_factory=set)
    supplies: set[tuple[int, str]] = field(default_factory=set)
    resets: set[int] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.subjects)

    def merge(self, other: Changes) -> None:
        self.subjects |= other.subjects
        self.instances |= other.instances
        self.partitions |= other.partitions
        self.supplies |= other.supplies
        self.resets |= other.resets


class WouldWrite(Exception):
    """What was tried in a reading transaction would change something: it is to be done again in a writing one."""


class Transaction:
    """Passed to every service function; ends with the write or read that made it."""

    def __init__(self, connection: Connection, *, reading: bool = False) -> None:
        self.connection = connection
        self.reading = reading
        self.changes = Changes()
        #: For :mod:`slapos.master.storage.prepared`: the driver's connection, its kind of error, the kind of database.
        self.driver: Any = connection.connection.dbapi_connection
        self.dialect: Dialect = connection.dialect
        self.driver_error: type[Exception] = connection.dialect.loaded_dbapi.Error

    def sibling(self) -> Transaction:
        """Another unit of work on the same connection, with changes of its own."""
        found = object.__new__(Transaction)
        found.connection, found.changes, found.reading = self.connection, Changes(), self.reading
        found.driver, found.dialect, found.driver_error = self.driver, self.dialect, self.driver_error
        return found

    def execute(
        self, statement: Executable, values: Mapping[str, Any] | Iterable[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        if statement.is_dml:
            self.will_write()
        if values is None:
            return self.connection.execute(statement)
        rows = values if isinstance(values, Mapping) else list(values)
        return self.connection.execute(statement, rows)

    def will_write(self) -> None:
        """To be called before what ends in a write: raises :class:`WouldWrite` in a reading transaction.

        Statements call it themselves; who calls it earlier saves what comes before them.
        """
        if self.reading:
            raise WouldWrite

    def instance_changed(self, number: int, *others: int) -> None:
        """Of an instance; ``others`` (its root, its requester) are only woken."""
        self.changes.instances.add(number)
        self.changes.subjects.add(instance_guid(number))
        self.changes.subjects.update(instance_guid(other) for other in others)

    def partition_changed(self, node: int, partition: str) -> None:
        self.changes.partitions.add((node, partition))
        self.changes.subjects.add(node_reference(node))

    def supply_changed(self, node: int, release: str) -> None:
        self.changes.supplies.add((node, release))
        self.changes.subjects.add(node_reference(node))

    def node_changed(self, node: int, *, reset: bool = False) -> None:
        """Wakes those who watch the node; ``reset``: whatever the node knows of its state is void."""
        self.changes.subjects.add(node_reference(node))
        if reset:
            self.changes.resets.add(node)


def current_generation(tx: Transaction) -> int:
    """The counter, as this transaction sees it."""
    return int(_generation.value(tx))


def record_changes(tx: Transaction, changes: Changes) -> int:
    """Bumps the generation and writes it to the changed rows; the new generation (the old one when nothing changed)."""
    if not changes:
        return current_generation(tx)
    generation = int(_bump.value(tx))
    _renew_instances.change_each(tx, ({"of_number": number, "now": generation} for number in sorted(changes.instances)))
    for statement, pairs in ((_renew_partitions, changes.partitions), (_renew_supplies, changes.supplies)):
        rows = ({"of_node": node, "of_key": key, "now": generation} for node, key in sorted(pairs))
        statement.change_each(tx, rows)
    for node in sorted(changes.resets):
        _reset_node.change(tx, of_node=node, now=generation)
    return generation


@prepared
def _generation() -> Select[tuple[int]]:
    counters = tables.counters
    return select(counters.c.value).where(counters.c.name == "generation")


@prepared
def _bump() -> ReturningUpdate[int]:
    counters = tables.counters
    bump = update(counters).where(counters.c.name == "generation").values(value=counters.c.value + 1)
    return bump.returning(counters.c.value)


@prepared
def _renew_instances() -> Update:
    table = tables.instances
    return update(table).where(table.c.number == bindparam("of_number")).values(generation=bindparam("now"))


@prepared
def _renew_partitions() -> Update:
    return _renew(tables.partitions, "reference")


@prepared
def _renew_supplies() -> Update:
    return _renew(tables.supplies, "release")


def _renew(table: Any, key: str) -> Update:
    where = and_(table.c.node == bindparam("of_node"), table.c[key] == bindparam("of_key"))
    return update(table).where(where).values(generation=bindparam("now"))


@prepared
def _reset_node() -> Update:
    table = tables.nodes
    return update(table).where(table.c.number == bindparam("of_node")).values(reset_generation=bindparam("now"))
