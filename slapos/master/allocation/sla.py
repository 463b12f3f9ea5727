"""The constraints of a request: which keys exist, and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

UNIQUE_BY_NETWORK = "unique_by_network"
MASTER_URL = "master_url"  # the master that shall serve it
SOURCE = "source_instance_id"  # the title under which the last master sent it on
FORWARDED_BY = "hyperopenx_forwarded_by"  # the masters that it passed, oldest first
TRAVELLING = (MASTER_URL, SOURCE, FORWARDED_BY)  # of no matter where it is allocated
KEYS = (
    "project_guid",
    "computer_guid",
    "instance_guid",
    "network_guid",
    "capability",
    "mode",
    "retention_delay",
    "spread",
)


@dataclass(frozen=True)
class Sla:
    """``refusals``: sentences why no node can ever fit; the request then stays pending until it is changed.

    ``companion`` is the instance beside which to live (for a shared instance: its host); ``retention`` is in days.
    """

    node: str = ""
    companion: str = ""
    network: str = ""
    capability: str = ""
    unique_by_network: bool = False
    spread: str = ""
    retention: float = 0.0
    refusals: tuple[str, ...] = ()


def parse_sla(values: Mapping[str, str]) -> Sla:
    """Never raises: what is not understood is a reason to wait, shown to the requester."""
    refusals = [
        f"The SLA key {key!r} is not known here (known: {', '.join(KEYS)})."
        for key in values
        if key not in KEYS and key not in TRAVELLING
    ]
    mode = values.get("mode", "")
    if mode not in ("", UNIQUE_BY_NETWORK):
        refusals.append(f"The SLA mode {mode!r} is not known here (known: {UNIQUE_BY_NETWORK}).")
    retention = parse_days(values.get("retention_delay", ""))
    if retention is None:
        refusals.append(f"The SLA retention_delay {values['retention_delay']!r} is not a number of days (0 or more).")
    return Sla(
        node=values.get("computer_guid", ""),
        companion=values.get("instance_guid", ""),
        network=values.get("network_guid", ""),
        capability=values.get("capability", ""),
        unique_by_network=mode == UNIQUE_BY_NETWORK,
        spread=values.get("spread", ""),
        retention=retention or 0.0,
        refusals=tuple(refusals),
    )


def parse_days(value: str) -> float | None:
    """None unless it is a number from 0 to a century."""
    try:
        days = float(value or 0)
    except ValueError:
        return None
    return days if 0 <= days <= 36_525 else None
