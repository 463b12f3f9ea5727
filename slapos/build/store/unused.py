"""Which stored parts nobody uses: a pure plan, and its execution."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from slapos.build.store.record import read_part_record
from slapos.build.store.store import WORK, Store
from slapos.build.store.users import forget_gone, used_parts, using
from slapos.model.errors import Conflict
from slapos.system.disk import size_text
from slapos.system.removal import remove_tree

_WORK_NAME = re.compile(r"(.+-[0-9a-f]{32})(\..*)?")
DAY = 24 * 3600.0


@dataclass(frozen=True)
class Held:
    """A part as the plan sees it: ``name`` is ``part/digest``, ``needs`` the names of others, ``size`` bytes."""

    name: str
    needs: tuple[str, ...]
    size: int
    built_at: float


@dataclass(frozen=True)
class Unused:
    """A part to be removed, or kept though nobody uses it; ``reason`` for people."""

    name: str
    size: int
    reason: str


@dataclass(frozen=True)
class RemovalPlan:
    """``removed`` with those first that others need last; ``kept``: not used, but too young to go."""

    removed: tuple[Unused, ...]
    kept: tuple[Unused, ...]
    used: int

    @property
    def sentence(self) -> str:
        """For people."""
        size = size_text(sum(part.size for part in self.removed))
        return f"{self.used} parts are used, {len(self.removed)} are not ({size}), {len(self.kept)} are kept for now."


def plan_removal(held: Collection[Held], used: Iterable[str], at: float, keep_seconds: float) -> RemovalPlan:
    """What nobody uses, directly or through a part that is used, and is older than ``keep_seconds`` at ``at``."""
    known = {part.name: part for part in held}
    needed = _closure(known, used)
    unused = [part for part in known.values() if part.name not in needed]
    young = {part.name for part in unused if at - part.built_at < keep_seconds}
    spared = _closure(known, young) - needed
    return RemovalPlan(
        removed=tuple(Unused(part.name, part.size, "no release uses it") for part in unused if part.name not in spared),
        kept=tuple(
            Unused(part.name, part.size, "it is young" if part.name in young else "a young part needs it")
            for part in unused
            if part.name in spared
        ),
        used=len(known) - len(unused),
    )


def _closure(known: Mapping[str, Held], names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name in known and name not in found:
            found.add(name)
            todo.extend(known[name].needs)
    return found


def look(store: Store, keep_seconds: float = DAY) -> RemovalPlan:
    """The plan for the root for new parts; removes nothing."""
    used = {name for names in used_parts(store).values() for name in names}
    held = [
        Held(stored.record.name, stored.record.needs, stored.record.size, stored.record.built_at)
        for stored in store.parts()
        if stored.location.startswith(f"{store.root}/")
    ]
    return plan_removal(held, used, time.time(), keep_seconds)


def remove_unused(store: Store, keep_seconds: float = DAY) -> RemovalPlan:
    """Remove what :func:`look` says, and what killed builds left; who begins to use a part meanwhile waits."""
    store.prepare()
    with using(store):
        forget_gone(store)
        plan = look(store, keep_seconds)
        for part in plan.removed:
            with contextlib.suppress(Conflict):  # somebody looks whether it is there
                store.remove(*part.name.split("/"))
    _remove_leavings(store)
    return plan


def removal_data(store: Store, keep_seconds: float, dry_run: bool) -> dict[str, Any]:
    """The plan, with ``dry_run`` only looked at, as JSON types, with its sentence."""
    plan = (look if dry_run else remove_unused)(store, keep_seconds)
    return {**asdict(plan), "sentence": plan.sentence}


def _remove_leavings(store: Store) -> None:
    """Work directories and unfinished trees that nobody is busy with."""
    work = os.path.join(store.root, WORK)
    for name in os.listdir(work):
        named = _WORK_NAME.fullmatch(name)
        with contextlib.suppress(Conflict), store.lock(named[1] if named else name):
            remove_tree(os.path.join(work, name))
    for part in os.listdir(store.root):
        directory = os.path.join(store.root, part)
        if part.startswith(".") or not stat.S_ISDIR(os.lstat(directory).st_mode):
            continue
        for digest in os.listdir(directory):
            _remove_unfinished(store, part, digest)


def _remove_unfinished(store: Store, part: str, digest: str) -> None:
    location = os.path.join(store.root, part, digest)
    if read_part_record(location) is not None:
        return
    with contextlib.suppress(Conflict), store.lock(f"{part}-{digest}"):
        if read_part_record(location) is None:
            remove_tree(location)
