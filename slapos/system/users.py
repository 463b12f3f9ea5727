"""Users and groups of the machine."""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass

from slapos.model.errors import NotFound


@dataclass(frozen=True)
class Identity:
    """As whom a process runs.  ``groups`` are all its group ids, the primary one included."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str = "/"


def find_identity(name: str) -> Identity | None:
    """The user ``name`` with all its groups, or None."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    groups = tuple(sorted(set(os.getgrouplist(name, entry.pw_gid))))
    return Identity(name, entry.pw_uid, entry.pw_gid, groups, entry.pw_dir)


def identity(name: str) -> Identity:
    """The user ``name``; :class:`NotFound` ``no-such-user``."""
    found = find_identity(name)
    if found is None:
        raise NotFound(
            f"The user {name!r} does not exist on this machine.",
            reference="no-such-user",
            context={"user": name},
            hint="Run: slapos node format",
        )
    return found


def own_identity() -> Identity:
    """Of this process; a uid without an entry in the user database gets its number as name."""
    uid, gid = os.geteuid(), os.getegid()
    groups = tuple(sorted({gid, *os.getgroups()}))
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Identity(str(uid), uid, gid, groups, os.environ.get("HOME", "/"))
    return Identity(entry.pw_name, uid, gid, groups, entry.pw_dir)


def group_id(name: str) -> int | None:
    """The id of a group, or None."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def group_members(name: str) -> tuple[str, ...]:
    """Users listed in a group (not those whose primary group it is); empty when it does not exist."""
    try:
        return tuple(grp.getgrnam(name).gr_mem)
    except KeyError:
        return ()
