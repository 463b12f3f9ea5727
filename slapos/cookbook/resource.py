"""``.slapos-resource``: what format wrote about the partition (spec 05 §1.3)."""

from __future__ import annotations

import os
from typing import Any

from slapos.system.files import read_json

FILE = ".slapos-resource"


def read_resource(directory: str) -> dict[str, Any]:
    """The document of the nearest directory, from ``directory`` upward; empty when there is none."""
    current = os.path.abspath(directory)
    while True:
        data = read_json(os.path.join(current, FILE))
        if isinstance(data, dict):
            return data
        above = os.path.dirname(current)
        if above == current:
            return {}
        current = above


def flattened(resource: dict[str, Any]) -> dict[str, Any]:
    """Members as option names: ``tap.ipv4_addr`` is ``tap-ipv4-addr``; lists stay lists; null is left out."""
    result: dict[str, Any] = {}
    for name, value in resource.items():
        option = name.replace("_", "-")
        if isinstance(value, dict):
            result |= {f"{option}-{inner}": item for inner, item in flattened(value).items()}
        elif value is not None:
            result[option] = value
    return result
