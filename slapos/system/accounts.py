"""Changing the users and groups of the machine, with the tools of its distribution."""

from __future__ import annotations

import time

from slapos.model.errors import MachineError
from slapos.system.processes import Launch, run
from slapos.system.users import find_identity, group_id, group_members

_ATTEMPTS = 10
_LOCKED = frozenset({1, 10})  # useradd(8), groupadd(8): cannot update, which a held lock gives too


def make_group(name: str) -> None:
    """A system group; nothing when it exists.  Needs root."""
    if group_id(name) is None:
        _change(("groupadd", "--system", name))


def make_user(name: str, home: str, groups: tuple[str, ...] = ()) -> None:
    """A system user with a group of its own, a locked password and no files; nothing when it exists.  Needs root."""
    make_group(name)
    if find_identity(name) is None:
        options = ("--system", "--no-create-home", "--home-dir", home, "--gid", name, "--shell", "/bin/sh")
        more = ("--groups", ",".join(groups)) if groups else ()
        _change(("useradd", *options, *more, name))


def join_group(name: str, group: str) -> None:
    """``name`` is also a member of ``group``.  Needs root."""
    if name not in group_members(group):
        _change(("usermod", "--append", "--groups", group, name))


def remove_user(name: str) -> bool:
    """Remove the user and the group of the same name, no files; whether it was there.  It must have no process."""
    existed = find_identity(name) is not None
    if existed:
        _change(("userdel", name))
    if group_id(name) is not None:
        _change(("groupdel", name))
    return existed


def _change(command: tuple[str, ...]) -> None:
    """The user database has one lock for all: somebody else may hold it for a moment."""
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    for attempt in range(_ATTEMPTS):
        done = run(command, launch=Launch(environment=environment), timeout=60.0)
        if done.code == 0:
            return
        if done.code not in _LOCKED or attempt == _ATTEMPTS - 1:
            break
        time.sleep(0.5)
    raise MachineError(
        f"{' '.join(command)} failed: {done.text.strip()[-500:]}",
        reference="user-database",
        context={"command": list(command), "code": done.code, "output": done.text.strip()[-2000:]},
        hint="The command needs root, and the package passwd.",
    )
