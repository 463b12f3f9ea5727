"""A client that tells its person when a call takes long, because silence looks like a hang."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from slapos.cli.output import is_json, say
from slapos.slap.client import Client

QUIET_SECONDS = 2.0


class PatientClient(Client):
    """As :class:`~slapos.slap.client.Client`; while a call is tried again, one line says which address."""

    def call(self, method: str, message: Mapping[str, Any], idempotency_key: str | None = None) -> dict[str, Any]:
        if is_json():  # asked here: the thread of the timer has no command line
            return super().call(method, message, idempotency_key)
        timer = threading.Timer(QUIET_SECONDS, say, [f"Waiting for {self.master_url} …"])
        timer.daemon = True
        timer.start()
        try:
            return super().call(method, message, idempotency_key)
        finally:
            timer.cancel()
