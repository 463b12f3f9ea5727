"""What happened, as sentences.

Bounds: :data:`SUBJECT_LIMIT` events of one instance or node, :data:`TOTAL_LIMIT` in all; the oldest go first.  The
bounds are enforced every :data:`TRIM_EVERY` events.
"""

from __future__ import annotations

from sqlalchemy import delete, func, insert, select

from slapos.master.services import access
from slapos.master.storage import tables
from slapos.master.storage.transaction import Transaction
from slapos.model.objects import Event
from slapos.model.principal import Principal

SUBJECT_LIMIT = 1_000
TOTAL_LIMIT = 200_000
TRIM_EVERY = 256
PAGE_LIMIT = 1_000
SENTENCE_LIMIT = 2_000  # characters kept of a sentence
_INSERT = insert(tables.events).returning(tables.events.c.number)


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
    number = tx.execute(_INSERT, values).scalar_one()
    if number % TRIM_EVERY == 0:
        trim(tx)


def trim(tx: Transaction) -> None:
    """Deletes what is beyond the bounds."""
    events = tables.events
    newest = tx.execute(select(func.max(events.c.number))).scalar_one_or_none() or 0
    tx.execute(delete(events).where(events.c.number <= newest - TOTAL_LIMIT))
    crowded = select(events.c.subject).group_by(events.c.subject).having(func.count() > SUBJECT_LIMIT)
    for subject in tx.execute(crowded).scalars().all():
        of_subject = select(events.c.number).where(events.c.subject == subject).order_by(events.c.number.desc())
        last_kept = tx.execute(of_subject.offset(SUBJECT_LIMIT - 1).limit(1)).scalar_one()
        tx.execute(delete(events).where(events.c.subject == subject, events.c.number < last_kept))


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
