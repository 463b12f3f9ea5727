"""What a configuration asks of the machine."""

from __future__ import annotations

from collections.abc import Iterator

from slapos.node.config import NodeConfig
from slapos.node.format.layout import Place
from slapos.node.format.plan import Wish
from slapos.system.network import partition_ipv4, partition_ula, port_block

_LOOPBACK6 = "::1"


def make_wish(config: NodeConfig, *, machine: str, ipv6: bool) -> Wish:
    """``machine`` names it, so that addresses of nodes on two machines differ; ``ipv6``: whether it can have them."""
    places = tuple(
        Place(
            reference,
            config.partition_directory(reference),
            config.partition_user(reference),
            tuple(_addresses(config, index, machine, ipv6)),
            port_block(config.node_number, index),
        )
        for index, reference in enumerate(config.partition_names)
    )
    return Wish(
        name=config.name,
        instance_root=config.instance_root,
        software_root=config.software_root,
        software_user=config.software_user_name,
        alter_user=config.alter_user,
        alter_network=config.alter_network,
        ipv6=config.ipv6,
        places=places,
    )


def _addresses(config: NodeConfig, index: int, machine: str, ipv6: bool) -> Iterator[str]:
    if config.ipv4:
        yield partition_ipv4(config.node_number, index)
    if config.ipv6 and ipv6:
        yield partition_ula(f"{machine}:{config.instance_root}", index) if config.alter_network else _LOOPBACK6
