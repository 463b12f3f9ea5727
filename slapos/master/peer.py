"""The client's certificate in the ASGI scope (``extensions.tls``, ASGI TLS extension), which uvicorn lacks.

The TLS layer has verified the certificate against our authority before any of this runs (``CERT_OPTIONAL``: a client
may have none, but not a wrong one).  ``peer`` is ours: the facts of the certificate, read once per connection.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from slapos.pki.certificates import CertificateInfo, describe_der

EXTENSION = "tls"


class TlsProtocol(HttpToolsProtocol):
    """HTTP/1.1 whose scopes say who is at the other end."""

    _tls: dict[str, Any]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection after its handshake."""
        super().connection_made(transport)
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
