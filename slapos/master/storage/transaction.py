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

from sqlalchemy import Connection, CursorResult, and_, bindparam, select, update
from sqlalchemy.sql.base import Executable

from slapos.master.storage import tables
from slapos.master.storage.identities import instance_guid, node_reference


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


class Transaction:
    """Passed to every service function; ends with the write or read that made it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.changes = Changes()

    def execute(
        self, statement: Executable, values: Mapping[str, Any] | Iterable[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        if values is None:
            return self.connection.execute(statement)
        rows = values if isinstance(values, Mapping) else list(values)
        return self.connection.execute(statement, rows)

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


def current_generation(connection: Connection) -> int:
    counters = tables.counters
    value = connection.execute(select(counters.c.value).where(counters.c.name == "generation")).scalar_one()
    return int(value)


def record_changes(connection: Connection, changes: Changes) -> int:
    """Bumps the generation and writes it to the changed rows; the new generation (the old one when nothing changed)."""
    if not changes:
        return current_generation(connection)
    counters = tables.counters
    bump = update(counters).where(counters.c.name == "generation").values(value=counters.c.value + 1)
    generation = int(connection.execute(bump.returning(counters.c.value)).scalar_one())
    if changes.instances:
        _write(connection, tables.instances, "number", changes.instances, generation)
    if changes.partitions:
        _write_pairs(connection, tables.partitions, "reference", changes.partitions, generation)
    if changes.supplies:
        _write_pairs(connection, tables.supplies, "release", changes.supplies, generation)
    for node in sorted(changes.resets):
        table = tables.nodes
        connection.execute(update(table).where(table.c.number == node).values(reset_generation=generation))
    return generation


def _write(connection: Connection, table: Any, key: str, numbers: set[int], generation: int) -> None:
    statement = update(table).where(table.c[key] == bindparam("of_number")).values(generation=generation)
    connection.execute(statement, [{"of_number": number} for number in sorted(numbers)])


def _write_pairs(connection: Connection, table: Any, key: str, pairs: set[tuple[int, str]], generation: int) -> None:
    where = and_(table.c.node == bindparam("of_node"), table.c[key] == bindparam("of_key"))
    statement = update(table).where(where).values(generation=generation)
    connection.execute(statement, [{"of_node": node, "of_key": value} for node, value in sorted(pairs)])
