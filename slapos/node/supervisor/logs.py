"""Logs of services: files in directories of the node, written by the services themselves.

A service writes straight into its file (no pipe: it must survive the supervisor's death), so rotation copies the end
of the file away and empties it; every writer appends.  The supervisor may be root and the file belongs to the
partition's user, so the directory must be ours alone and no link is followed.
"""

from __future__ import annotations

import contextlib
import os
import stat

from slapos.model.errors import MachineError

MAX_BYTES = 5 * 1024 * 1024
BACKUPS = 2
_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def open_log(path: str, owner: tuple[int, int] | None = None) -> int:
    """A descriptor that appends to ``path``, made for ``owner`` (uid, gid) when absent; empty: ``/dev/null``.

    :class:`MachineError` ``unsafe-log`` when its directory could be changed by others, or it is no regular file.
    """
    if not path:
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _check_directory(path, os.fstat(directory))
        handle = _open_file(path, directory)
        try:
            if owner is not None and os.fstat(handle).st_uid != owner[0]:
                os.fchown(handle, *owner)
        except BaseException:
            os.close(handle)
            raise
        return handle
    finally:
        os.close(directory)


def _open_file(path: str, directory: int) -> int:
    name = os.path.basename(path)
    try:
        handle = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _SAFE, 0o640, dir_fd=directory)
    except OSError as error:
        raise _unsafe(path, error.strerror or "cannot be opened") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise _unsafe(path, "not a regular file")
    os.set_blocking(handle, True)
    return handle


def _check_directory(path: str, facts: os.stat_result) -> None:
    if facts.st_uid not in {0, os.geteuid()} or facts.st_mode & 0o022:
        raise _unsafe(path, "others may write to its directory")


def _unsafe(path: str, why: str) -> MachineError:
    return MachineError(
        f"The log {path} is not used: {why}.",
        reference="unsafe-log",
        context={"path": path, "why": why},
        hint="Logs of services lie in a directory that belongs to the node and that nobody else can write.",
    )


def rotate_if_large(path: str, max_bytes: int = MAX_BYTES, backups: int = BACKUPS) -> bool:
    """Keep the last ``max_bytes`` as ``<path>.1`` (older ones as ``.2`` …) and empty the file; whether it was done."""
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(facts.st_mode) or facts.st_size <= max_bytes:
        return False
    source = os.open(path, os.O_RDWR | _SAFE)
    try:
        for number in range(backups - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                os.rename(f"{path}.{number}", f"{path}.{number + 1}")
        _copy_end(source, f"{path}.1", max_bytes)
        os.ftruncate(source, 0)
    finally:
        os.close(source)
    return True


def _copy_end(source: int, target: str, size: int) -> None:
    """The kernel copies; what another process appends meanwhile is lost with the truncation, and only that."""
    position = max(0, os.fstat(source).st_size - size)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(target)
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE, 0o640)
    try:
        left = size
        while left > 0 and (done := os.sendfile(handle, source, position, left)) > 0:
            position += done
            left -= done
    finally:
        os.close(handle)
