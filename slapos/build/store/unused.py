"""What nobody uses leaves the store, and what killed builds left; see :mod:`slapos.build.store.plan`."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from slapos.build.store.plan import Held, RemovalPlan, closure_of, plan_removal
from slapos.build.store.record import read_part_record
from slapos.build.store.store import WORK, Store, StoredPart
from slapos.build.store.users import forget_gone, used_parts, using
from slapos.model.errors import Conflict
from slapos.system.removal import remove_tree

_WORK_NAME = re.compile(r"(.+-[0-9a-f]{32})(\..*)?")
DAY = 24 * 3600.0


def own_parts(store: Store) -> list[StoredPart]:
    """Those of the root for new parts."""
    return [stored for stored in store.parts() if stored.location.startswith(f"{store.root}/")]


def look(store: Store, keep_seconds: float = DAY) -> RemovalPlan:
    """The plan for the root for new parts, whose parts count as unused since they came; removes nothing."""
    used = {name for names in used_parts(store).values() for name in names}
    held = [
        Held(stored.record.name, stored.record.needs, stored.record.size, _came_at(stored))
        for stored in own_parts(store)
    ]
    return plan_removal(held, used, time.time(), keep_seconds)


def _came_at(stored: StoredPart) -> float:
    """A part from a binary cache says when its builder made it; it came when its directory got its place."""
    return max(stored.record.built_at, os.lstat(stored.location).st_ctime)


def remove_unused(store: Store, keep_seconds: float = DAY) -> RemovalPlan:
    """Remove what :func:`look` says, and what killed builds left; who begins to use a part meanwhile waits."""
    store.prepare()
    with using(store):
        forget_gone(store)
        plan = look(store, keep_seconds)
        staying = {stored.record.name: stored.record.needs for stored in own_parts(store)}
        for part in plan.removed:
            if _remove(store, part.name, staying):
                del staying[part.name]
    remove_leavings(store)
    why = "somebody is busy with it or what needs it"
    busy = tuple(replace(part, reason=why) for part in plan.removed if part.name in staying)
    removed = tuple(part for part in plan.removed if part.name not in staying)
    return replace(plan, removed=removed, kept=(*plan.kept, *busy))


def remove_part(store: Store, name: str) -> int:
    """Remove the part ``name`` (``part/digest``); the bytes of its files.

    0, and it stays, when it is gone already, or when meanwhile a release uses it, another part needs it or somebody is
    busy with it: what was planned is looked at again.
    """
    store.prepare()
    with using(store):
        known = {stored.record.name: stored.record for stored in own_parts(store)}
        needs = {part: record.needs for part, record in known.items()}
        used = closure_of(needs, (used for names in used_parts(store).values() for used in names))
        if name not in known or name in used or not _remove(store, name, needs):
            return 0
        return known[name].size


def _remove(store: Store, name: str, present: dict[str, tuple[str, ...]]) -> bool:
    """Unless somebody looks whether it is there, or one of those ``present`` needs it: nobody would miss it but at run
    time."""
    if any(name in needs for other, needs in present.items() if other != name):
        return False
    with contextlib.suppress(Conflict):
        store.remove(*name.split("/"))
        return True
    return False


def removal_data(store: Store, keep_seconds: float, dry_run: bool) -> dict[str, Any]:
    """The plan, with ``dry_run`` only looked at, as JSON types, with its sentence."""
    plan = (look if dry_run else remove_unused)(store, keep_seconds)
    return {**asdict(plan), "sentence": plan.sentence}


def leavings(store: Store) -> Iterator[tuple[str, str]]:
    """Lock and path of each work directory and unfinished tree; somebody may be busy with it who holds the lock."""
    work = os.path.join(store.root, WORK)
    for name in os.listdir(work) if os.path.isdir(work) else ():
        named = _WORK_NAME.fullmatch(name)
        yield (named[1] if named else name), os.path.join(work, name)
    for part in os.listdir(store.root):
        directory = os.path.join(store.root, part)
        if part.startswith(".") or not stat.S_ISDIR(os.lstat(directory).st_mode):
            continue
        for digest in os.listdir(directory):
            if read_part_record(os.path.join(directory, digest)) is None:
                yield f"{part}-{digest}", os.path.join(directory, digest)


def remove_leavings(store: Store) -> None:
    """Those that nobody is busy with."""
    store.prepare()
    work = os.path.join(store.root, WORK)
    for lock, path in list(leavings(store)):
        with contextlib.suppress(Conflict), store.lock(lock):
            if os.path.dirname(path) == work or read_part_record(path) is None:  # it may have been finished meanwhile
                remove_tree(path)
