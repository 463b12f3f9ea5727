"""Services as the files of a partition declare them, read without trusting the partition (trap 11)."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from typing import Any

from slapos.model.errors import InputError
from slapos.model.text import is_file_name
from slapos.node import layout
from slapos.node.goals.observed import Declared
from slapos.node.supervisor.interface import ServiceSpec
from slapos.system.below import list_below, read_below
from slapos.system.users import Identity

_FACTS_LIMIT = 1024 * 1024
_NAME_RULE = "a name may hold only letters, digits, dot, dash and underscore"


@dataclass(frozen=True)
class Services:
    """What ``etc/service`` and ``etc/run`` hold; ``refused`` maps names that are not obeyed to the reason."""

    declared: tuple[Declared, ...]
    refused: dict[str, str]


def declared_services(directory: str, uid: int) -> Services:
    """Read a partition.  Only regular executable files of its own user count; links are refused, not followed."""
    found: dict[str, Declared] = {}
    refused: dict[str, str] = {}
    for folder, watched in ((layout.SERVICES, True), (layout.RUNS, False)):
        for name, why in _names(directory, folder, uid):
            if why:
                refused[name] = why
            elif name in found:
                refused[name] = f"another service in {layout.SERVICES} has the same name"
            else:
                try:
                    found[name] = _declared(directory, folder, name, uid, watched)
                except (OSError, ValueError, InputError) as error:
                    refused[name] = str(error)
    return Services(tuple(found.values()), refused)


def executable_names(directory: str, folder: str, uid: int) -> tuple[str, ...]:
    """Names of the executables in a folder of a partition that are obeyed, sorted."""
    return tuple(name for name, why in _names(directory, folder, uid) if not why)


def _names(directory: str, folder: str, uid: int) -> list[tuple[str, str]]:
    """``(name, why it is refused or empty)``; hidden files are left out, as the field's recipes expect."""
    try:
        entries = list_below(directory, folder)
    except (OSError, InputError) as error:
        return [(folder, str(error))]
    return [(name, _refusal(name, facts, uid)) for name, facts in entries if not name.startswith(".")]


def _refusal(name: str, facts: os.stat_result, uid: int) -> str:
    rules = (
        (is_file_name(name), _NAME_RULE),
        (not stat.S_ISLNK(facts.st_mode), "it is a symbolic link"),
        (stat.S_ISREG(facts.st_mode), "it is not a file"),
        (facts.st_uid == uid, "it does not belong to the user of the partition"),
        (bool(facts.st_mode & 0o100), "it is not executable"),
    )
    return next((why for good, why in rules if not good), "")


def _declared(directory: str, folder: str, name: str, uid: int, watched: bool) -> Declared:
    content = read_below(directory, f"{folder}/{name}", frozenset({uid}))
    plain = Declared(name, watched, hashlib.sha256(content).hexdigest())
    try:
        raw = read_below(directory, f"{layout.SERVICE_FACTS}/{name}.json", frozenset({uid}), _FACTS_LIMIT)
    except FileNotFoundError:
        return plain
    facts = json.loads(raw)
    if not isinstance(facts, dict):
        raise InputError(f"{layout.SERVICE_FACTS}/{name}.json is not an object")
    return Declared(
        name=name,
        watched=watched,
        restart=_digest(f"{facts.get('restart') or ''} {plain.restart}"),
        reload=_digest(str(facts.get("reload") or "")),
        reload_signal=str(facts.get("reload_signal") or "HUP"),
        check_command=_command(name, facts.get("check_command")),
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _command(name: str, value: Any) -> tuple[str, ...]:
    if not value:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) and "\0" not in item for item in value):
        raise InputError(f"check_command of the service {name} is not a list of texts")
    return tuple(value)


@dataclass(frozen=True)
class Place:
    """A partition as its services see it."""

    partition: str
    directory: str
    user: Identity
    switch: bool  # whether to become that user (the node is root)
    logs: str


def service_spec(place: Place, declared: Declared) -> ServiceSpec:
    """What the supervisor is told of a service."""
    folder = layout.SERVICES if declared.watched else layout.RUNS
    return ServiceSpec(
        partition=place.partition,
        name=declared.name,
        command=(f"{place.directory}/{folder}/{declared.name}",),
        directory=place.directory,
        user=place.user.name if place.switch else None,
        log=os.path.join(place.logs, f"{declared.name}.log"),
        environment=partition_environment(place),
        watched=declared.watched,
        digest=declared.restart,
        reload_digest=declared.reload,
    )


def partition_environment(place: Place) -> dict[str, str]:
    """The whole environment of what runs in a partition."""
    return {
        "HOME": place.directory,
        "USER": place.user.name,
        "LOGNAME": place.user.name,
        "LC_ALL": "C.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
    }
