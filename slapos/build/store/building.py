"""A part of the store while it is made."""

from __future__ import annotations

import ctypes
import os
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pwd import getpwuid

from slapos.build.sandbox import USER
from slapos.build.store.content import Content, content_of, walk
from slapos.build.store.inputs import Inputs
from slapos.build.store.record import PartRecord, read_part_record, write_record
from slapos.model.errors import BuildFailed, InternalError
from slapos.system.files import make_directory, sync_directory
from slapos.system.proctable import end_processes, environment_of, process_table
from slapos.system.removal import remove_tree

TIMESTAMP = 315532800
"""1980-01-01, the time of every file in the store: archives of all kinds can say it."""

_ROUNDS = 20
MARK = "HYPEROPENX_PART"
"""In the environment of each command that builds a part outside a sandbox, with its location as the value."""


@dataclass
class Building:
    """``work`` is an empty directory on the store's file system; ``tree`` in it is what ``finish`` puts in place.

    A package that can only be installed where it will lie may make ``location`` itself instead of ``tree``: without a
    record it counts as nothing.  ``roots``: stores whose parts it may name;
    ``user``: the number of the user that a sandbox shows; ``jobs``: how many its make may run.
    """

    root: str
    part: str
    digest: str
    location: str
    roots: tuple[str, ...]
    stages: dict[str, float] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)
    sandbox: str = "none: no command of this part ran in one"
    user: int = USER
    jobs: int = 0
    origin: PartRecord | None = None  # of a part that is not built here but comes from a binary cache

    @property
    def work(self) -> str:
        """Where it is built; another user's leavings in a store of several are not ours to remove."""
        foreign = os.stat(self.root).st_uid != os.geteuid()
        return os.path.join(self.root, ".work", f"{self.part}-{self.digest}{f'.{os.geteuid()}' if foreign else ''}")

    @property
    def tree(self) -> str:
        """The tree to be."""
        return os.path.join(self.work, "tree")

    def begin(self) -> None:
        """Nothing of a killed build is there or runs, and ``work`` is."""
        if os.path.lexists(self.work) or os.path.lexists(self.location):
            end_orphans(self.location)
        remove_tree(self.work)
        self._remove_unfinished()
        parent = os.path.dirname(self.location)
        if not os.path.isdir(parent):
            make_directory(parent, stat.S_IMODE(os.stat(self.root).st_mode))
        os.makedirs(self.work)

    def finish(self, inputs: Inputs, content: Content | None = None) -> PartRecord:
        """Record, make read-only, write to the disk, rename into place; ``content``: of the tree, when it is known."""
        if inputs.digest != self.digest:
            raise InternalError(f"{self.part} was made from other inputs than it was to be.", reference="other-inputs")
        if not os.path.isdir(self.tree) or not os.listdir(self.tree):
            if not os.path.isdir(self.location):
                raise _nothing_made(self)
            os.rename(self.location, self.tree)
        self._drop_rest()
        make_read_only(self.tree)
        record = self._record(inputs, content or content_of(self.tree, self.roots))
        os.chmod(self.tree, 0o755)  # a directory that changes its parent must be writable
        write_record(self.tree, record)
        sync_file_system(self.tree)
        os.rename(self.tree, self.location)
        os.utime(self.location, (TIMESTAMP, TIMESTAMP))
        os.chmod(self.location, 0o555)
        sync_directory(os.path.dirname(self.location))
        return record

    def end(self) -> None:
        """Nothing of it stays but a finished part."""
        remove_tree(self.work)
        self._remove_unfinished()

    def _record(self, inputs: Inputs, content: Content) -> PartRecord:
        return PartRecord(
            inputs=inputs,
            built_at=self.origin.built_at if self.origin else round(time.time(), 3),
            seconds={stage: round(seconds, 3) for stage, seconds in self.stages.items()},
            sources=tuple(self.sources),
            sandbox=self.sandbox,
            content=content.digest,
            size=content.size,
            references=tuple(name for name in content.references if name != f"{self.part}/{self.digest}"),
            location=self.location,
            builder=self.origin.builder if self.origin else builder_name(),
            fetched=self.origin.fetched if self.origin else "",
            jobs=self.jobs,
        )

    def _drop_rest(self) -> None:
        """What was built from need not reach the disk any more."""
        for name in os.listdir(self.work):
            if name != os.path.basename(self.tree):
                remove_tree(os.path.join(self.work, name))

    def _remove_unfinished(self) -> None:
        if os.path.lexists(self.location) and read_part_record(self.location) is None:
            remove_tree(self.location)


def _nothing_made(building: Building) -> BuildFailed:
    return BuildFailed(
        f"{building.part}: nothing was made for {building.location}.",
        reference="nothing-installed",
        context={"location": building.location},
        hint="Does the configuration use the prefix?",
    )


def end_orphans(location: str) -> None:
    """End what a killed build of the part left running: it would go on writing where the next one builds.

    For who holds the lock of the part.  In a sandbox the kernel does it.
    """
    for _ in range(_ROUNDS):
        own = os.getpid()
        table = [process for process in process_table().values() if process.alive and process.pid != own]
        found = [process for process in table if environment_of(process.pid).get(MARK) == location]
        if not found:
            return
        end_processes(found, grace=0.0)


def make_read_only(tree: str) -> None:
    """Directories get 0555, files 0444 or 0555 by their owner's bit, everything one time; set-user-ID is refused."""
    for path, facts in _bottom_up(tree):
        if stat.S_ISREG(facts.st_mode) and facts.st_mode & (stat.S_ISUID | stat.S_ISGID):
            raise BuildFailed(
                f"{path} would run as another user: no stored part may hold a set-user-ID file.",
                reference="unfit-file",
                context={"path": path},
            )
        if not stat.S_ISLNK(facts.st_mode):
            os.chmod(path, 0o555 if stat.S_ISDIR(facts.st_mode) or facts.st_mode & 0o100 else 0o444)
        os.utime(path, (TIMESTAMP, TIMESTAMP), follow_symlinks=False)


def _bottom_up(tree: str) -> Iterator[tuple[str, os.stat_result]]:
    yield from reversed(list(walk(tree)))
    yield tree, os.lstat(tree)


def shared_mode(root: str) -> int:
    """The mode of what only builders use in a store: open to the group where the store itself is."""
    given = stat.S_IMODE(os.stat(root).st_mode)
    group = 0o070 if given & 0o020 else 0
    return 0o700 | group | (given & stat.S_ISGID)


def sync_file_system(path: str) -> None:
    """All that was written on the file system of ``path`` is on the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(handle) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), path)
    finally:
        os.close(handle)


def builder_name() -> str:
    """``user@host`` of this process."""
    try:
        user = getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = str(os.geteuid())
    return f"{user}@{os.uname().nodename}"


def seconds_of(stages: Mapping[str, float], end: float) -> dict[str, float]:
    """Stage → monotonic time of its beginning, in order, as stage → seconds until the next one or ``end``."""
    times = [*stages.values(), end]
    return {stage: times[index + 1] - times[index] for index, stage in enumerate(stages)}
