"""What time alone changes: the master calls :func:`sweep` every :data:`EVERY_SECONDS`, as a safety net."""

from __future__ import annotations

from slapos.master.services.housekeeping import forget_old
from slapos.master.services.placing import serve_some
from slapos.master.services.trees import expire_retained
from slapos.master.storage.transaction import Transaction

EVERY_SECONDS = 60
FORGET_EVERY = 60  # sweeps


def sweep(tx: Transaction, now: float) -> None:
    """Ends retentions that are over, tries some pending requests again (each one once in a while), forgets old rows."""
    number = int(now // EVERY_SECONDS)
    expire_retained(tx, now)
    serve_some(tx, now, number)
    if number % FORGET_EVERY == 0:
        forget_old(tx, now)
