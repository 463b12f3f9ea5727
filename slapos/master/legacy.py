"""The insecure legacy listener as it is configured: where it listens, and who may connect.

``insecure-legacy-listener = <host>:<port> [allowed networks…]``.  Whoever reaches it is believed: see
docs/how-to/join-real-nodes.  So it is never open by default, it is never open to everybody, and browsers cannot use
it (any web page that a person visits could order through it).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from slapos.model.errors import InputError

OPTION = "insecure-legacy-listener"
KEPT = 1_024  # addresses and names that were looked at: every request has the same few

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class LegacyListener:
    """One plain HTTP listener.  ``networks`` are admitted beside loopback, in CIDR notation."""

    host: str
    port: int
    networks: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """The address that clients use, without a slash at its end."""
        return f"http://{_bracketed(self.host)}:{self.port}"

    @property
    def text(self) -> str:
        """The value of the option; :func:`parse` reads it back equal."""
        return " ".join([f"{_bracketed(self.host)}:{self.port}", *self.networks])

    @property
    def warning(self) -> str:
        """What an operator must read at each start."""
        admitted = ", ".join(["this machine", *self.networks])
        return (
            f"{OPTION}: {self.url} believes everybody who reaches it ({admitted}): without any certificate they order, "
            "see and change what the project of legacy nodes has, and read its secrets on the wire."
        )

    def admits(self, peer: str) -> bool:
        """Whether a client with this address may be served."""
        return _admits(self.networks, peer)

    def answers_to(self, host_header: str, names: Iterable[str] = ()) -> bool:
        """Whether a request may name this host: an address, localhost, or one of ``names``.

        Other names may be a web page's own, made to lead here (DNS rebinding).
        """
        host = _split(host_header)[0].lower()
        return host == "localhost" or _is_address(host) or host in {name.lower() for name in names}


@lru_cache(KEPT)
def _admits(networks: tuple[str, ...], peer: str) -> bool:
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    inner = getattr(address, "ipv4_mapped", None) or address
    return inner.is_loopback or any(inner in ipaddress.ip_network(network) for network in networks)


def parse(value: str) -> LegacyListener | None:
    """The listener in the option's ``value``; None when it is empty.

    :raises ValueError: with the sentence for the operator.
    """
    words = value.split()
    if not words:
        return None
    host, port = _split(words[0])
    if not (_is_address(host) or host == "localhost") or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"{words[0]} is not <address>:<port>")
    networks = tuple(str(ipaddress.ip_network(word)) for word in words[1:])
    for network in networks:
        if ipaddress.ip_network(network).prefixlen == 0:
            raise ValueError(f"{network} is everybody; name the networks of the nodes")
    if not networks and host != "localhost" and not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"{host} is not loopback: name the networks that may connect, for example {_example(host)}")
    return LegacyListener(host, int(port), networks)


def refused(reason: str) -> InputError:
    """The error for a listener that cannot be opened."""
    return InputError(
        f"{OPTION}: {reason}.",
        reference="invalid-master-configuration",
        context={"field": OPTION},
        hint="See docs/how-to/join-real-nodes.",
    )


def _example(host: str) -> str:
    bits = 64 if ":" in host else 24
    return f"{ipaddress.ip_network(f'{host}/{bits}', strict=False)}"


@lru_cache(KEPT)
def _split(text: str) -> tuple[str, str]:
    """Host without brackets, and port or ""."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, rest.removeprefix(":")
    host, _, port = text.rpartition(":")
    return (host, port) if host else (port, "")


@lru_cache(KEPT)
def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
