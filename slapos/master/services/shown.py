"""What the partitions of a node show to it, as the database has it.

A node asks for all of them again and again, and hardly anything changes in between.  What is read here can be compared
with what was read before: equal partitions are the same to whoever sees them.  The values themselves are compared, and
documents are made of these values only (:meth:`ShownPartition.instance`).  So nobody who writes has to say that
something changed, and what was made before is never taken for something newer.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Select, bindparam, select

from slapos.master.services.records import Row, to_instance, to_shared
from slapos.master.storage import tables
from slapos.master.storage.blocking import may_block
from slapos.master.storage.prepared import prepared
from slapos.master.storage.transaction import Transaction
from slapos.model.objects import Instance, Supply
from slapos.model.states import SupplyState

# What is more than this is not for the event loop.
MANY = 20  # partitions
MANY_GUESTS = 100
LONG = 256 * 1024  # characters
# Of an instance, what no document of a partition shows.
_NOT_SHOWN = {
    "orphan": False,
    "generation": 0,
    "reasons": "[]",
    "promises": "[]",
    "error": "{}",
}

_place = tables.partitions
_living = tables.instances.alias("living")
_root = tables.instances.alias("root")
_guest = tables.instances.alias("guest")


class ShownPartition(NamedTuple):
    """A partition as it is now: itself with what lives in it, and the shared instances that this serves."""

    row: tuple[Any, ...]
    guests: tuple[tuple[Any, ...], ...]

    @property
    def reference(self) -> str:
        """Its name on the node."""
        return str(self.row[0])

    @property
    def is_free(self) -> bool:
        """Nothing lives there."""
        return self.row[1] is None

    @property
    def is_long(self) -> bool:
        """To write it down takes more than a moment."""
        return sum(len(value) for row in (self.row, *self.guests) for value in row if isinstance(value, str)) > LONG

    @property
    def values(self) -> Row:
        """The columns of what lives there, also those that tell who may see it."""
        return dict(zip(_of_node.keys, self.row, strict=True))

    def instance(self, *, for_node: bool) -> Instance | None:
        """What lives there, without what no document shows; None when it is free."""
        if self.is_free:
            return None
        keys = _guests_of_node.keys
        shared = [to_shared(dict(zip(keys, guest, strict=True))) for guest in self.guests]
        return to_instance({**_NOT_SHOWN, **self.values}, shared, for_node=for_node)


def shown_partitions(tx: Transaction, node: int) -> list[ShownPartition]:
    """All of a node, in its own order."""
    if len(_some_of_node.tuples(tx, of_node=node)) > MANY:
        may_block()
    return _with_guests(_of_node.tuples(tx, of_node=node), _guests_of_node.tuples(tx, of_node=node))


def shown_partition(tx: Transaction, node: int, reference: str) -> ShownPartition | None:
    """One of them."""
    here = {"of_node": node, "of_reference": reference}
    found = _with_guests(_of_place.tuples(tx, **here), _guests_of_place.tuples(tx, **here))
    return found[0] if found else None


def shown_supplies(tx: Transaction, node: int) -> list[Supply]:
    """The releases wished on a node, by name, without what was reported of them."""
    found = _supplies.tuples(tx, of_node=node)
    return [Supply(release, "", SupplyState(state)) for release, state in found]


def _with_guests(rows: list[tuple[Any, ...]], guests: list[tuple[Any, ...]]) -> list[ShownPartition]:
    if len(guests) > MANY_GUESTS:
        may_block()
    served: dict[Any, list[tuple[Any, ...]]] = {}
    for guest in guests:
        served.setdefault(guest[0], []).append(guest)
    return [ShownPartition(row, tuple(served.get(row[0], ()))) for row in rows]


@prepared
def _some_of_node() -> Select[Any]:
    return select(_place.c.position).where(_place.c.node == bindparam("of_node")).limit(MANY + 1)


@prepared
def _of_node() -> Select[Any]:
    return (
        select(
            _place.c.reference.label("partition"),
            _living.c.number,
            _place.c.node,
            _place.c.addresses,
            _living.c.title,
            _living.c.tree,
            _root.c.title.label("root_title"),
            _living.c.release,
            _living.c.software_type,
            _living.c.state,
            _root.c.state.label("root_state"),
            _living.c.retained,
            _living.c.parameters,
            _living.c.sla,
            _living.c.connection,
            _living.c.timestamp,
            _living.c.reported_state,
            _living.c.health,
            _living.c.sentence,
            _living.c.project,
            _living.c.requester,
            _living.c.shared,
            _living.c.host,
            _living.c.gone,
        )
        .select_from(_place)
        .outerjoin(_living, _living.c.number == _place.c.instance)
        .outerjoin(_root, _root.c.number == _living.c.tree)
        .where(_place.c.node == bindparam("of_node"))
        .order_by(_place.c.position, _place.c.reference)
    )


@prepared
def _of_place() -> Select[Any]:
    all_of_node: Select[Any] = _of_node.statement
    return all_of_node.where(_place.c.reference == bindparam("of_reference"))


@prepared
def _guests_of_node() -> Select[Any]:
    return (
        select(
            _place.c.reference.label("partition"),
            _guest.c.number,
            _guest.c.title,
            _guest.c.software_type,
            _guest.c.state,
            _root.c.state.label("root_state"),
            _guest.c.parameters,
            _guest.c.connection,
            _guest.c.timestamp,
        )
        .select_from(_place)
        .join(_guest, _guest.c.host == _place.c.instance)
        .join(_root, _root.c.number == _guest.c.tree)
        .where(_place.c.node == bindparam("of_node"), _guest.c.gone.is_(None))
        .order_by(_guest.c.number)
    )


@prepared
def _guests_of_place() -> Select[Any]:
    all_of_node: Select[Any] = _guests_of_node.statement
    return all_of_node.where(_place.c.reference == bindparam("of_reference"))


@prepared
def _supplies() -> Select[Any]:
    table = tables.supplies
    return select(table.c.release, table.c.state).where(table.c.node == bindparam("of_node")).order_by(table.c.release)
