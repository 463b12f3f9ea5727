"""What was answered to a write that carried a key, so that a repetition gets the same answer and changes nothing.

Bound: :data:`KEPT_SECONDS` of age; older ones go as new ones come.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, insert, select

from slapos.master.services.history import actor
from slapos.master.services.records import dump
from slapos.master.storage import tables
from slapos.master.storage.transaction import Transaction
from slapos.model.principal import Principal

KEPT_SECONDS = 7 * 86_400


def remembered(tx: Transaction, principal: Principal, key: str) -> dict[str, Any] | None:
    """The answer given to this principal under this key; None when there was none, or long ago.

    Ask in the same writing transaction as the write itself: then two repetitions at once give one write.
    """
    table = tables.answers
    found = select(table.c.answer).where(table.c.actor == actor(principal), table.c.key == key)
    text = tx.execute(found).scalar_one_or_none()
    return None if text is None else dict(json.loads(text))


def remember(tx: Transaction, principal: Principal, key: str, answer: Mapping[str, Any], now: float) -> None:
    """Keeps a JSON-compatible answer; durable together with the write."""
    table = tables.answers
    tx.execute(delete(table).where(table.c.date < now - KEPT_SECONDS))
    tx.execute(insert(table).values(actor=actor(principal), key=key, answer=dump(dict(answer)), date=now))
