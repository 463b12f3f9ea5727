"""A cache behind a plain HTTP server.

Reading asks nothing of the server but files.  Writing is by PUT: our own server (``slapos cache serve``), or one with
WebDAV.  Credentials stand in the URL, or the token in ``HYPEROPENX_CACHE_TOKEN``.  Proxy variables are honoured.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

import requests
from urllib3.exceptions import HTTPError

from slapos.build.cache.places import Bound, Item, absent, refused_write, too_large, unavailable
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
        self._session = requests.Session()
        if os.environ.get(TOKEN):
            self._session.auth = _Bearer(os.environ[TOKEN])

    def stream(self, path: str, bound: Bound) -> Iterator[bytes]:
        """See :class:`~slapos.build.cache.places.Place`."""
        deadline = time.monotonic() + bound.seconds
        with self._answer(path, bound, deadline) as answer:
            size = 0
            while chunk := self._chunk(answer):
                size += len(chunk)
                if size > bound.size:
                    raise too_large(self.url, path, bound.size)
                if time.monotonic() > deadline:
                    raise unavailable(self.url, f"{path} took longer than {bound.seconds:.0f} s")
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
