"""Addresses and ports: apart for each partition of each node, the same at each run."""

from __future__ import annotations

import ipaddress
import os
import socket

import pytest

from slapos.model.errors import MachineError
from slapos.system.network import (
    add_address,
    addresses_of,
    has_ipv6,
    is_port_free,
    partition_ipv4,
    partition_ula,
    port_block,
    remove_address,
    url_host,
)


def test_addresses_of_partitions_are_apart_and_stay() -> None:
    places = [(node, index) for node in (1, 2, 250) for index in range(600)]
    ipv4 = {partition_ipv4(node, index) for node, index in places}
    ula = {partition_ula(f"seed{node}", index) for node, index in places}
    assert len(ipv4) == len(ula) == len(places)
    assert all(ipaddress.ip_address(address).is_loopback for address in ipv4)
    assert all(ipaddress.ip_address(address) in ipaddress.ip_network("fd00::/8") for address in ula)
    assert partition_ipv4(3, 0) == "127.3.1.1"
    assert partition_ula("seed1", 0) == partition_ula("seed1", 0)


def test_port_blocks_are_apart_and_below_the_ephemeral_ports() -> None:
    blocks = [port_block(node, index) for node in range(1, 23) for index in range(25)]
    ports = [port for low, high in blocks for port in range(low, high + 1)]
    assert len(ports) == len(set(ports))
    assert min(ports) >= 10000
    assert max(ports) < 32768


def test_a_port_in_use_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not is_port_free("127.0.0.1", port)
    assert is_port_free("127.0.0.1", port)
    assert not is_port_free("192.0.2.1", 10000), "an address that the machine does not have"


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert url_host("::1") == "[::1]"
    assert url_host("127.0.0.1") == "127.0.0.1"


def test_loopback_is_known() -> None:
    assert has_ipv6() == ("::1" in addresses_of("lo"))
    assert addresses_of("no-such-interface") == frozenset()


@pytest.mark.root
def test_an_address_comes_and_goes() -> None:
    address = partition_ula(f"test {os.getpid()}", 0)
    try:
        add_address("lo", address)
        add_address("lo", address)
        assert address in addresses_of("lo")
        with socket.create_server((address, 0), family=socket.AF_INET6):
            pass
    finally:
        assert remove_address("lo", address)
    assert not remove_address("lo", address)
    assert address not in addresses_of("lo")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may")
def test_an_ordinary_user_is_told_why_not() -> None:
    with pytest.raises(MachineError) as caught:
        add_address("lo", partition_ula("test", 0))
    assert caught.value.reference == "address-refused"
