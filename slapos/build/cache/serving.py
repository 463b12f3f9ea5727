"""Runs the server of a binary cache in this process until it is interrupted."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass

import uvicorn

from slapos.build.cache.server import Serving, cache_application

_END = 10  # seconds for answers under way


@dataclass(frozen=True)
class Address:
    """Where is listened (port 0: a free one), with files of certificate and key for https."""

    host: str
    port: int
    cert: str = ""
    key: str = ""


def serve_cache(directory: str, address: Address, token: str, ready: Callable[[str], None]) -> None:
    """Serve ``directory``; ``ready`` gets the URL when connections are taken."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with listener:
        listener.bind((address.host, address.port))
        host = f"[{address.host}]" if family == socket.AF_INET6 else address.host
        url = f"{'https' if address.cert else 'http'}://{host}:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            cache_application(Serving(directory, token)),
            log_level="warning",
            lifespan="off",
            timeout_graceful_shutdown=_END,
            ssl_certfile=address.cert or None,
            ssl_keyfile=address.key or None,
        )
        listener.listen(1024)
        ready(url)
        asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))
