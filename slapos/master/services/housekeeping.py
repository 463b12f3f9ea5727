"""What is kept of the past, and for how long: the bounds of tables that would otherwise only grow.

References are never given twice: the databases count them on their own, whatever rows are left.
"""

from __future__ import annotations

from sqlalchemy import delete, exists, or_, select

from slapos.master.storage.tables import certificates, instances, tokens
from slapos.master.storage.transaction import Transaction

DAY = 86400
GONE_DAYS = 90  # after its destruction an instance can still be looked at for this long
CERTIFICATE_DAYS = 400  # an expired certificate can be renewed for a year
TOKEN_DAYS = 30  # after its end, so that a late use is told what happened
BATCH = 500  # rows of each kind at once: a sweep must not hold the writer for long


def forget_old(tx: Transaction, now: float) -> int:
    """Deletes at most :data:`BATCH` rows of each kind that nobody may need any more; how many."""
    return _instances(tx, now) + _certificates(tx, now) + _tokens(tx, now)


def _instances(tx: Transaction, now: float) -> int:
    other = instances.alias("other")
    needed = exists().where(
        other.c.number != instances.c.number,
        or_(
            other.c.tree == instances.c.number,
            other.c.requester == instances.c.number,
            other.c.host == instances.c.number,
        ),
    )
    old = select(instances.c.number).where(instances.c.gone < int(now) - GONE_DAYS * DAY, ~needed).limit(BATCH)
    return tx.execute(delete(instances).where(instances.c.number.in_(old))).rowcount


def _certificates(tx: Transaction, now: float) -> int:
    limit = int(now) - CERTIFICATE_DAYS * DAY
    old = select(certificates.c.serial).where(certificates.c.not_after < limit).limit(BATCH)
    return tx.execute(delete(certificates).where(certificates.c.serial.in_(old))).rowcount


def _tokens(tx: Transaction, now: float) -> int:
    old = select(tokens.c.digest).where(tokens.c.expires < int(now) - TOKEN_DAYS * DAY).limit(BATCH)
    return tx.execute(delete(tokens).where(tokens.c.digest.in_(old))).rowcount
