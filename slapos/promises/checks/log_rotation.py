"""Check that a log rotates: it does not grow without bound, and was rotated not too long ago.

Options: ``log`` (the live file), ``maximum-size`` (bytes, 100 MiB), ``rotated`` (pattern of the rotated files,
optional), ``maximum-age`` (seconds since the newest of them, or since this check first saw the live file when there is
none; 180000: two days and two hours).  An empty log needs no rotation.
"""

from __future__ import annotations

import glob
import os
import time

from slapos.model.text import size_text
from slapos.promises.checks.options import number, text
from slapos.promises.generic import GenericPromise
from slapos.system.files import read_json, write_json

_SIZE = 100 * 1024 * 1024
_AGE = 180000


class RunPromise(GenericPromise):
    """See the module."""

    def sense(self) -> None:
        path = text(self, "log")
        try:
            size = os.stat(path).st_size
        except FileNotFoundError:
            self.logger.info("The log %s does not exist yet", path)
            return
        problem = self._size_problem(path, size) or (self._age_problem(path) if size else "")
        if problem:
            self.logger.error("%s", problem)
        else:
            self.logger.info("The log %s has %s", path, size_text(size))

    def _size_problem(self, path: str, size: int) -> str:
        most = number(self, "maximum-size", _SIZE)
        return f"The log {path} has {size_text(size)}, more than {size_text(most)}" if size > most else ""

    def _age_problem(self, path: str) -> str:
        pattern, most = text(self, "rotated", ""), number(self, "maximum-age", _AGE)
        if not pattern:
            return ""
        times = [os.stat(name).st_mtime for name in glob.glob(pattern) if name != path]
        if not times:
            times = [self._first_seen(path)]
        age = time.time() - max(times)
        return f"The log {path} was not rotated for {age / 3600:.1f} hours" if age > most else ""

    def _first_seen(self, path: str) -> float:
        """When this check first saw this very file: a file system does not tell how old a growing log is."""
        inode, note = os.stat(path).st_ino, os.path.join(self.getLogFolder(), f"{self.getTitle()}.seen.json")
        seen = read_json(note, {})
        if not isinstance(seen, dict) or seen.get("inode") != inode or "since" not in seen:
            seen = {"inode": inode, "since": time.time()}
            write_json(note, seen, fsync=False)
        return float(seen["since"])
