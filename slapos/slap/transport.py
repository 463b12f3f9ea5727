"""How a request reaches a server: one method, so that a transport for tests is small.

The real one is ``requests`` over TLS.  ``trust_env`` is off (``.netrc`` would replace our headers, proxies and
``REQUESTS_CA_BUNDLE`` would bypass verification) and the CA is given with every call.
"""

from __future__ import annotations

import os
import re
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import requests
import urllib3
from requests.adapters import HTTPAdapter

from slapos.model.errors import HyperopenxError, MachineError, Refused, Unauthenticated, Unavailable

CONNECT_SECONDS = 10.0
POOL = 64  # connections kept
_OF_LIBRARY = re.compile(r"^_ssl\.c:\d+: | \(_ssl\.c:\d+\)|^HTTPS?ConnectionPool\([^)]*\): ")


@dataclass(frozen=True)
class Request:
    """One HTTP request.  ``read_seconds`` bounds each wait for bytes, not the whole answer."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    read_seconds: float = 60.0
    stream: bool = False


class Reply(Protocol):
    """One HTTP answer.  ``chunks`` yields the body as it arrives; ``close`` may come from another thread."""

    status: int
    headers: Mapping[str, str]

    def chunks(self) -> Iterator[bytes]:
        """The body; :class:`Unavailable` when the connection breaks."""
        ...

    def close(self) -> None:
        """Give the connection back, or end it when not all was read."""
        ...


class Transport(Protocol):
    """Sends one request.  Raises :class:`Unavailable` when no answer came: then it may or may not have acted."""

    def send(self, request: Request) -> Reply:
        """The answer, its body not read yet."""
        ...


class HttpsReply:
    """An answer of ``requests``."""

    def __init__(self, *, response: requests.Response, url: str) -> None:
        self._response = response
        self._url = url
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers

    def chunks(self) -> Iterator[bytes]:
        """The body, decoded, as the connection delivers it."""
        try:
            yield from self._response.iter_content(chunk_size=None)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise unavailable(self._url, error) from error

    def close(self) -> None:
        """Close the answer."""
        self._response.close()


class HttpsTransport:
    """TLS with our client certificate; thread-safe; takes renewed certificate files by itself."""

    def __init__(self, *, cert_file: str = "", key_file: str = "", ca_file: str = "") -> None:
        self._certificate = (cert_file, key_file) if cert_file else None
        self._files = tuple(path for path in (cert_file, key_file, ca_file) if path)
        self._verify: bool | str = ca_file or True
        self._lock = threading.Lock()
        self._session: requests.Session | None = None
        self._stamp: tuple[int, ...] = ()

    def send(self, request: Request) -> Reply:
        """The answer, or the error of the model that says why there is none."""
        try:
            return self._send(request, self._certificate)
        except Unavailable as error:
            if not isinstance(error.__cause__, requests.exceptions.SSLError) or self._certificate is None:
                raise
            return self._send_again(request, error)

    def _send_again(self, request: Request, error: Unavailable) -> Reply:
        """TLS broke off.  With TLS 1.3 a server that refuses our certificate may do just that, without a word: it is
        so when it answers without the certificate, and breaks off again with it."""
        base = _base(request.url)
        try:
            self._send(Request("GET", f"{base}/healthz", read_seconds=CONNECT_SECONDS), None).close()
        except HyperopenxError:
            raise error from None
        try:
            return self._send(request, self._certificate)
        except Unavailable as again:
            if isinstance(again.__cause__, requests.exceptions.SSLError):
                raise _refused(request.url, "the connection breaks off with it") from again
            raise

    def _send(self, request: Request, certificate: tuple[str, str] | None) -> Reply:
        try:
            response = self._current_session().request(
                request.method,
                request.url,
                data=request.body or None,
                headers=dict(request.headers),
                timeout=(CONNECT_SECONDS, request.read_seconds),
                allow_redirects=False,
                stream=True,
                verify=self._verify,
                cert=certificate,
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise _translate(request.url, error) from error
        return HttpsReply(response=response, url=request.url)

    def close(self) -> None:
        """Close the pool."""
        with self._lock:
            if self._session is not None:
                self._session.close()
                self._session = None

    def _current_session(self) -> requests.Session:
        """The pool; a new one once a certificate file changed, because open connections keep the old identity."""
        stamp = tuple(self._modified(path) for path in self._files)
        with self._lock:
            if self._session is None or stamp != self._stamp:
                self._session, self._stamp = _new_session(), stamp
            return self._session

    @staticmethod
    def _modified(path: str) -> int:
        try:
            return os.stat(path).st_mtime_ns
        except OSError as error:
            raise MachineError(
                f"{path} cannot be read: {error.strerror}.",
                reference="file-unreadable",
                context={"path": path},
                hint="Check the certificate, key and CA files of the client configuration.",
            ) from error


def _new_session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(pool_connections=4, pool_maxsize=POOL, max_retries=0))
    return session


def unavailable(url: str, error: BaseException) -> Unavailable:
    """The server did not answer."""
    return Unavailable(
        f"The master {_base(url)} cannot be reached: {_cause(error)}.",
        context={"address": url, "reason": _cause(error)},
        hint=f"Check that the master runs and is reachable: curl --insecure {_base(url)}/healthz",
    )


def _translate(url: str, error: BaseException) -> HyperopenxError:
    """TLS refusals are no network trouble: trying again does not help."""
    found: Any = error
    seen = 0
    while found is not None and seen < 10:
        if isinstance(found, ssl.SSLCertVerificationError):
            return Refused(
                f"The certificate of {_base(url)} is not trusted: {found.verify_message}.",
                reference="server-not-trusted",
                context={"address": url, "reason": found.verify_message},
                hint="Check master_ca_file, and that master_url names the master as its certificate does.",
            )
        if isinstance(found, ssl.SSLError) and "ALERT" in str(found.reason):
            return _refused(url, str(found.reason))
        found, seen = _inner(found), seen + 1
    return unavailable(url, error)


def _refused(url: str, reason: str) -> Unauthenticated:
    return Unauthenticated(
        f"{_base(url)} refused our certificate: {reason}.",
        reference="certificate-refused",
        context={"address": url, "reason": reason},
        hint="The certificate may have expired or come from another authority; renew it or enrol again.",
    )


def _inner(error: BaseException) -> BaseException | None:
    """The error below: ``requests`` and ``urllib3`` keep it in their arguments, Python in ``__cause__``."""
    reason = getattr(error, "reason", None)
    candidates = [reason, *error.args, error.__cause__, error.__context__]
    return next((part for part in candidates if isinstance(part, BaseException) and part is not error), None)


def _cause(error: BaseException) -> str:
    inner: BaseException = error
    for _ in range(10):
        below = _inner(inner)
        if below is None:
            break
        inner = below
    text = inner.strerror if isinstance(inner, OSError) and inner.strerror else str(inner)
    return (_OF_LIBRARY.sub("", text) or type(inner).__name__)[:300]


def _base(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"
