"""A limit on processes that holds for root too, where this process may make one: the pids controller of cgroups.

Source: ``cgroups(7)``; the kernel's "Process Number Controller".
"""

from __future__ import annotations

import contextlib
import glob
import os
import secrets
import time
from collections.abc import Iterator

_PLACES = ("/sys/fs/cgroup/pids", "/sys/fs/cgroup")
_PREFIX = "hyperopenx-"


@contextlib.contextmanager
def bounded_processes(limit: int) -> Iterator[str]:
    """A group of at most ``limit`` processes and threads while the block runs: the file into which a process writes its
    number to join; empty where none can be made.

    What a killed block left is removed by the next one.
    """
    group = _made(limit)
    try:
        yield os.path.join(group, "cgroup.procs") if group else ""
    finally:
        if group:
            _remove(group)


def _made(limit: int) -> str:
    for place in _PLACES:
        for left in glob.glob(f"{place}/{_PREFIX}*"):
            if not os.path.exists(f"/proc/{left.rpartition(_PREFIX)[2].partition('-')[0]}"):
                _remove(left, 1)
        group = os.path.join(place, f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}")
        try:
            os.mkdir(group)
        except OSError:
            continue
        if _limited(group, limit):
            return group
        os.rmdir(group)
    return ""


def _remove(group: str, times: int = 20) -> None:
    """It is busy as long as the last process of it is on its way out."""
    for _ in range(times):
        with contextlib.suppress(OSError):
            os.rmdir(group)
            return
        time.sleep(0.01)


def _limited(group: str, limit: int) -> bool:
    try:
        with open(os.path.join(group, "pids.max"), "r+", encoding="ascii") as stream:
            stream.write(str(limit))
    except OSError:
        return False
    return True


def joined(group: str, command: list[str]) -> list[str]:
    """The command line that joins the group of :func:`bounded_processes`, if it can, and becomes ``command``."""
    return ["/bin/sh", "-c", '{ echo $$ >"$0"; } 2>/dev/null; exec "$@"', group, *command] if group else command
