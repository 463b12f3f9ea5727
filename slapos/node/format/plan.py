"""Which users, directories and addresses a node needs, and what is to be done for them.  Pure.

The order keeps what exists reachable: what will be created is recorded before it is (so that it can be undone after a
crash), users come before the directories that they own, the description of a partition comes last.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from slapos.model.errors import Conflict, HyperopenxError, MachineError, Refused
from slapos.node.format.layout import Place, resource_document
from slapos.node.plan import Skip

INTERFACE = "lo"
_LOOPBACK6 = "::1"


class FormatKind(StrEnum):
    """What an action does, each with exactly one effect (``format.apply``)."""

    RECORD = "record"
    MAKE_USER = "make-user"
    JOIN_GROUP = "join-group"
    MAKE_DIRECTORY = "make-directory"
    OWN_DIRECTORY = "own-directory"
    ADD_ADDRESS = "add-address"
    DESCRIBE = "describe"


@dataclass(frozen=True)
class FormatAction:
    """``subject``: a user, a directory, an address or a partition.  ``details`` are what the effect needs."""

    kind: FormatKind
    subject: str
    reason: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}: {self.reason}"


@dataclass(frozen=True)
class Directory:
    """Facts of a directory."""

    uid: int
    gid: int
    mode: int


@dataclass(frozen=True)
class User:
    """Facts of a user."""

    uid: int
    gid: int
    home: str


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the configuration asks for.  ``places`` have the addresses that a node formatted for the first time gives.

    ``software_user`` None: no users are made.
    """

    name: str
    instance_root: str
    software_root: str
    software_user: str | None
    alter_user: bool
    alter_network: bool
    ipv6: bool
    places: tuple[Place, ...]


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What is there.  ``directories`` maps paths to facts, None when absent; ``unreachable``: the first directory above
    the partitions that other users cannot pass, empty when they can; ``ipv6``: the machine has ``::1``.

    ``record`` is what the last format wrote; ``resources`` maps partitions to their description now.
    """

    root: bool
    uid: int
    gid: int
    users: Mapping[str, User | None]
    groups: Mapping[str, tuple[str, ...]]
    directories: Mapping[str, Directory | None]
    addresses: frozenset[str]
    ipv6: bool
    unreachable: str
    record: Mapping[str, Any]
    resources: Mapping[str, Any]


@dataclass(frozen=True)
class FormatPlan:
    """Ordered actions, what is left out and why, and the partitions as they will be."""

    actions: tuple[FormatAction, ...]
    skips: tuple[Skip, ...]
    places: tuple[Place, ...]


def plan_format(wish: Wish, observed: Observed) -> FormatPlan:
    """What is to be done.  Raises what a person must decide: fewer partitions, taken users, no address, no right."""
    _check(wish, observed)
    places = wanted_places(wish, observed)
    _check_addresses(places, observed)
    steps = (
        *_users(wish, observed),
        *_directories(wish, observed, places),
        *_addresses(wish, observed, places),
        *_descriptions(wish, observed, places),
    )
    record = next_record(wish, observed, places, steps)
    actions = steps
    if record != observed.record:
        reason = "what this format creates can be undone"
        actions = (FormatAction(FormatKind.RECORD, wish.name, reason, {"record": record}), *steps)
    return FormatPlan(actions, tuple(_skips(wish, observed)), places)


# what is wanted


def wanted_places(wish: Wish, observed: Observed) -> tuple[Place, ...]:
    """The partitions; addresses that were given before are kept as long as their family is wanted."""
    given = observed.record.get("addresses", {})
    return tuple(_keep(place, given.get(place.reference, ())) for place in wish.places)


def _keep(place: Place, given: Iterable[str]) -> Place:
    """``::1``, which partitions share, may become an address of its own and the reverse: that is no address given."""
    before = {_family(address): address for address in given if address != _LOOPBACK6}
    addresses = tuple(
        address if address == _LOOPBACK6 else before.get(_family(address), address) for address in place.addresses
    )
    return replace(place, addresses=addresses)


def _family(address: str) -> int:
    return 6 if ":" in address else 4


# what is refused


def _check(wish: Wish, observed: Observed) -> None:
    if (wish.alter_user or wish.alter_network) and not observed.root:
        raise Refused(
            "Only root can make users and addresses.",
            reference="not-root",
            context={"alter_user": wish.alter_user, "alter_network": wish.alter_network},
            hint="Run it as root, or set alter_user = false and alter_network = false.",
        )
    before = int(observed.record.get("partitions", 0))
    if len(wish.places) < before:
        raise Conflict(
            f"The node has {before} partitions, {len(wish.places)} are fewer.",
            reference="fewer-partitions",
            context={"before": before, "wanted": len(wish.places)},
            hint=f"Set partition_amount to {before} or more; partitions are never taken away.",
        )
    if wish.alter_user and observed.unreachable:
        raise MachineError(
            f"{observed.unreachable} cannot be passed by other users, so no partition below it can run.",
            reference="unreachable-directory",
            context={"directory": observed.unreachable},
            hint=f"Choose another place, or: chmod o+x {observed.unreachable}",
        )
    for user, home in user_homes(wish).items():
        _check_user(user, home, observed)


def _check_user(user: str, home: str, observed: Observed) -> None:
    found = observed.users.get(user)
    if found is not None and (found.home != home or 0 in {found.uid, found.gid}):
        raise Conflict(
            f"The user {user} exists and its home is {found.home}, not {home}.",
            reference="user-taken",
            context={"user": user, "home": found.home, "wanted": home},
            hint="Another node of this machine has it: set another name_prefix.",
        )


def _check_addresses(places: tuple[Place, ...], observed: Observed) -> None:
    if all(place.addresses for place in places):
        return
    raise _no_address(observed)


def _no_address(observed: Observed) -> HyperopenxError:
    return MachineError(
        "The partitions would have no address.",
        reference="no-address",
        context={"ipv6_available": observed.ipv6},
        hint="Enable IPv6 on lo, or set ipv4 = true.",
    )


# what is to be done


def user_homes(wish: Wish) -> dict[str, str]:
    """Users that the node needs, with their homes; none when it makes no users."""
    homes = {} if wish.software_user is None else {wish.software_user: wish.software_root}
    return homes | {place.user: place.path for place in wish.places if place.user is not None}


def _users(wish: Wish, observed: Observed) -> Iterator[FormatAction]:
    software = wish.software_user
    for user, home in user_homes(wish).items():
        group = software if user != software else None
        if observed.users.get(user) is None:
            details = {"home": home, "groups": () if group is None else (group,)}
            yield FormatAction(FormatKind.MAKE_USER, user, "it does not exist", details)
        elif group is not None and user not in observed.groups.get(group, ()):
            reason = f"it must read the releases of {group}"
            yield FormatAction(FormatKind.JOIN_GROUP, user, reason, {"group": group})


def _directories(wish: Wish, observed: Observed, places: tuple[Place, ...]) -> Iterator[FormatAction]:
    yield from _directory(wish.instance_root, None, 0o755, observed)
    yield from _directory(wish.software_root, wish.software_user, 0o755, observed)
    for place in places:
        yield from _directory(place.path, place.user, 0o750, observed)


def _directory(path: str, user: str | None, mode: int, observed: Observed) -> Iterator[FormatAction]:
    facts = observed.directories.get(path)
    details = {"user": user, "mode": mode}
    if facts is None:
        yield FormatAction(FormatKind.MAKE_DIRECTORY, path, "it does not exist", details)
        return
    if facts.mode != mode:
        yield FormatAction(FormatKind.OWN_DIRECTORY, path, f"its mode is {facts.mode:04o}, not {mode:04o}", details)
        return
    owner = observed.users.get(user) if user is not None else None
    uid, gid = (observed.uid, observed.gid) if owner is None else (owner.uid, owner.gid)
    if user is not None and (owner is None or (facts.uid, facts.gid) != (uid, gid)):
        yield FormatAction(FormatKind.OWN_DIRECTORY, path, f"it does not belong to {user}", details)


def _addresses(wish: Wish, observed: Observed, places: tuple[Place, ...]) -> Iterator[FormatAction]:
    if not wish.alter_network:
        return
    for place in places:
        for address in place.addresses:
            if _family(address) == 6 and address not in observed.addresses:
                reason = f"{INTERFACE} does not have it"
                yield FormatAction(FormatKind.ADD_ADDRESS, address, reason, {"interface": INTERFACE})


def _descriptions(wish: Wish, observed: Observed, places: tuple[Place, ...]) -> Iterator[FormatAction]:
    for place in places:
        document = resource_document(place, wish.software_user)
        if observed.resources.get(place.reference) != document:
            path = posixpath.join(place.path, ".slapos-resource")
            reason = "it does not say what the partition has"
            yield FormatAction(FormatKind.DESCRIBE, path, reason, {"document": document, "partition": place.path})


def _skips(wish: Wish, observed: Observed) -> Iterator[Skip]:
    if not wish.alter_user:
        yield Skip("users", "alter_user is off: partitions run as the user of the node")
    if not wish.alter_network:
        yield Skip("addresses", "alter_network is off: partitions use what lo has")
    if wish.ipv6 and not observed.ipv6:
        yield Skip("IPv6", "lo has no ::1")


def next_record(
    wish: Wish, observed: Observed, places: tuple[Place, ...], steps: tuple[FormatAction, ...]
) -> dict[str, Any]:
    """What the node remembers: what it created over time (and may undo), and the addresses that it gave."""
    made = observed.record.get("created", {})
    users = [step.subject for step in steps if step.kind is FormatKind.MAKE_USER]
    addresses = [step.subject for step in steps if step.kind is FormatKind.ADD_ADDRESS]
    return {
        "partitions": len(wish.places),
        "addresses": {place.reference: list(place.addresses) for place in places},
        "created": {
            "users": sorted({*made.get("users", ()), *users}),
            "addresses": sorted({*made.get("addresses", ()), *addresses}),
        },
    }
