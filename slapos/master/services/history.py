"""What happened, as sentences.

Bounds: :data:`SUBJECT_LIMIT` events of one instance or node, :data:`TOTAL_LIMIT` in all; the oldest go first.  The
bounds are enforced every :data:`TRIM_EVERY` events.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Delete, Insert, Select, bindparam, delete, func, insert, select

from slapos.master.services import access
from slapos.master.storage import tables
from slapos.master.storage.prepared import prepared
from slapos.master.storage.transaction import Transaction
from slapos.model.objects import Event
from slapos.model.principal import Principal

SUBJECT_LIMIT = 1_000
TOTAL_LIMIT = 200_000
TRIM_EVERY = 256
PAGE_LIMIT = 1_000
SENTENCE_LIMIT = 2_000  # characters kept of a sentence


def actor(principal: Principal) -> str:
    """How a principal is named in events and with idempotency keys: ``user:jane``."""
    return f"{principal.kind.value}:{principal.reference}" if principal.reference else principal.kind.value


def record(tx: Transaction, about: tuple[str, str], kind: str, sentence: str, *, by: str, now: float) -> None:
    """Adds an event; ``about`` is (project, subject)."""
    values = {
        "project": about[0],
        "subject": about[1],
        "kind": kind,
        "sentence": sentence[:SENTENCE_LIMIT],
        "actor": by,
        "date": int(now),
    }
    number = _insert.value(tx, **values)
    if number % TRIM_EVERY == 0:
        trim(tx)


@prepared
def _insert() -> Insert:
    return insert(tables.events).returning(tables.events.c.number)


def said_lately(tx: Transaction, subject: str, sentence: str) -> bool:
    """Whether it is among the last events of a subject; no rights are checked."""
    return sentence in _last_sentences.column(tx, of_subject=subject)


@prepared
def _last_sentences() -> Select[Any]:
    events = tables.events
    of_subject = select(events.c.sentence).where(events.c.subject == bindparam("of_subject"))
    return of_subject.order_by(events.c.number.desc()).limit(10)


def trim(tx: Transaction) -> None:
    """Deletes what is beyond the bounds; looks at the subjects that got events since the last time."""
    newest = _newest.value(tx) or 0
    _delete_old.change(tx, of_number=newest - TOTAL_LIMIT)
    for subject in _recent.column(tx, of_number=newest - 2 * TRIM_EVERY):
        last_kept = _last_kept.value(tx, of_subject=subject)
        if last_kept is not None:
            _delete_before.change(tx, of_subject=subject, of_number=last_kept)


@prepared
def _newest() -> Select[Any]:
    return select(func.max(tables.events.c.number))


@prepared
def _delete_old() -> Delete:
    return delete(tables.events).where(tables.events.c.number <= bindparam("of_number"))


@prepared
def _recent() -> Select[Any]:
    events = tables.events
    return select(events.c.subject).where(events.c.number > bindparam("of_number")).distinct()


@prepared
def _last_kept() -> Select[Any]:
    """The oldest event of a subject that stays, when there are as many as may stay."""
    events = tables.events
    of_subject = select(events.c.number).where(events.c.subject == bindparam("of_subject"))
    return of_subject.order_by(events.c.number.desc()).offset(SUBJECT_LIMIT - 1).limit(1)


@prepared
def _delete_before() -> Delete:
    events = tables.events
    return delete(events).where(events.c.subject == bindparam("of_subject"), events.c.number < bindparam("of_number"))


def events(tx: Transaction, principal: Principal, subject: str, since: int = 0, limit: int = 100) -> list[Event]:
    """Those of an instance, a node or ``<node> <release>`` numbered above ``since``; the newest ``limit``, in order."""
    access.check_subject(tx, principal, subject)
    table = tables.events
    statement = (
        select(table)
        .where(table.c.subject == subject, table.c.number > since)
        .order_by(table.c.number.desc())
        .limit(max(1, min(limit, PAGE_LIMIT)))
    )
    found = tx.execute(statement).mappings().all()
    return [
        Event(
            number=row["number"],
            date=row["date"],
            subject=row["subject"],
            kind=row["kind"],
            sentence=row["sentence"],
            actor=row["actor"],
        )
        for row in reversed(found)
    ]
