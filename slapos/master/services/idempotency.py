"""What was answered to a write that carried a key, so that a repetition gets the same answer and changes nothing.

Bound: :data:`KEPT_SECONDS` of age; older ones go as new ones come, one time of :data:`TRIM_EVERY`.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Insert, Select, bindparam, delete, insert, select

from slapos.master.services.history import actor
from slapos.master.services.records import dump
from slapos.master.storage import tables
from slapos.master.storage.prepared import prepared
from slapos.master.storage.transaction import Transaction
from slapos.model.principal import Principal

KEPT_SECONDS = 7 * 86_400
TRIM_EVERY = 64


def remembered(tx: Transaction, principal: Principal, key: str) -> dict[str, Any] | None:
    """The answer given to this principal under this key; None when there was none, or so long ago that it went.

    Ask in the same writing transaction as the write itself: then two repetitions at once give one write.
    """
    text = _answer.value(tx, of_actor=actor(principal), of_key=key)
    return None if text is None else dict(json.loads(text))


def remember(tx: Transaction, principal: Principal, key: str, answer: Mapping[str, Any], now: float) -> None:
    """Keeps a JSON-compatible answer; durable together with the write."""
    if zlib.crc32(key.encode()) % TRIM_EVERY == 0:
        tx.execute(delete(tables.answers).where(tables.answers.c.date < now - KEPT_SECONDS))
    _insert.change(tx, actor=actor(principal), key=key, answer=dump(dict(answer)), date=now)


@prepared
def _insert() -> Insert:
    return insert(tables.answers)


@prepared
def _answer() -> Select[tuple[str]]:
    table = tables.answers
    return select(table.c.answer).where(table.c.actor == bindparam("of_actor"), table.c.key == bindparam("of_key"))
