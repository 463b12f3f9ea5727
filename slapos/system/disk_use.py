"""How much a directory of somebody else takes on the disk, measured with a bound and without following it anywhere."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass

ENTRY_LIMIT = 500_000
_DEPTH_LIMIT = 100
_BLOCK_BYTES = 512  # of st_blocks, whatever the file system: stat(2)
_BATCH = 500
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class DiskUse:
    """Bytes allocated on the disk; not ``complete``: there is more, which was not looked at."""

    size: int
    complete: bool


class _Walk:
    """Depth first; what is open is bounded by the depth."""

    def __init__(self, root: str, entries: int, share: float) -> None:
        self.left = entries
        self.share = share
        self.began = time.monotonic()
        self.complete = True
        self.size = 0
        self.linked: set[int] = set()
        self.handle = os.open(root, _DIRECTORY)
        facts = os.fstat(self.handle)
        self.device = facts.st_dev
        self._count(facts)

    def run(self) -> None:
        """Enter and leave directories until nothing, or no budget, is left."""
        stack = [(self.handle, self._entries(self.handle))]
        try:
            while stack:
                handle, names = stack[-1]
                inner = self._next_directory(handle, names)
                if inner is None:
                    os.close(stack.pop()[0])
                elif len(stack) < _DEPTH_LIMIT:
                    stack.append((inner, self._entries(inner)))
                else:
                    self.complete = False
                    os.close(inner)
        finally:
            for handle, _ in stack:
                os.close(handle)

    def _entries(self, handle: int) -> Iterator[tuple[str, os.stat_result]]:
        with os.scandir(handle) as found:
            for entry in found:
                if self.left <= 0:
                    self.complete = False
                    return
                self.left -= 1
                if self.left % _BATCH == 0:
                    self._rest()
                with contextlib.suppress(FileNotFoundError):
                    yield entry.name, entry.stat(follow_symlinks=False)

    def _rest(self) -> None:
        if self.share < 1.0:
            time.sleep(min(1.0, (time.monotonic() - self.began) * (1 / self.share - 1)))
            self.began = time.monotonic()

    def _next_directory(self, handle: int, names: Iterator[tuple[str, os.stat_result]]) -> int | None:
        for name, facts in names:
            if facts.st_dev != self.device:
                continue  # another file system is no use of this one
            self._count(facts)
            if not stat.S_ISDIR(facts.st_mode):
                continue
            try:
                inner = os.open(name, _DIRECTORY, dir_fd=handle)
            except FileNotFoundError:
                continue
            except OSError:  # replaced meanwhile, or closed to us
                self.complete = False
                continue
            return inner
        return None

    def _count(self, facts: os.stat_result) -> None:
        if facts.st_nlink > 1 and not stat.S_ISDIR(facts.st_mode):
            if facts.st_ino in self.linked:
                return
            self.linked.add(facts.st_ino)
        self.size += facts.st_blocks * _BLOCK_BYTES


def measure_disk(root: str, *, entries: int = ENTRY_LIMIT, share: float = 1.0) -> DiskUse:
    """What ``root`` takes, itself included, hard links once.

    At most ``entries`` names are looked at and no more than 100 levels deep.  ``share`` of one processor that it may
    use: below 1 it sleeps in between.  :class:`OSError` when ``root`` is no directory that we may read.
    """
    walk = _Walk(root, entries, share)
    walk.run()
    return DiskUse(walk.size, walk.complete)
