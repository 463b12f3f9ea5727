"""What of a formatted node is there."""

from __future__ import annotations

import json
import os
import stat
import uuid
from typing import Any

from slapos.model.errors import InputError
from slapos.node.config import NodeConfig
from slapos.node.format.plan import INTERFACE, Directory, Observed, User, Wish, user_homes
from slapos.system.below import read_below
from slapos.system.files import read_json
from slapos.system.network import addresses_of, has_ipv6
from slapos.system.users import find_identity, group_members

RECORD = "format.json"


def record_path(config: NodeConfig) -> str:
    """Where the last format is remembered."""
    return os.path.join(config.state_directory, RECORD)


def observe_format(config: NodeConfig, wish: Wish) -> Observed:
    """Looks, changes nothing."""
    software = wish.software_user
    directories = [wish.instance_root, wish.software_root, *(place.path for place in wish.places)]
    record = read_json(record_path(config), {})
    return Observed(
        root=os.geteuid() == 0,
        uid=os.geteuid(),
        gid=os.getegid(),
        users={user: _user(user) for user in user_homes(wish)},
        groups={} if software is None else {software: group_members(software)},
        directories={path: _directory(path) for path in directories},
        addresses=addresses_of(INTERFACE),
        ipv6=has_ipv6(),
        unreachable=_unreachable(config),
        record=record if isinstance(record, dict) else {},
        resources={place.reference: _resource(place.path) for place in wish.places},
    )


def _user(name: str) -> User | None:
    found = find_identity(name)
    return None if found is None else User(found.uid, found.gid, found.home)


def machine_id() -> str:
    """Names the machine (machine-id(5)), the same at each start; a machine without one is named by its hardware."""
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        try:
            with open(path, encoding="ascii") as stream:
                text = stream.read().strip()
        except OSError:
            continue
        if text and text != "uninitialized":
            return text
    return f"{uuid.getnode():012x}"


def _directory(path: str) -> Directory | None:
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISDIR(facts.st_mode):
        raise InputError(
            f"{path} is not a directory.",
            reference="not-a-directory",
            context={"path": path},
            hint="Move it away: the node makes a directory of that name.",
        )
    return Directory(facts.st_uid, facts.st_gid, stat.S_IMODE(facts.st_mode))


def _unreachable(config: NodeConfig) -> str:
    """The first existing directory above the roots that other users cannot pass."""
    for root in (config.instance_root, config.software_root):
        path = "/"
        for part in os.path.dirname(os.path.abspath(root)).split("/")[1:]:
            path = os.path.join(path, part)
            if os.path.isdir(path) and not os.stat(path).st_mode & stat.S_IXOTH:
                return path
    return ""


def _resource(directory: str) -> Any:
    try:
        return json.loads(read_below(directory, ".slapos-resource", frozenset({os.geteuid()})))
    except (OSError, InputError, ValueError):
        return None
