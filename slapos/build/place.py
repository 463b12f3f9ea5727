"""Puts a finished tree in its place, and repairs what a killed run left there.

A marker beside the place (``.<name>.building``) lies there from before the place is touched until it is whole; the
former tree waits beside it (``.<name>.old``) and comes back when the new one fails.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

from slapos.build.sandbox import Sandbox
from slapos.system.files import atomic_write
from slapos.system.removal import remove_tree


class Place:
    """The directory ``location`` and what belongs to it beside it."""

    def __init__(self, location: str) -> None:
        self.location = os.path.normpath(location)
        parent, name = os.path.split(self.location)
        self.parent = parent
        self.work = os.path.join(parent, f".{name}.build")
        self.old = os.path.join(parent, f".{name}.old")
        self.marker = os.path.join(parent, f".{name}.building")

    @property
    def is_whole(self) -> bool:
        """Whether the tree is there and nothing was interrupted on the way."""
        return os.path.isdir(self.location) and not os.path.exists(self.marker)

    @property
    def owned(self) -> list[str]:
        """What ``install`` returns: the paths that go when the part goes."""
        return [self.location]

    def make(self, produce: Callable[[str], None], keep_work: bool = False) -> None:
        """Let ``produce`` make the tree with an empty work directory; see :meth:`renewed`."""
        with self.renewed(keep_work) as work:
            produce(work)

    @property
    def sandbox(self) -> Sandbox | None:
        """A part of one release alone is built without: its options may name anything of the release."""
        return None

    def environment(self) -> dict[str, str]:
        """What commands get: the environment of the run."""
        return {"LC_ALL": "C.UTF-8", "PATH": os.defpath} | dict(os.environ)

    def now(self, path: str) -> str:
        """Where ``path``, which may lie below the location, is at this moment of making it."""
        return path

    @contextlib.contextmanager
    def renewed(self, keep_work: bool = False) -> Iterator[str]:
        """An empty work directory on the same file system; on success ``location`` is what the block made of it.

        The block calls :meth:`put`, or creates ``location`` itself; on any error the former tree is back.
        """
        os.makedirs(self.parent, exist_ok=True)
        self._repair()
        if os.path.lexists(self.location):
            os.rename(self.location, self.old)
        try:
            atomic_write(self.marker, b"")
            os.makedirs(self.work)
            yield self.work
        except BaseException:
            self._repair()
            raise
        if keep_work:
            self._keep_work()
        remove_tree(self.work)
        os.unlink(self.marker)
        remove_tree(self.old)

    def put(self, tree: str) -> None:
        """Move the directory ``tree`` to ``location``."""
        os.rename(tree, self.location)

    def _repair(self) -> None:
        """Back to the former tree, if there was one, or to nothing."""
        unfinished = os.path.exists(self.marker)
        if os.path.lexists(self.old) and (unfinished or not os.path.lexists(self.location)):
            remove_tree(self.location)
            os.rename(self.old, self.location)
        elif unfinished:
            remove_tree(self.location)
        remove_tree(self.old)
        remove_tree(self.work)
        if unfinished:
            os.unlink(self.marker)

    def _keep_work(self) -> None:
        kept = f"{self.location}__compile__"
        remove_tree(kept)
        os.rename(self.work, kept)
