"""What of a user is left on the machine: asked before a partition is given to somebody else.

With ``uid`` everything of that user is looked for.  Without (partitions that run as the user of the node share one
uid) only what can be told apart is: the directory, and processes that work in it.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from slapos.system.below import list_below
from slapos.system.processes import check_run
from slapos.system.proctable import directory_of, end_processes, environment_of, find_process, of_user, process_table
from slapos.system.removal import remove_tree

SHARED_DIRECTORIES = ("/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run/lock", "/run/user")
_SPOOLS = ("/var/spool/cron/crontabs", "/var/spool/cron", "/var/spool/cron/atjobs", "/var/spool/at")
_IPC = {"shm": ("shmid", "-m"), "msg": ("msqid", "-q"), "sem": ("semid", "-s")}
_LIMIT = 200_000  # directory entries looked at below one shared directory


class LeftoverKind(StrEnum):
    """Where something was found."""

    FILE = "file"
    PROCESS = "process"
    MEMORY = "memory"  # System V IPC
    CRONTAB = "crontab"
    MOUNT = "mount"


@dataclass(frozen=True)
class Leftover:
    """``subject``: a path, a pid, ``shm 12``; ``detail`` for people."""

    kind: LeftoverKind
    subject: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}" + (f" ({self.detail})" if self.detail else "")


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """Who was in a partition.  ``keep``: names in ``directory`` that are the node's; ``gids``: groups of the user."""

    directory: str
    uid: int | None = None
    name: str = ""
    gids: frozenset[int] = frozenset()
    keep: frozenset[str] = frozenset({".slapos-resource"})


def find_leftovers(tenant: Tenant) -> tuple[Leftover, ...]:
    """Everything that is left, in the order in which it should be removed; empty: the partition is free."""
    return (
        *_processes(tenant),
        *_mounts(tenant.directory),
        *_partition(tenant),
        *_memory(tenant),
        *_crontabs(tenant),
        *(found for directory in SHARED_DIRECTORIES for found in _shared(directory, tenant)),
    )


def remove_leftover(found: Leftover) -> None:
    """Remove one; a mount is not touched (:class:`MachineError` when its content would have to go)."""
    if found.kind is LeftoverKind.PROCESS:
        process = find_process(int(found.subject))
        if process is not None:
            end_processes([process], grace=2.0)
    elif found.kind in {LeftoverKind.FILE, LeftoverKind.CRONTAB}:
        remove_tree(found.subject)
    elif found.kind is LeftoverKind.MEMORY:
        kind, _, number = found.subject.partition(" ")
        check_run(["ipcrm", _IPC[kind][1], number])


def _processes(tenant: Tenant) -> Iterator[Leftover]:
    table = process_table()
    if tenant.uid is not None:
        for process in of_user(table, tenant.uid):
            yield Leftover(LeftoverKind.PROCESS, str(process.pid), process.name)
        return
    own = os.getpid()
    for process in of_user(table, os.geteuid()):
        # a process with a terminal is a person who looks around, not something that the instance left
        if process.pid != own and not process.terminal and _works_in(process.pid, tenant.directory):
            yield Leftover(LeftoverKind.PROCESS, str(process.pid), process.name)


def _works_in(pid: int, directory: str) -> bool:
    """Its working directory or its home lies there: services and promises of a partition are started so."""
    places = (directory_of(pid), environment_of(pid).get("HOME", ""))
    return any(place == directory or place.startswith(directory.rstrip("/") + "/") for place in places)


def _mounts(directory: str) -> Iterator[Leftover]:
    prefix = directory.rstrip("/") + "/"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as stream:
        for line in stream:
            point = line.split()[4].encode().decode("unicode_escape")
            if point.startswith(prefix):
                yield Leftover(LeftoverKind.MOUNT, point)


def _partition(tenant: Tenant) -> Iterator[Leftover]:
    if not os.path.isdir(tenant.directory):
        return
    for name, _ in list_below(tenant.directory):
        if name not in tenant.keep:
            yield Leftover(LeftoverKind.FILE, os.path.join(tenant.directory, name))


def _memory(tenant: Tenant) -> Iterator[Leftover]:
    """Source: ``/proc/sysvipc``, proc(5); the columns are named in the first line."""
    if tenant.uid is None:
        return
    for kind, (column, _) in _IPC.items():
        for row in _ipc_rows(f"/proc/sysvipc/{kind}"):
            if str(tenant.uid) in {row["uid"], row["cuid"]}:
                yield Leftover(LeftoverKind.MEMORY, f"{kind} {row[column]}", f"key {row['key']}")


def _ipc_rows(path: str) -> Iterator[Mapping[str, str]]:
    try:
        with open(path, encoding="ascii") as stream:
            lines = [line.split() for line in stream]
    except FileNotFoundError:  # a kernel without it
        return
    for row in lines[1:]:
        yield dict(zip(lines[0], row, strict=False))


def _crontabs(tenant: Tenant) -> Iterator[Leftover]:
    """By name in the spools of cron, by owner in those of at."""
    if tenant.uid is None:
        return
    for spool in _SPOOLS:
        with contextlib.suppress(FileNotFoundError, PermissionError, NotADirectoryError), os.scandir(spool) as entries:
            for entry in entries:
                named = entry.name == tenant.name and not entry.is_dir(follow_symlinks=False)
                if named or entry.stat(follow_symlinks=False).st_uid == tenant.uid:
                    yield Leftover(LeftoverKind.CRONTAB, entry.path)


def _shared(directory: str, tenant: Tenant) -> Iterator[Leftover]:
    """Files of the user in a directory that all can write.  A directory of the user is one finding with all in it."""
    if tenant.uid is None:
        return
    todo, seen = [directory], 0
    while todo:
        path = todo.pop()
        with contextlib.suppress(FileNotFoundError, PermissionError, NotADirectoryError), os.scandir(path) as entries:
            for entry in entries:
                seen += 1
                if seen > _LIMIT:
                    return
                with contextlib.suppress(FileNotFoundError):
                    facts = entry.stat(follow_symlinks=False)
                    if facts.st_uid == tenant.uid:
                        yield Leftover(LeftoverKind.FILE, entry.path)
                    elif stat.S_ISDIR(facts.st_mode) and _could_write(facts, tenant):
                        todo.append(entry.path)


def _could_write(facts: os.stat_result, tenant: Tenant) -> bool:
    """Whether the user can have made a file in a directory of somebody else."""
    return bool(facts.st_mode & stat.S_IWOTH) or (bool(facts.st_mode & stat.S_IWGRP) and facts.st_gid in tenant.gids)
