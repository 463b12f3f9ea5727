"""Observe the store of a node: its parts, who uses them, what is remembered.  Changes nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Any

from slapos.build.release import read_record
from slapos.build.store.content import Seeker
from slapos.build.store.keeper import ask_keeper
from slapos.model.errors import InputError
from slapos.node.context import Node
from slapos.node.records import load_store_record
from slapos.node.store.plan import ObservedStore, StorePart
from slapos.system.below import directory_below, list_below, read_below
from slapos.system.users import Identity, find_identity, identity

DATA = frozenset({"srv", "tmp", "var"})
"""Directories of a partition with what the instance made itself, however large: no recipe writes there."""

_FILE_BYTES = 1024 * 1024
_ENTRIES = 20_000


def observe_store(node: Node) -> ObservedStore | None:
    """The store to which this node adds parts; None when it has none, as before it is formatted."""
    name = node.config.software_user_name
    if name is not None and find_identity(name) is None:
        return None
    seen = ask_keeper(node.config.store_root, "look", user=builder(node))
    if seen is None:
        return None
    record = load_store_record(node.layout)
    return ObservedStore(
        root=seen["root"],
        parts=tuple(StorePart(**{**part, "needs": tuple(part["needs"])}) for part in seen["parts"]),
        used=_users(node, seen),
        unused=record.unused if record.root == seen["root"] else {},
        left=seen["left"],
    )


def builder(node: Node) -> Identity | None:
    """The user that builds; None when it is the node's own."""
    name = node.config.software_user_name
    return None if name is None else identity(name)


def _users(node: Node, seen: dict[str, Any]) -> dict[str, str]:
    """Part → who uses it: a partition, a release, a directory that a build noted."""
    users: dict[str, str] = {}
    for partition in node.config.partition_names:
        users |= dict.fromkeys(_named_by(node.config.partition_directory(partition), seen["root"]), partition)
    for directory, names in seen["used"].items():
        users |= dict.fromkeys(names, directory)
    for directory in _directories(node.config.software_root):
        record = read_record(directory)
        if record is not None:
            users |= dict.fromkeys((f"{part}/{digest}" for part, digest in record.stored.items()), record.url)
    return users


def _directories(place: str) -> Iterator[str]:
    for name, facts in list_below(place):
        if stat.S_ISDIR(facts.st_mode):
            yield os.path.join(place, name)


def _named_by(directory: str, root: str) -> set[str]:
    """Parts below ``root`` that files and links of a partition name; no more than so many of them are looked at, which
    no partition has that our recipes made."""
    seeker = Seeker((root,))
    todo, left = [""], _ENTRIES
    while todo and left > 0:
        relative = todo.pop()
        found = _listed(directory, relative)[:left]
        left -= len(found)
        for name, facts in found:
            path = os.path.join(relative, name)
            if stat.S_ISDIR(facts.st_mode) and path not in DATA:
                todo.append(path)
            elif not stat.S_ISDIR(facts.st_mode):
                seeker.look(_content(directory, path, facts))
    return seeker.found


def _listed(directory: str, relative: str) -> tuple[tuple[str, os.stat_result], ...]:
    """Nothing where the user of the partition made a directory something else meanwhile: who hides what he uses has it
    no longer, and keeps nobody from looking after the store."""
    try:
        return list_below(directory, relative)
    except (OSError, InputError):
        return ()


def _content(directory: str, path: str, facts: os.stat_result) -> bytes:
    """Of a file or link, empty for another; the user of the partition may exchange it meanwhile."""
    try:
        if stat.S_ISLNK(facts.st_mode):
            parent, _, name = path.rpartition("/")
            with directory_below(directory, parent) as handle:
                return os.fsencode(os.readlink(name, dir_fd=handle))
        if stat.S_ISREG(facts.st_mode) and facts.st_size <= _FILE_BYTES:
            return read_below(directory, path, limit=_FILE_BYTES)
    except (OSError, InputError):
        pass
    return b""
