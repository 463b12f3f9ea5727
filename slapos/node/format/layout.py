"""A partition as it shall be, and ``.slapos-resource``: what it is told of itself (spec 05 §1.3).  Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_TAP = ("ipv4_addr", "ipv4_gateway", "ipv4_netmask", "ipv4_network")
_MASKS = {4: "255.255.255.255", 6: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}


@dataclass(frozen=True)
class Place:
    """One partition.  ``user`` None: that of the node; ``ports``: its block on an address that partitions share."""

    reference: str
    path: str
    user: str | None
    addresses: tuple[str, ...]
    ports: tuple[int, int]


def resource_document(place: Place, software_group: str | None) -> dict[str, Any]:
    """The document of a partition; ``port_range`` is ours: its ports on an address that others share."""
    tap = {name: "" for four in _TAP for name in (four, four.replace("4", "6", 1))}
    return {
        "reference": place.reference,
        "path": place.path,
        "user": {
            "name": place.user or "",
            "path": place.path,
            "shell": "/bin/sh",
            "additional_group_list": [] if software_group is None else [software_group],
        },
        "address_list": [
            {"addr": address, "netmask": _MASKS[6 if ":" in address else 4]} for address in place.addresses
        ],
        "ipv6_range": {},
        "tap": {"name": "", **tap},
        "tun": None,
        "external_storage_list": [],
        "port_range": list(place.ports),
    }
