"""Names of nodes and instances: ``COMP-<n>`` and ``SOFTINST-<n>``, as existing tools parse them."""

from __future__ import annotations

import re

_NODE = re.compile(r"COMP-([1-9][0-9]{0,17})")
_INSTANCE = re.compile(r"SOFTINST-([1-9][0-9]{0,17})")


def node_reference(number: int) -> str:
    return f"COMP-{number}"


def instance_guid(number: int) -> str:
    return f"SOFTINST-{number}"


def node_number(reference: str) -> int | None:
    """None when the text cannot name a node."""
    found = _NODE.fullmatch(reference)
    return int(found.group(1)) if found else None


def instance_number(guid: str) -> int | None:
    """None when the text cannot name an instance."""
    found = _INSTANCE.fullmatch(guid)
    return int(found.group(1)) if found else None
