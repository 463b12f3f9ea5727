"""One HTTP GET that connects only to an address that was checked.

The name is resolved once, each address is judged, and the socket is opened to the judged address itself, so that a
name server that answers differently the second time (DNS rebinding) leads nowhere.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import SplitResult

from slapos.model.errors import Refused, Unavailable

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_CHUNK = 64 * 1024


@dataclass(frozen=True)
class Limits:
    """``size`` in bytes; ``seconds`` for the whole exchange, redirects apart."""

    size: int = 1024 * 1024
    seconds: float = 10.0
    allow_private_addresses: bool = False


@dataclass(frozen=True)
class Answer:
    """``location`` is the header of that name, empty when absent; ``body`` is at most ``Limits.size + 1`` bytes."""

    status: int
    location: str
    body: bytes


def is_public_address(text: str) -> bool:
    """Whether an IP address may be asked on behalf of a requester: global, unicast, also after unwrapping IPv4."""
    address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(text.split("%", 1)[0])
    if isinstance(address, ipaddress.IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour
        if embedded is None and address in _NAT64:
            embedded = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if embedded is not None:
            address = embedded
    return address.is_global and not address.is_multicast


def connect(host: str, port: int, limits: Limits) -> socket.socket:
    """A connected socket to ``host``; :class:`Refused` ``private-address`` when all its addresses are private."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unavailable(
            f"The name {host} cannot be resolved: {error}.", reference="unreachable", context={"host": host}
        ) from error
    allowed = [entry for entry in found if limits.allow_private_addresses or is_public_address(str(entry[4][0]))]
    if not allowed:
        addresses = sorted({str(entry[4][0]) for entry in found})
        what = "is a private address" if addresses == [host] else f"has only private addresses ({', '.join(addresses)})"
        raise Refused(
            f"{host} {what}: nothing is fetched from there.",
            reference="private-address",
            context={"host": host, "addresses": addresses},
            hint="Serve the release from a public address, or ask the operator to allow private addresses.",
        )
    last: OSError | None = None
    for family, kind, protocol, _, address in allowed:
        connection = socket.socket(family, kind, protocol)
        connection.settimeout(limits.seconds)
        try:
            connection.connect(address)
        except OSError as error:
            connection.close()
            last = error
        else:
            return connection
    raise Unavailable(
        f"{host}:{port} cannot be reached: {last}.", reference="unreachable", context={"host": host, "port": port}
    ) from last


@contextmanager
def _deadline(connection: socket.socket, seconds: float) -> Iterator[threading.Event]:
    """Shut ``connection`` down after ``seconds``: a peer that drips one byte at a time resets every socket timeout."""
    expired = threading.Event()
    handle = connection.dup()  # TLS takes the first descriptor over

    def expire() -> None:
        expired.set()
        try:
            handle.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    timer = threading.Timer(seconds, expire)
    timer.daemon = True
    timer.start()
    try:
        yield expired
    finally:
        timer.cancel()
        timer.join()
        handle.close()


def request(url: SplitResult, limits: Limits) -> Answer:
    """GET ``url`` without following redirects; :class:`Unavailable` when it cannot be had in time."""
    secure = url.scheme == "https"
    host = url.hostname or ""
    port = url.port or (443 if secure else 80)
    raw = connect(host, port, limits)
    with raw, _deadline(raw, limits.seconds) as expired:
        try:
            return _exchange(raw, url, limits)
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = f"no complete answer within {limits.seconds:g} s" if expired.is_set() else str(error) or repr(error)
            raise Unavailable(
                f"{url.geturl()} cannot be fetched: {why}.",
                reference="unreachable",
                context={"url": url.geturl(), "address": f"{host}:{port}"},
            ) from error


def _exchange(raw: socket.socket, url: SplitResult, limits: Limits) -> Answer:
    host = url.hostname or ""
    connection = http.client.HTTPConnection(host, url.port, timeout=limits.seconds)
    connection.sock = raw
    if url.scheme == "https":
        connection.sock = ssl.create_default_context().wrap_socket(raw, server_hostname=host)
    try:
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        authority = f"[{host}]" if ":" in host else host
        connection.putrequest("GET", target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", f"{authority}:{url.port}" if url.port else authority)
        connection.putheader("Accept-Encoding", "identity")
        connection.putheader("User-Agent", "hyperopenx")
        connection.putheader("Connection", "close")
        connection.endheaders()
        response = connection.getresponse()
        return Answer(response.status, response.getheader("Location") or "", _read(response, limits.size))
    finally:
        connection.close()


def _read(response: http.client.HTTPResponse, size: int) -> bytes:
    data = bytearray()
    while len(data) <= size:
        chunk = response.read(min(_CHUNK, size + 1 - len(data)))
        if not chunk:
            break
        data += chunk
    return bytes(data)
