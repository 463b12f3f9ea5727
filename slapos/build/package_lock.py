"""``package-lock.json`` of npm, of version 2 or 3: which bytes it pins, and where they are.  Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_INTEGRITY = re.compile(r"sha(256|384|512)-[A-Za-z0-9+/=]+")
_REGISTRY = "https://registry.npmjs.org"  # npm asks the configured registry in its place
_OF_PROJECT = ("name", "version", "bin", "engines", "workspaces")
DEPENDENCIES = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")


def read_lock(text: str) -> dict[str, Any]:
    """The lock with a ``packages`` that maps places to entries; ``ValueError`` for what is none."""
    try:
        lock = json.loads(text)
        entries = {str(path): dict(entry) for path, entry in lock["packages"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no package-lock: {error!r}") from None
    return {**lock, "packages": entries}


def problems(packages: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What in the entries of a lock leaves open which bytes are meant."""
    if len(packages) < 2 or "" not in packages:
        yield "the file names no package."
    for path, entry in packages.items():
        resolved = str(entry.get("resolved", ""))
        if not path or entry.get("inBundle"):
            continue
        if not path.startswith("node_modules/") or ".." in path.split("/"):
            yield f"{path[:100]!r} is not below node_modules."
        elif entry.get("link") or (resolved and not resolved.startswith(("https://", "http://"))):
            yield f"{path} is a link or comes from {resolved[:100]!r}, which no digest pins."
        elif not all(map(_INTEGRITY.fullmatch, str(entry.get("integrity", "")).split() or [""])):
            yield f"{path} has no integrity of at least 256 bits."


def with_addresses(lock: dict[str, Any]) -> dict[str, Any]:
    """The same with the address of each package, where registries have them: locks may leave them out."""
    packages = {path: dict(entry) for path, entry in lock["packages"].items()}
    for path, entry in packages.items():
        if path and not entry.get("inBundle"):
            entry.setdefault("resolved", _address(path, entry))
    return {**lock, "packages": packages}


def without_addresses(lock: dict[str, Any]) -> dict[str, Any]:
    """The same without the addresses of what an integrity pins: which registry was asked is of no matter."""
    packages = {
        path: {name: value for name, value in entry.items() if name != "resolved" or not entry.get("integrity")}
        for path, entry in lock["packages"].items()
    }
    return {**lock, "packages": packages}


def project_of(lock: Mapping[str, Any]) -> dict[str, Any]:
    """The ``package.json`` that a lock was made from, as far as npm compares the two."""
    root = lock["packages"][""]
    return {name: root[name] for name in (*_OF_PROJECT, *DEPENDENCIES) if name in root}


def name_of(path: str, entry: Mapping[str, Any]) -> str:
    """``@scope/name`` of ``node_modules/x/node_modules/@scope/name``."""
    return str(entry.get("name") or path.rpartition("node_modules/")[2])


def _address(path: str, entry: Mapping[str, Any]) -> str:
    """``@scope/name`` → ``@scope/name/-/name-1.0.0.tgz``."""
    name = name_of(path, entry)
    return f"{_REGISTRY}/{name}/-/{name.rpartition('/')[2]}-{entry.get('version')}.tgz"
