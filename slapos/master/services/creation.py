"""A new instance, written once: its place is sought before it, so that most orders need no second look at the row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Insert, Update, bindparam, column, func, insert, select, table, update

from slapos.master.allocation.sla import parse_sla
from slapos.master.forwarding.objects import Elsewhere
from slapos.master.services import forwards, history, placing
from slapos.master.services.changes import about, current
from slapos.master.services.records import Row, dump, to_instance, to_instances
from slapos.master.storage import tables
from slapos.master.storage.identities import node_number
from slapos.master.storage.prepared import prepared
from slapos.master.storage.transaction import Transaction
from slapos.model.errors import InternalError
from slapos.model.objects import Instance, InstanceRequest
from slapos.model.states import Health, InstanceState


@dataclass(frozen=True)
class New:
    """An order that nothing answers yet; ``asking`` is the row of who requests it, None for a root."""

    request: InstanceRequest
    project: str
    asking: Row | None
    by: str
    now: float


def create(tx: Transaction, new: New, elsewhere: Elsewhere | None) -> Instance:
    """The instance, with a place when there is one for it; ``elsewhere``: another master has accepted it."""
    tx.will_write()
    if new.request.shared or elsewhere is not None:
        row = _insert(tx, new, _values(new))
        give_place(tx, row, elsewhere, new.now, new.by)
    else:
        found = placing.seek(tx, _draft(new), parse_sla(new.request.sla), new.now)
        if isinstance(found, placing.Place):
            return _create_there(tx, new, found)
        row = _insert(tx, new, _values(new))
        placing.wait(tx, row, found, new.now)
    return to_instances(tx, [current(tx, row)])[0]


def give_place(tx: Transaction, row: Row, elsewhere: Elsewhere | None, now: float, by: str) -> None:
    """What has no place gets one, here or as another master said."""
    tx.will_write()
    if elsewhere is not None:
        forwards.settle(tx, row, elsewhere, now)
    else:
        placing.place(tx, row, now, by=by)


def sla_columns(request: InstanceRequest) -> dict[str, Any]:
    """An SLA as it is written."""
    sla = parse_sla(request.sla)
    wanted = (node_number(sla.node) or 0) if sla.node else None
    return {"sla": dump(dict(request.sla)), "spread": sla.spread or None, "wanted_node": wanted}


def _create_there(tx: Transaction, new: New, found: placing.Place) -> Instance:
    inserted = _insert(tx, new, {**_values(new), **found.columns, "timestamp": int(new.now)})
    there = {"node": found.free.node, "partition": found.free.partition, "addresses": found.free.addresses}
    row = {**inserted, **there}
    if placing.settle(tx, row, found, new.now, new.by):
        return to_instances(tx, [current(tx, row)])[0]
    return to_instance(row)


def _draft(new: New) -> Row:
    """What a place is sought for."""
    return {"number": 0, **_values(new), "tree": new.asking["tree"] if new.asking is not None else 0}


def _values(new: New) -> dict[str, Any]:
    request, asking = new.request, new.asking
    return {
        "project": new.project,
        "title": request.title,
        "tree": asking["tree"] if asking is not None else None,
        "requester": asking["number"] if asking is not None else None,
        "shared": request.shared,
        "release": request.release,
        "software_type": request.software_type,
        "state": (request.state or InstanceState.STARTED).value,
        "parameters": dump(dict(request.parameters)),
        "created": int(new.now),
        "timestamp": int(new.now) - 1,  # a later allocation makes it ``now``
        "pending": True,
        "health": Health.PENDING.value,
        **sla_columns(request),
    }


def _insert(tx: Transaction, new: New, values: dict[str, Any]) -> Row:
    """The row, without a place, and its first event."""
    inserted = _insert_row(tx, values)
    number, request = int(inserted["number"]), new.request
    root = new.asking or {"tree": number, "root_title": request.title, "root_state": values["state"]}
    of_root = {name: root[name] for name in ("tree", "root_title", "root_state")}
    row = {**inserted, **of_root, "node": None, "partition": None, "addresses": None}
    sentence = f"Requested: {request.release}, type {request.software_type}."
    history.record(tx, about(row), "requested", sentence, by=new.by, now=new.now)
    tx.instance_changed(number, row["tree"], *([new.asking["number"]] if new.asking is not None else []))
    return row


def _insert_row(tx: Transaction, values: dict[str, Any]) -> Row:
    """All columns; a root is its own tree.  On SQLite its number is foretold, so that it is written once."""
    if values["tree"] is not None:
        inserted = _insert_any.row(tx, **values)
    elif tx.dialect.name == "sqlite":
        inserted = _insert_root.row(tx, **{name: value for name, value in values.items() if name != "tree"})
    else:
        inserted = _insert_any.row(tx, **values)
    assert inserted is not None
    if inserted["tree"] is None:
        _become_root.change(tx, of_number=inserted["number"])
    elif values["tree"] is None and inserted["tree"] != inserted["number"]:
        raise InternalError(f"The root {inserted['number']} was foretold to be {inserted['tree']}.")
    return inserted


@prepared
def _insert_root() -> Insert:
    """With SQLite's AUTOINCREMENT, the next number is the one after the last."""
    sequence = table("sqlite_sequence", column("name"), column("seq"))
    last = select(sequence.c.seq).where(sequence.c.name == tables.instances.name).scalar_subquery()
    of_root = insert(tables.instances).values(tree=func.coalesce(last, 0) + 1)
    return of_root.returning(*tables.instances.c)


@prepared
def _insert_any() -> Insert:
    return insert(tables.instances).returning(*tables.instances.c)


@prepared
def _become_root() -> Update:
    instances = tables.instances
    mine: BindParameter[int] = bindparam("of_number")
    return update(instances).where(instances.c.number == mine).values(tree=mine)
