"""The client's certificate in the ASGI scope (``extensions.tls``, ASGI TLS extension), which uvicorn lacks.

The TLS layer has verified the certificate against our authority before any of this runs (``CERT_OPTIONAL``: a client
may have none, but not a wrong one).  ``peer`` is ours: the facts of the certificate, read once per connection.

On the insecure legacy listener nothing is verified, and ``extensions.legacy`` says so.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, cast

from starlette.responses import PlainTextResponse
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from slapos.master.legacy import LegacyListener
from slapos.pki.certificates import CertificateInfo, describe_der

CORK_BYTES = 64 * 1024  # what is longer is not gathered
EXTENSION = "tls"
LEGACY = "legacy"


class CorkedTransport:
    """Gathers what is written at once: head and body of an answer leave in one packet, with one call of the kernel."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._parts: list[bytes] = []
        self._loop = asyncio.get_running_loop()

    def write(self, data: bytes) -> None:
        """Sent before the event loop waits again."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)
        if len(data) > CORK_BYTES:
            self._flush()

    def close(self) -> None:
        """After what was written."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        parts, self._parts = self._parts, []
        if parts:
            self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class TlsProtocol(HttpToolsProtocol):
    """HTTP/1.1 whose scopes say who is at the other end."""

    _tls: dict[str, Any]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection after its handshake."""
        super().connection_made(cast(Any, CorkedTransport(transport)))
        self._tls = _tls_extension(transport.get_extra_info("ssl_object"))

    def on_message_begin(self) -> None:
        """A request begins: its scope gets the extension."""
        super().on_message_begin()
        self.scope["extensions"] = cast(Any, {EXTENSION: self._tls})

    def shutdown(self) -> None:
        """The server stops: an idle connection is dropped, because a polite end of TLS waits for the client."""
        idle = self.cycle is None or self.cycle.response_complete
        super().shutdown()
        if idle:
            self.transport.abort()


class LegacyProtocol(HttpToolsProtocol):
    """Plain HTTP/1.1 for clients of the admitted networks; its scopes say that nobody proved anything."""

    def __init__(self, *, listener: LegacyListener, names: tuple[str, ...], **arguments: Any) -> None:
        super().__init__(**arguments)
        self._admission = Admission(app=self.app, listener=listener, names=names)
        self.app = self._admission

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection."""
        super().connection_made(cast(Any, CorkedTransport(transport)))

    def on_message_begin(self) -> None:
        """A request begins: its scope is marked."""
        super().on_message_begin()
        self.scope["extensions"] = cast(Any, {LEGACY: True})


class Admission:
    """ASGI: serves whom the listener admits, answers 403 to the others."""

    def __init__(self, *, app: Any, listener: LegacyListener, names: tuple[str, ...]) -> None:
        self._app = app
        self._listener = listener
        self._names = names

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        reason = self._refusal(scope)
        if reason is None:
            await self._app(scope, receive, send)
            return
        await PlainTextResponse(f"{reason}\n", 403, {"Connection": "close"})(scope, receive, send)

    def _refusal(self, scope: Any) -> str | None:
        client = scope.get("client") or ("", 0)
        if not self._listener.admits(client[0]):
            return f"{client[0]} is in none of the networks that this listener admits."
        headers = dict(scope["headers"])
        if b"origin" in headers or headers.get(b"sec-fetch-site", b"none") != b"none":
            return "Web pages are not served here: any page that somebody visits could order."
        if not self._listener.answers_to(headers.get(b"host", b"localhost").decode("latin-1"), self._names):
            return "This listener is called by its address, or by a name in server_names."
        return None


def is_legacy(scope: Any) -> bool:
    """Whether a request came by the insecure legacy listener."""
    return bool(scope.get("extensions", {}).get(LEGACY))


def peer_of(scope: Any) -> CertificateInfo | None:
    """The certificate behind a request, None for a client without one."""
    found: CertificateInfo | None = scope.get("extensions", {}).get(EXTENSION, {}).get("peer")
    return found


def _tls_extension(ssl_object: ssl.SSLObject | None) -> dict[str, Any]:
    der = ssl_object.getpeercert(binary_form=True) if ssl_object is not None else None
    return {
        "tls_version": ssl_object.version() if ssl_object is not None else None,
        "client_cert_chain": [ssl.DER_cert_to_PEM_cert(der)] if der else [],
        "peer": describe_der(der) if der else None,
    }
