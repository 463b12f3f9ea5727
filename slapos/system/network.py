"""Addresses and ports of the machine."""

from __future__ import annotations

import errno
import hashlib
import ipaddress
import os
import socket
import struct

from slapos.model.errors import MachineError

FIRST_PORT = 10000
LAST_PORT = 31999  # Linux gives out ephemeral ports from 32768 on
BLOCK = 40
_BLOCKS = (LAST_PORT + 1 - FIRST_PORT) // BLOCK
_PER_NODE = 25

_NEW_ADDRESS, _DELETE_ADDRESS = 20, 21
_REQUEST, _ACKNOWLEDGE, _REPLACE, _CREATE = 0x1, 0x4, 0x100, 0x400
_ADDRESS, _LOCAL = 1, 2
_NO_DETECTION = 0x02  # no duplicate address detection


def partition_ipv4(node_number: int, index: int) -> str:
    """``127.<node_number>.<index + 1>.1`` for index 0..253, then ``.2`` and so on: all of 127/8 is on ``lo``."""
    return f"127.{node_number}.{index % 254 + 1}.{index // 254 + 1}"


def partition_ula(seed: str, index: int) -> str:
    """An address of ``fd00::/8`` (RFC 4193) for partition ``index`` of the node that ``seed`` names.

    The 40 bits of the global identifier and 16 of the subnet come from a digest of the seed, so that two nodes of a
    machine, or of a site, do not meet.
    """
    digest = hashlib.sha256(seed.encode()).digest()
    return str(ipaddress.IPv6Address(b"\xfd" + digest[:7] + (index + 1).to_bytes(8, "big")))


def port_block(node_number: int, index: int) -> tuple[int, int]:
    """First and last port of partition ``index`` on an address that partitions share (``::1``).

    Blocks of the first 25 partitions of the first 22 nodes are apart; beyond, they may meet, and a port is checked
    before it is given out anyway.
    """
    low = FIRST_PORT + ((node_number - 1) * _PER_NODE + index) % _BLOCKS * BLOCK
    return low, low + BLOCK - 1


def addresses_of(interface: str) -> frozenset[str]:
    """IPv6 addresses of an interface, compressed, without prefix length.  Source: ``/proc/net/if_inet6``."""
    try:
        with open("/proc/net/if_inet6", encoding="ascii") as stream:
            rows = [line.split() for line in stream]
    except FileNotFoundError:  # a kernel without IPv6
        return frozenset()
    return frozenset(str(ipaddress.IPv6Address(bytes.fromhex(row[0]))) for row in rows if row[5] == interface)


def add_address(interface: str, address: str) -> None:
    """Give an IPv6 address (/128) to an interface; nothing when it has it.  Needs root.

    :class:`MachineError` ``address-refused`` when the kernel does not take it.
    """
    if address not in addresses_of(interface):
        _change_address(_NEW_ADDRESS, _CREATE | _REPLACE, interface, address)


def remove_address(interface: str, address: str) -> bool:
    """Take it away again; whether it was there."""
    if address not in addresses_of(interface):
        return False
    _change_address(_DELETE_ADDRESS, 0, interface, address)
    return True


def _change_address(kind: int, flags: int, interface: str, address: str) -> None:
    """One request to the kernel, as ``ip address`` does it.  Source: rtnetlink(7), netlink(7)."""
    packed = ipaddress.IPv6Address(address).packed
    attributes = b"".join(struct.pack("=HH", 4 + len(packed), which) + packed for which in (_LOCAL, _ADDRESS))
    index = socket.if_nametoindex(interface)
    body = struct.pack("=BBBBI", socket.AF_INET6, 128, _NO_DETECTION, 0, index) + attributes
    header = struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | _ACKNOWLEDGE | flags, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as link:
        link.settimeout(10.0)
        link.sendto(header + body, (0, 0))
        answer = link.recv(65536)
    code = -struct.unpack_from("=i", answer, 16)[0]
    if code:
        raise MachineError(
            f"The address {address} cannot be changed on {interface}: {os.strerror(code)}.",
            reference="address-refused",
            context={"interface": interface, "address": address, "error": os.strerror(code)},
            hint="Only root may; IPv6 must be enabled on that interface.",
        )


def has_ipv6() -> bool:
    """Whether ``::1`` can be used."""
    return "::1" in addresses_of("lo")


def is_port_free(address: str, port: int, kind: int = socket.SOCK_STREAM) -> bool:
    """Whether a server could listen there now (a connection in TIME_WAIT does not count)."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            if kind == socket.SOCK_STREAM:
                probe.listen(1)
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL}:
                return False
            raise
    return True


def url_host(address: str) -> str:
    """An address as it stands in a URL: IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address
