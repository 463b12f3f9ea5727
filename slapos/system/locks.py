"""Locks between processes: ``flock`` on a file, released by the kernel when its holder dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

from slapos.model.errors import Conflict

_STEP = 0.02


def try_lock(path: str, mode: int = 0o600) -> int | None:
    """A descriptor that holds the lock until it is closed, or None when another process holds it.

    The descriptor is not inherited by an exec'd program.  The file stays: removing it would make two locks.  ``mode``
    is that of a new file, whatever the umask; more than 0600 lets others lock it too.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    if mode != 0o600 and os.fstat(handle).st_uid == os.geteuid():
        os.fchmod(handle, mode)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except BaseException:
        os.close(handle)
        raise
    return handle


@contextlib.contextmanager
def locked(path: str, timeout: float = 0.0, what: str = "", *, mode: int = 0o600) -> Iterator[None]:
    """Hold the lock ``path`` for a block.

    Waits at most ``timeout`` seconds, then raises :class:`Conflict` ``locked``; ``what`` names, for people, what
    is locked; ``mode`` as for :func:`try_lock`.
    """
    deadline = time.monotonic() + timeout
    handle = try_lock(path, mode)
    while handle is None:
        if time.monotonic() >= deadline:
            raise Conflict(
                f"{what or path} is in use by another process.",
                reference="locked",
                context={"lock": path, "waited": timeout},
                hint="Wait for the other process to end, then try again.",
            )
        time.sleep(_STEP)
        handle = try_lock(path, mode)
    try:
        yield
    finally:
        os.close(handle)


def is_locked(path: str) -> bool:
    """Whether a process holds the lock now."""
    if not os.path.exists(path):
        return False
    handle = try_lock(path)
    if handle is None:
        return True
    os.close(handle)
    return False
