"""The running server: uvicorn over TLS, its threads, its background work, and its end within two seconds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from types import FrameType

import uvicorn

from slapos.master.application import Application
from slapos.master.background import Background
from slapos.master.calls import Tools
from slapos.master.config import MasterConfig
from slapos.master.dispatch import Dispatcher
from slapos.master.endpoints import ROUTES
from slapos.master.hub import Hub
from slapos.master.peer import TlsProtocol
from slapos.master.presence import Presence
from slapos.master.storage.database import Storage
from slapos.master.tls import authority_of, server_context
from slapos.schema.cache import DocumentCache
from slapos.schema.fetch import Fetcher
from slapos.schema.transport import Limits

logger = logging.getLogger("slapos.master")

THREADS = 64  # as many writes can wait for one group commit
GRACE_SECONDS = 1  # for requests under way at the end
KEEP_ALIVE_SECONDS = 75


class Server(uvicorn.Server):
    """Ends the event streams as soon as it is told to stop; uvicorn would wait for them (for ever, by default)."""

    def __init__(self, *, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal to stop: not kept for later, so that the process ends with status 0."""
        self.should_exit = True
        self._hub.closed = True

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        if self._hub.closed:
            self._hub.close()
        return await super().on_tick(counter)


def make_server(config: MasterConfig, storage: Storage) -> Server:
    """Everything wired together; ``run()`` serves until SIGTERM or SIGINT."""
    hub, presence = Hub(), Presence()
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="storage")
    dispatcher = Dispatcher(storage=storage, tools=_tools(config), routes=ROUTES, presence=presence)
    application = Application(dispatcher=dispatcher, hub=hub, pool=pool)
    context = server_context(config)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()

        def committed(generation: int, subjects: frozenset[str]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody listens any more
                loop.call_soon_threadsafe(hub.publish, generation, subjects)

        unsubscribe = storage.subscribe(committed)
        hub.start(await loop.run_in_executor(pool, storage.generation))
        background = Background(config=config, storage=storage, presence=presence, context=context)
        task = asyncio.create_task(background.run(pool))
        try:
            yield
        finally:
            unsubscribe()
            task.cancel()
            pool.shutdown(wait=False, cancel_futures=True)

    return Server(config=_uvicorn_config(config, application.asgi(lifespan), context), hub=hub)


def _uvicorn_config(config: MasterConfig, app: object, context: ssl.SSLContext) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        host=config.host,
        port=config.port,
        loop="uvloop",
        http=TlsProtocol,
        ws="none",
        lifespan="on",
        interface="asgi3",
        ssl_context_factory=lambda *_: context,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def _tools(config: MasterConfig) -> Tools:
    fetcher = Fetcher(
        roots=config.allowed_release_roots,
        limits=Limits(allow_private_addresses=config.allow_private_addresses),
        cache=DocumentCache(config.below("documents")),
    )
    return Tools(config, authority_of(config), fetcher)
