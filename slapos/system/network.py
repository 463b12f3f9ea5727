"""Addresses and ports of the machine."""

from __future__ import annotations

import errno
import hashlib
import ipaddress
import os
import shutil
import socket

from slapos.model.errors import MachineError
from slapos.system.processes import check_run

FIRST_PORT = 10000
LAST_PORT = 31999  # Linux gives out ephemeral ports from 32768 on
BLOCK = 40
_BLOCKS = (LAST_PORT + 1 - FIRST_PORT) // BLOCK
_PER_NODE = 25


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
    """Give an IPv6 address (/128) to an interface; nothing when it has it.  Needs root."""
    if address in addresses_of(interface):
        return
    check_run([_ip(), "-6", "address", "replace", f"{address}/128", "dev", interface, "nodad"])


def remove_address(interface: str, address: str) -> bool:
    """Take it away again; whether it was there."""
    if address not in addresses_of(interface):
        return False
    check_run([_ip(), "-6", "address", "del", f"{address}/128", "dev", interface])
    return True


def _ip() -> str:
    found = shutil.which("ip", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin")
    if found is None:
        raise MachineError(
            "The command ip is not installed.",
            reference="missing-tool",
            context={"tool": "ip"},
            hint="apt-get install iproute2",
        )
    return found


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
