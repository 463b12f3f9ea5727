"""The running server: uvicorn over TLS, its threads, its background work, and its end within two seconds."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from types import FrameType

import uvicorn

from slapos.master import legacy
from slapos.master.application import Application
from slapos.master.background import Background
from slapos.master.calls import Tools
from slapos.master.config import MasterConfig, server_names
from slapos.master.dispatch import Dispatcher
from slapos.master.endpoints import ROUTES
from slapos.master.forwarding.forwarder import Forwarder
from slapos.master.forwarding.identity import ourselves
from slapos.master.hub import Hub
from slapos.master.legacy import LegacyListener
from slapos.master.peer import LegacyProtocol, TlsProtocol
from slapos.master.presence import Presence
from slapos.master.storage.blocking import may_block
from slapos.master.storage.database import Storage
from slapos.master.tls import authority_of, server_context
from slapos.schema.cache import DocumentCache
from slapos.schema.fetch import Fetcher
from slapos.schema.transport import Limits
from slapos.system.service_manager import Notifier

logger = logging.getLogger("slapos.master")

THREADS = 64  # as many writes can wait for one group commit
GRACE_SECONDS = 1  # for requests under way at the end
KEEP_ALIVE_SECONDS = 75


class Server(uvicorn.Server):
    """Ends the event streams as soon as it is told to stop; uvicorn would wait for them (for ever, by default).

    The legacy listener, when there is one, is a second socket of the same server: it ends with it.
    """

    def __init__(self, *, config: uvicorn.Config, hub: Hub, master: MasterConfig) -> None:
        super().__init__(config)
        self._hub = hub
        self._master = master
        self._notifier = Notifier()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Also tells the service manager, when there is one, that it serves."""
        await self._open(sockets)
        if self.started:
            self._notifier.ready()

    async def _open(self, sockets: list[socket.socket] | None) -> None:
        """Also opens the legacy listener; one that cannot be opened is known before anything is served."""
        listener = self._master.insecure_legacy_listener
        if listener is None:
            await super().startup(sockets)
            return
        bound = _bound(listener)
        await super().startup(sockets)
        protocol = functools.partial(
            LegacyProtocol,
            listener=listener,
            names=server_names(self._master).names,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        loop = asyncio.get_running_loop()
        self.servers.append(await loop.create_server(protocol, sock=bound, backlog=self.config.backlog))
        logger.warning(listener.warning)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal to stop: not kept for later, so that the process ends with status 0."""
        self.should_exit = True
        self._notifier.stopping()
        self._hub.closed = True

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        self._notifier.alive()
        if self._hub.closed:
            self._hub.close()
        return await super().on_tick(counter)


def _bound(listener: LegacyListener) -> socket.socket:
    family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
    try:
        return socket.create_server((listener.host, listener.port), family=family)
    except OSError as error:
        raise legacy.refused(f"{listener.url} cannot be opened ({error.strerror or error})") from error


def make_server(config: MasterConfig, storage: Storage) -> Server:
    """Everything wired together; ``run()`` serves until SIGTERM or SIGINT."""
    hub, presence = Hub(), Presence()
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="storage")
    tools = _tools(config, storage)
    dispatcher = Dispatcher(storage=storage, tools=tools, routes=ROUTES, presence=presence)
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
        background = Background(
            config=config, storage=storage, presence=presence, context=context, forwarder=tools.forwarder
        )
        task = asyncio.create_task(background.run(pool))
        try:
            yield
        finally:
            unsubscribe()
            task.cancel()
            tools.forwarder.close()
            pool.shutdown(wait=False, cancel_futures=True)

    return Server(config=_uvicorn_config(config, application.asgi(lifespan), context), hub=hub, master=config)


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


def _tools(config: MasterConfig, storage: Storage) -> Tools:
    fetcher = Fetcher(
        roots=config.allowed_release_roots,
        limits=Limits(allow_private_addresses=config.allow_private_addresses),
        cache=DocumentCache(config.below("documents")),
    )
    authority = authority_of(config)
    me = ourselves(config, authority.ca_pem)

    def fetch(url: str) -> bytes:
        may_block()
        return fetcher(url)

    return Tools(config, authority, fetch, Forwarder(storage=storage, others=config.other_masters, ourselves=me))
