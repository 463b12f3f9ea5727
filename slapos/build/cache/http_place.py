"""A cache behind a plain HTTP server.

Reading asks nothing of the server but files.  Writing is by PUT: our own server (``slapos cache serve``), or one with
WebDAV.  Credentials stand in the URL, or the token in ``HYPEROPENX_CACHE_TOKEN``.  Proxy variables are honoured.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any
from urllib.parse import quote, urljoin, urlsplit, urlunsplit
from weakref import WeakSet

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from slapos.build.cache.places import Bound, Item, absent, bounded, refused_write, unavailable
from slapos.model.errors import InputError

TOKEN = "HYPEROPENX_CACHE_TOKEN"
_CHUNK = 256 * 1024
_REDIRECTS = 5
_UPLOAD_STALL = 120.0


class HttpPlace:
    """``url`` is shown without the password in it."""

    def __init__(self, url: str) -> None:
        self._base = url.rstrip("/")
        parts = urlsplit(self._base)
        self.url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        self._session, self._adapter = requests.Session(), _Adapter()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, self._adapter)
        if os.environ.get(TOKEN):
            self._session.auth = _Bearer(os.environ[TOKEN])

    def stream(self, path: str, bound: Bound) -> Iterator[bytes]:
        """See :class:`~slapos.build.cache.places.Place`."""
        deadline = time.monotonic() + bound.seconds
        with self._answer(path, bound, deadline) as answer:
            size = 0
            for chunk in bounded(iter(partial(self._chunk, answer), b""), bound, deadline, self.url, path):
                size += len(chunk)
                yield chunk
            announced = answer.headers.get("Content-Length", "")
            if announced.isdigit() and int(announced) != size:
                raise unavailable(self.url, f"the connection ended after {size} of {announced} bytes of {path}")

    def _chunk(self, answer: requests.Response) -> bytes:
        """What has come, not all that was asked for: a server that gives a byte now and then meets the deadline."""
        try:
            return bytes(answer.raw.read1(_CHUNK))
        except (HTTPError, OSError) as error:
            raise unavailable(self.url, f"the connection broke: {error}") from None

    @contextmanager
    def _answer(self, path: str, bound: Bound, deadline: float) -> Iterator[requests.Response]:
        """Redirects are followed on the same server only: a cache does not choose whom a node calls."""
        url = f"{self._base}/{quote(path)}"
        for _ in range(_REDIRECTS):
            try:
                with self._adapter.cut_at(deadline):
                    answer = self._session.get(
                        url, headers=_HEADERS, stream=True, timeout=bound.stall, allow_redirects=False
                    )
            except requests.RequestException as error:
                raise unavailable(self.url, _reason(error)) from None
            with answer:
                if not answer.is_redirect:
                    self._check(path, answer)
                    yield answer
                    return
                url = self._next(url, answer)
            if time.monotonic() > deadline:
                break
        raise unavailable(self.url, f"it redirects {path} without end")

    def _next(self, url: str, answer: requests.Response) -> str:
        target = self._session.get_redirect_target(answer) or ""
        target = urljoin(url, target)
        old, new = urlsplit(url), urlsplit(target)
        same = (new.scheme, new.hostname, new.port) == (old.scheme, old.hostname, old.port)
        secured = (old.scheme, new.scheme, new.hostname) == ("http", "https", old.hostname)
        if not same and not secured:
            raise unavailable(self.url, f"it redirects to another server, {new.scheme}://{new.hostname}")
        return target

    def _check(self, path: str, answer: requests.Response) -> None:
        if answer.status_code in (404, 410):
            raise absent(self.url, path)
        if answer.status_code != 200:
            raise unavailable(self.url, f"it answers {answer.status_code} {answer.reason} for {path}")

    def put(self, path: str, source: str) -> None:
        """See :class:`~slapos.build.cache.places.Place`."""
        with open(source, "rb") as stream:
            # An empty file object would be sent as chunks, which plain servers refuse.
            body = stream if os.path.getsize(source) else b""
            try:
                answer = self._session.put(
                    f"{self._base}/{quote(path)}", data=body, timeout=_UPLOAD_STALL, allow_redirects=False
                )
            except requests.RequestException as error:
                raise unavailable(self.url, _reason(error)) from None
        if answer.status_code not in (200, 201, 204):
            raise refused_write(self.url, path, f"{answer.status_code} {answer.reason} {answer.text[:200]}".strip())

    def items(self) -> Iterator[Item]:
        """A plain server has no list that all of them give alike."""
        raise InputError(
            f"{self.url} cannot tell what it holds.",
            reference="no-list",
            context={"cache": self.url},
            hint="Do this where the cache lies, with the path of its directory.",
        )

    def remove(self, path: str) -> None:
        """See :meth:`items`."""
        raise refused_write(self.url, path, "a cache behind HTTP is cleaned where it lies")


_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "hyperopenx"}


class _Adapter(HTTPAdapter):
    """Can end an answer whose first lines come so slowly that no time limit between two bytes meets it."""

    def __init__(self) -> None:
        self._live: WeakSet[Any] = WeakSet()
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
        """As in the base; its connections are known to us."""
        super().init_poolmanager(*arguments, **named)
        self._know(self.poolmanager)

    def proxy_manager_for(self, *arguments: Any, **named: Any) -> Any:
        """As :meth:`init_poolmanager`, through a proxy."""
        manager = super().proxy_manager_for(*arguments, **named)
        self._know(manager)
        return manager

    def _know(self, manager: Any) -> None:
        pools = manager.pool_classes_by_scheme
        manager.pool_classes_by_scheme = {scheme: self._told(pool) for scheme, pool in pools.items()}

    def _told(self, pool: Any) -> Any:
        if issubclass(pool.ConnectionCls, _Told):
            return pool
        connection = type("Told", (_Told, pool.ConnectionCls), {"live": self._live})
        return type("ToldPool", (pool,), {"ConnectionCls": connection})

    @contextmanager
    def cut_at(self, deadline: float) -> Iterator[None]:
        """End all connections when the block lasts longer."""
        timer = threading.Timer(max(0.0, deadline - time.monotonic()), self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _cut(self) -> None:
        for connection in list(self._live):
            if connection.sock is not None:
                with suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)


class _Told:
    live: WeakSet[Any]

    def connect(self) -> None:
        """Known before the handshake, which may be slow too."""
        self.live.add(self)
        super().connect()  # type: ignore[misc]


class _Bearer(requests.auth.AuthBase):
    """Our token, which no ``.netrc`` replaces."""

    def __init__(self, token: str) -> None:
        self.token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


def _reason(error: requests.RequestException) -> str:
    """The innermost reason, without the layers of the libraries."""
    inner = error.args[0] if error.args else error
    return str(getattr(inner, "reason", inner)).rpartition(": ")[2]
