"""What of a formatted node is there."""

from __future__ import annotations

import json
import os
import stat
import uuid
from typing import Any

from slapos.model.errors import InputError
from slapos.node.config import NodeConfig
from slapos.node.format.plan import INTERFACE, Directory, Observed, user_homes
from slapos.system.below import read_below
from slapos.system.files import read_json
from slapos.system.network import addresses_of, has_ipv6
from slapos.system.users import find_identity, group_members

RECORD = "format.json"


def record_path(config: NodeConfig) -> str:
    """Where the last format is remembered."""
    return os.path.join(config.state_directory, RECORD)


def observe_format(config: NodeConfig) -> Observed:
    """Looks, changes nothing."""
    software = config.software_user_name
    directories = [config.instance_root, config.software_root, *map(config.partition_directory, config.partition_names)]
    record = read_json(record_path(config), {})
    return Observed(
        root=os.geteuid() == 0,
        uid=os.geteuid(),
        gid=os.getegid(),
        machine=machine_id(),
        users={user: find_identity(user) for user in user_homes(config)},
        groups={} if software is None else {software: group_members(software)},
        directories={path: _directory(path) for path in directories},
        addresses=addresses_of(INTERFACE),
        ipv6=has_ipv6(),
        unreachable=_unreachable(config),
        record=record if isinstance(record, dict) else {},
        resources={name: _resource(config.partition_directory(name)) for name in config.partition_names},
    )


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
