"""What time alone changes: the master calls :func:`sweep` every :data:`EVERY_SECONDS`, as a safety net."""

from __future__ import annotations

from slapos.master.services.placing import serve_some
from slapos.master.services.trees import expire_retained
from slapos.master.storage.transaction import Transaction

EVERY_SECONDS = 60


def sweep(tx: Transaction, now: float) -> None:
    """Ends retentions that are over, and tries some pending requests again: each one once in a while."""
    expire_retained(tx, now)
    serve_some(tx, now, int(now // EVERY_SECONDS))
