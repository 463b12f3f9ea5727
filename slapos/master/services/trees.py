"""Trees of instances: who requested whom, destruction, children no longer asked for.

Destroying a root destroys its tree, in the same transaction.  A child that its requester no longer asks for is an
orphan: shown, kept, and never destroyed for that.  Destruction has two steps: the wish, and the node's report that
nothing is left (:func:`finish`); only then is the partition free and the title usable anew.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from sqlalchemy import select

from slapos.master.allocation.sla import parse_sla
from slapos.master.authorization import Action, refusal
from slapos.master.services import access, capacity, forwards, history, placing
from slapos.master.services.changes import about, live_tree, lock_tree, mark_gone, touch, write
from slapos.master.services.records import Row, instance_row, select_instances, to_instances
from slapos.master.storage import tables
from slapos.master.storage.identities import instance_guid
from slapos.master.storage.transaction import Transaction
from slapos.model.errors import Conflict
from slapos.model.objects import Instance
from slapos.model.principal import Principal
from slapos.model.states import InstanceState
from slapos.model.text import check_title

DAY = 86_400
DESTROYED = InstanceState.DESTROYED.value


def is_root(row: Row) -> bool:
    return bool(row["number"] == row["tree"])


def destroy(tx: Transaction, row: Row, *, by: str, now: float) -> None:
    """The wish.  Shared instances and those without a partition are gone at once."""
    rows = live_tree(tx, row["tree"]) if is_root(row) else [row]
    doomed = [each for each in rows if each["state"] != DESTROYED]
    for each in sorted(doomed, key=lambda each: not each["shared"]):
        _destroy_one(tx, each, by=by, now=now)
    if not is_root(row):
        _orphan_children(tx, row, (), now=now)


def _destroy_one(tx: Transaction, row: Row, *, by: str, now: float) -> None:
    days = parse_sla(json.loads(row["sla"])).retention
    retained = int(now + days * DAY) if days and row["node"] is not None and not row["shared"] else None
    words = _words(retained) if not row["forwarded"] else {"sentence": "To be destroyed; the other master is told."}
    touch(tx, row, now, state=DESTROYED, pending=False, reasons="[]", retained=retained, **words)
    history.record(tx, about(row), "destroyed", _destroyed_sentence(retained), by=by, now=now)
    if row["forwarded"]:
        forwards.ask_soon(tx, row, now)  # gone when the other master knows
    elif row["shared"] or row["node"] is None:
        mark_gone(tx, row, now)
    else:
        _release_guests(tx, row, now)


def _words(retained: int | None) -> dict[str, str]:
    if retained is None:
        return {"sentence": "To be destroyed; the node has not reported yet."}
    return {"sentence": f"Stopped, and kept until {_date(retained)} by its retention delay."}


def _destroyed_sentence(retained: int | None) -> str:
    return "Its destruction was asked for." + (f"  It is kept until {_date(retained)}." if retained else "")


def _date(date: int) -> str:
    return datetime.fromtimestamp(date, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _release_guests(tx: Transaction, host: Row, now: float) -> None:
    """What a destroyed host served waits for another host, or finds it at once."""
    instances = tables.instances
    guests = select_instances().where(instances.c.host == host["number"], instances.c.gone.is_(None))
    for guest in tx.execute(guests.order_by(instances.c.number)).mappings().all():
        write(tx, guest, host=None, pending=True)
        again = instance_row(tx, guest["number"])
        if again is not None:
            placing.place(tx, again, now)


def expire_retained(tx: Transaction, now: float) -> int:
    """Lets go of the destroyed instances whose retention is over; how many."""
    instances = tables.instances
    due = select_instances().where(instances.c.retained <= int(now), instances.c.gone.is_(None))
    rows = tx.execute(due).mappings().all()
    for row in rows:
        touch(tx, row, now, retained=None, **_words(None))
        history.record(tx, about(row), "destroyed", "Its retention is over.", by=placing.MASTER, now=now)
    return len(rows)


def finish(tx: Transaction, row: Row, *, by: str, now: float) -> None:
    """The node reports that nothing is left: the partition is free, and serves who waits for it."""
    capacity.give_back(tx, row["node"], row["partition"])
    mark_gone(tx, row, now)
    sentence = f"Destroyed; partition {row['partition']} is free."
    history.record(tx, about(row), "freed", sentence, by=by, now=now)
    placing.serve_pending(tx, now, node=row["node"])


def tree(tx: Transaction, principal: Principal, guid: str) -> list[Instance]:
    """The live instances of the tree of ``guid``, requesters before what they requested."""
    row = access.find_row(tx, principal, guid)
    visible = [
        each for each in live_tree(tx, row["tree"]) if each["number"] == row["number"] or _may_see(tx, principal, each)
    ]
    return to_instances(tx, visible or [row])


def _may_see(tx: Transaction, principal: Principal, row: Row) -> bool:
    return refusal(principal, Action.INSTANCE_READ, access.subject_of(tx, principal, row)) is None


def set_requested_children(
    tx: Transaction, principal: Principal, guid: str, titles: Collection[str], now: float
) -> None:
    """After a successful cycle: children with other titles are orphans, those with these are not."""
    row = access.find_row(tx, principal, guid, Action.INSTANCE_CHILDREN)
    lock_tree(tx, row["tree"])
    _orphan_children(tx, row, titles, now=now)


def _orphan_children(tx: Transaction, row: Row, titles: Collection[str], *, now: float) -> None:
    for child in _children(tx, row["number"]):
        orphan = child["title"] not in titles
        if orphan == child["orphan"] or child["state"] == DESTROYED:
            continue
        write(tx, child, orphan=orphan)
        sentence = f"{instance_guid(row['number'])} {'no longer asks' if orphan else 'asks again'} for it."
        kind = "orphaned" if orphan else "requested"
        history.record(tx, about(child), kind, sentence, by=about(row)[1], now=now)


def _children(tx: Transaction, requester: int) -> Sequence[Row]:
    instances = tables.instances
    statement = select_instances().where(instances.c.requester == requester, instances.c.gone.is_(None))
    return tx.execute(statement.order_by(instances.c.number)).mappings().all()


def rename(tx: Transaction, principal: Principal, guid: str, title: str, now: float) -> None:
    """Another title; the identity, the place and the children stay.  Nothing for the node to do."""
    check_title("title", title)
    row = access.find_row(tx, principal, guid, Action.INSTANCE_CHANGE)
    lock_tree(tx, row["tree"])
    if row["title"] == title:
        return
    refuse_taken(tx, row, title)
    write(tx, row, title=title)
    if row["forwarded"]:
        forwards.renamed(tx, row, title)
    history.record(
        tx, about(row), "renamed", f"Renamed from {row['title']!r} to {title!r}.", by=history.actor(principal), now=now
    )


def refuse_taken(tx: Transaction, row: Row, title: str) -> None:
    instances = tables.instances
    same = instances.c.tree == row["tree"]
    if is_root(row):
        same = same | (instances.c.requester.is_(None) & (instances.c.project == row["project"]))
    taken = select(instances.c.number).where(same, instances.c.title == title, instances.c.gone.is_(None))
    other = tx.execute(taken.limit(1)).scalar_one_or_none()
    if other is not None:
        raise Conflict(
            f"title: {title!r} is the title of {instance_guid(other)} already.",
            reference="title-taken",
            context={"field": "title", "title": title, "instance": instance_guid(other)},
            hint="Choose another title.",
        )


def bang_instance(tx: Transaction, principal: Principal, guid: str, message: str, now: float) -> None:
    """The whole tree is processed again."""
    row = access.find_row(tx, principal, guid, Action.INSTANCE_BANG)
    lock_tree(tx, row["tree"])
    for each in live_tree(tx, row["tree"]):
        if not each["shared"]:
            touch(tx, each, now)
    history.record(tx, about(row), "bang", message or "Process it again.", by=history.actor(principal), now=now)
