"""Instances that another master serves: the rows that say where, and what is learned from its answers.

A row is reserved before the other master is asked (:func:`reserve`), bound to the instance when the order is written
(:func:`settle`), and deleted when the other master has taken back the last of it.  So whatever may be held for us
there has a row here; one without an instance, left by a crash, is taken back when its time comes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import delete, insert, select, update

from slapos.master.forwarding.objects import Asked, Elsewhere, Served
from slapos.master.forwarding.plan import title_there
from slapos.master.services import history
from slapos.master.services.changes import about, mark_gone, touch_number, write
from slapos.master.services.records import Row, dump, instance_row, wanted_state
from slapos.master.storage.tables import forwards
from slapos.master.storage.transaction import Transaction
from slapos.model.errors import InputError, Unavailable
from slapos.model.states import Health, InstanceState
from slapos.model.text import check_texts

RESERVED_SECONDS = 180  # longer than any answer takes; then an unfinished order is taken back
SOON_SECONDS = 1
PAGE = 100  # rows that are due, looked at together
OTHER = "other master"  # the actor of what it told
_ACCESS, _ERROR = "#access", "#error"


def forward_of(tx: Transaction, instance: int) -> Row | None:
    """The row of an instance; None when it is served here, or nothing is left of it there."""
    return tx.execute(select(forwards).where(forwards.c.instance == instance)).mappings().one_or_none()


def reserve(tx: Transaction, key: tuple[str, int, str], requester: str, asked: Asked, master: str, now: float) -> Row:
    """The row for a new order, before anybody is asked: the one of an earlier try, or another with a free title.

    ``key``: (project, number of the root or 0, title here).
    """
    project, tree, name = key
    same = (forwards.c.project == project, forwards.c.tree == tree, forwards.c.name == name)
    again = select(forwards).where(*same, forwards.c.master == master)
    values = {"due": int(now) + RESERVED_SECONDS, "sent": dump(asked.kind), "tries": 0}
    found = tx.execute(again).mappings().first()
    if found is not None:
        tx.execute(update(forwards).where(forwards.c.number == found["number"]).values(values))
        return found
    title = _free_title(tx, master, requester, name)
    columns = {"project": project, "tree": tree, "name": name, "master": master, "title": title, **values}
    return tx.execute(insert(forwards).values(columns).returning(*forwards.c)).mappings().one()


def _free_title(tx: Transaction, master: str, requester: str, name: str) -> str:
    """Two of our instances never share one there, whatever partitions and projects they are of."""
    turn = 0
    while True:
        title = title_there(requester, name, turn)
        taken = select(forwards.c.number).where(forwards.c.master == master, forwards.c.title == title)
        if tx.execute(taken).first() is None:
            return title
        turn += 1


def drop_reservation(tx: Transaction, number: int) -> None:
    """The other master refused, or was never asked: nothing is there."""
    tx.execute(delete(forwards).where(forwards.c.number == number, forwards.c.instance.is_(None)))


def settle(tx: Transaction, row: Row, elsewhere: Elsewhere, now: float) -> None:
    """The instance is served elsewhere from now on; nothing is written that the other master has not accepted."""
    mine = forwards.c.instance.is_(None) | (forwards.c.instance == row["number"])
    number = elsewhere.number
    values = {"instance": row["number"]}
    if not row["forwarded"] or row["timestamp"] >= int(now):  # otherwise the order changed nothing
        values |= {"due": int(now) + SOON_SECONDS, "tries": 0}
    known = forward_of(tx, row["number"])
    fits = known is None or known["number"] == number
    bound = fits and tx.execute(update(forwards).where(forwards.c.number == number, mine).values(values)).rowcount
    if not bound:
        raise not_asked(row)
    if not row["forwarded"]:
        write(tx, row, forwarded=True, pending=False, host=None)
    learn(tx, number, elsewhere.served, now)


def not_asked(row: Row) -> Unavailable:
    """Another master serves it, and has not accepted this."""
    return Unavailable(
        f"Another master serves {row['title']!r} and was not asked, or somebody else changed it meanwhile.",
        reference="other-master-unavailable",
        context={"title": row["title"]},
        hint="Order again; if it stays so, its section [multimaster/…] is missing in master.cfg.",
    )


def renamed(tx: Transaction, row: Row, title: str) -> None:
    """The title here changed; there it stays."""
    tx.execute(update(forwards).where(forwards.c.instance == row["number"]).values(name=title))


def ask_soon(tx: Transaction, row: Row, now: float) -> None:
    """What is wanted changed, and the other master does not know yet."""
    tx.execute(update(forwards).where(forwards.c.instance == row["number"]).values(due=int(now), tries=0))


def learn(tx: Transaction, number: int, served: Served | None, now: float) -> bool:
    """Keeps an answer; whether it said anything new.  The requester is processed again when it published."""
    forward = tx.execute(select(forwards).where(forwards.c.number == number)).mappings().one_or_none()
    row = instance_row(tx, forward["instance"]) if forward is not None else None
    if forward is None or row is None:
        return False
    columns: dict[str, Any] = {"answered": int(now)}
    if served is not None:
        columns |= {"node": served.node, "partition": served.partition, "guid": served.guid}
    tx.execute(update(forwards).where(forwards.c.number == number).values(columns))
    said = _say(tx, row, _words(forward["master"].rstrip("/"), served), now)
    return _publish(tx, row, served, now) or said


def _words(master: str, served: Served | None) -> dict[str, Any]:
    if served is None:
        sentence = f"{master} has accepted it, and has no place for it yet."
        return {"health": Health.PENDING.value, "sentence": sentence, "reasons": dump([sentence])}
    where = f"Served by {master}" + (f" on {served.node}, partition {served.partition}." if served.partition else ".")
    health, said = _told(served)
    return {"health": health.value, "sentence": f"{where} {said}".strip(), "reasons": "[]"}


def _told(served: Served) -> tuple[Health, str]:
    """What the status says; where none is told (slapproxy), it works when it published something."""
    if served.status.startswith(_ERROR):
        return Health.ERROR, served.status.removeprefix(_ERROR).strip()
    if served.status.startswith(_ACCESS):
        return Health.OK, served.status.removeprefix(_ACCESS).strip()
    if served.status or served.connection:
        return (Health.WORKING if served.status else Health.OK), served.status
    return Health.WORKING, "Nothing is published there yet."


def _say(tx: Transaction, row: Row, words: Mapping[str, Any], now: float) -> bool:
    if all(row[name] == value for name, value in words.items()):
        return False
    write(tx, row, **words)
    kind = "pending" if words["health"] == Health.PENDING else "reported"
    history.record(tx, about(row), kind, words["sentence"], by=OTHER, now=now)
    return True


def _publish(tx: Transaction, row: Row, served: Served | None, now: float) -> bool:
    if served is None or json.loads(row["connection"]) == dict(served.connection):
        return False
    try:
        values = check_texts("connection", served.connection)
    except InputError as error:
        return _say(tx, row, {"health": Health.ERROR.value, "sentence": error.message}, now)
    write(tx, row, connection=dump(values))
    touch_number(tx, row["requester"], now)
    history.record(tx, about(row), "published", f"Published: {', '.join(values) or 'nothing'}.", by=OTHER, now=now)
    return True


def complain(tx: Transaction, number: int, sentence: str, *, error: bool, now: float) -> None:
    """The other master did not answer, or refused what it had accepted; what is known of it stays."""
    forward = tx.execute(select(forwards).where(forwards.c.number == number)).mappings().one_or_none()
    row = instance_row(tx, forward["instance"]) if forward is not None else None
    if row is not None:
        _say(tx, row, {"health": Health.ERROR.value if error else row["health"], "sentence": sentence}, now)


def taken_back(tx: Transaction, number: int, now: float, *, by: str = OTHER) -> None:
    """The other master knows that it shall be destroyed: here it is forgotten, and gone."""
    found = tx.execute(delete(forwards).where(forwards.c.number == number).returning(*forwards.c)).mappings().first()
    row = instance_row(tx, found["instance"]) if found is not None else None
    if found is None or row is None or row["gone"] is not None:
        return
    mark_gone(tx, row, now)
    sentence = f"Destroyed: {found['master'].rstrip('/')} serves it no longer."
    history.record(tx, about(row), "freed", sentence, by=by, now=now)


def due(tx: Transaction, masters: Iterable[str], now: float) -> list[Row]:
    """Rows of these masters whose time has come, the longest waiting first."""
    mine = (forwards.c.due <= int(now), forwards.c.master.in_(list(masters)))
    return list(tx.execute(select(forwards).where(*mine).order_by(forwards.c.due).limit(PAGE)).mappings())


def asked_now(tx: Transaction, forward: Row) -> Asked:
    """What the other master shall be asked for, as things are; its SLA still is that of the order here."""
    row = instance_row(tx, forward["instance"])
    if row is None:
        return Asked(title=forward["title"], state=InstanceState.DESTROYED, parameters={}, sla={}, **_sent(forward))
    return Asked(
        title=forward["title"],
        release=row["release"],
        software_type=row["software_type"],
        shared=row["shared"],
        state=wanted_state(row),
        parameters=json.loads(row["parameters"]),
        sla=json.loads(row["sla"]),
    )


def _sent(forward: Row) -> dict[str, Any]:
    return dict(json.loads(forward["sent"]))


def ask_again(tx: Transaction, number: int, *, due: int, tries: int) -> None:
    """When, and how often in vain already."""
    tx.execute(update(forwards).where(forwards.c.number == number).values(due=due, tries=tries))
