"""What the server does unasked: serve what is pending, ask other masters, renew its certificate, note who is there.

Each round is a safety net.  Tables keep their bounds by themselves, in the services that write them.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from slapos.master.config import MasterConfig
from slapos.master.forwarding.forwarder import Forwarder
from slapos.master.presence import Presence
from slapos.master.services import nodes, sweep
from slapos.master.storage.database import Storage
from slapos.master.storage.transaction import Transaction
from slapos.master.tls import ensure_server_certificate, load_server_certificate
from slapos.model.errors import HyperopenxError

logger = logging.getLogger("slapos.master.background")

PRESENCE_SECONDS = 5.0
CERTIFICATE_SECONDS = 600.0
FORWARDING_SECONDS = 1.0


class Background:
    """The rounds; a failing one is logged and tried again at its next time."""

    def __init__(
        self,
        *,
        config: MasterConfig,
        storage: Storage,
        presence: Presence,
        context: ssl.SSLContext,
        forwarder: Forwarder,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._storage = storage
        self._presence = presence
        self._context = context
        self._forwarder = forwarder
        self._clock = clock

    async def run(self, pool: ThreadPoolExecutor) -> None:
        """All rounds, until cancelled."""
        rounds = (
            (PRESENCE_SECONDS, self.note_presence),
            (sweep.EVERY_SECONDS, self.sweep),
            (CERTIFICATE_SECONDS, self.renew_certificates),
            (FORWARDING_SECONDS, self.ask_other_masters),
        )
        await asyncio.gather(*(self._repeat(pool, seconds, action) for seconds, action in rounds))

    def note_presence(self) -> None:
        """Write which nodes gave a sign of life."""
        seen = self._presence.take()
        if not seen:
            return

        def write(tx: Transaction) -> None:
            nodes.heartbeat(tx, seen, self._clock())

        self._storage.write(write)

    def sweep(self) -> None:
        """What time alone changes: retentions that end, pending requests that can be served by now."""
        self._storage.write(lambda tx: sweep.sweep(tx, self._clock()))

    def ask_other_masters(self) -> None:
        """What they publish, and what they must be told."""
        self._forwarder.refresh(wait=False)

    def renew_certificates(self) -> None:
        """Renew the server's certificate when half its life is over, and ours at other masters; connections go on."""
        if ensure_server_certificate(self._config, self._clock()):
            load_server_certificate(self._context, self._config)
            logger.info("The server's certificate was renewed.")
        if self._config.other_masters:
            from slapos.master.forwarding.renewal import renew_due  # the HTTP client: not for who needs none

            renew_due(self._config.other_masters, self._clock())

    async def _repeat(self, pool: ThreadPoolExecutor, seconds: float, action: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                await loop.run_in_executor(pool, action)
            except HyperopenxError as error:
                logger.warning("%s: %s", action.__name__, error)
            await asyncio.sleep(seconds)
