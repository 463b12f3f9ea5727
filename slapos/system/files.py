"""Files of ours: written so that a reader sees the old or the new content, whatever is killed meanwhile.

For files below a partition, which its user can replace by anything, see :mod:`slapos.system.below`.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from typing import Any

from slapos.model.errors import MachineError


def sync_directory(path: str) -> None:
    """Make the names in a directory durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def atomic_write(path: str, data: bytes | str, mode: int = 0o644, fsync: bool = True) -> None:
    """Replace ``path`` by ``data`` (text as UTF-8) with exactly ``mode``.

    A temporary file beside it is renamed over it; with ``fsync`` both file and directory are on disk on return.
    """
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, f".{name[:180]}.{secrets.token_hex(4)}.tmp")
    with naming(path):
        _replace(path, temporary, data, mode, fsync)
    if fsync:
        sync_directory(directory or ".")


@contextlib.contextmanager
def naming(path: str) -> Iterator[None]:
    """An error of the system that names no file (a write that finds the disk full) names ``path``."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = path
        raise


def _replace(path: str, temporary: str, data: bytes | str, mode: int, fsync: bool) -> None:
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data.encode() if isinstance(data, str) else data)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            if fsync:
                os.fsync(stream.fileno())
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def read_file(path: str, limit: int = -1) -> bytes:
    """The bytes of a file that a person named, at most ``limit``; ``MachineError`` ``file-unreadable`` without it."""
    try:
        with open(path, "rb") as stream:
            return stream.read(limit)
    except OSError as error:
        raise MachineError(
            f"{path} cannot be read: {error.strerror}.",
            reference="file-unreadable",
            context={"path": path},
            hint="Check that the file exists and that this user may read it.",
        ) from error


def write_if_changed(path: str, data: bytes | str, mode: int = 0o644) -> bool:
    """Like :func:`atomic_write`, but leaves a file that has this content and mode alone; whether it was written."""
    wanted = data.encode() if isinstance(data, str) else data
    if is_written(path, wanted, mode):
        return False
    atomic_write(path, wanted, mode)
    return True


def is_written(path: str, data: bytes, mode: int) -> bool:
    """Whether a file has this content and mode."""
    try:
        with open(path, "rb") as stream:
            return stream.read() == data and os.fstat(stream.fileno()).st_mode & 0o7777 == mode
    except FileNotFoundError:
        return False


def write_json(path: str, value: Any, mode: int = 0o644, fsync: bool = True) -> None:
    """``value`` as JSON (indent 2, keys sorted) by :func:`atomic_write`."""
    atomic_write(path, json.dumps(value, indent=2, sort_keys=True) + "\n", mode, fsync)


def read_json(path: str, default: Any = None) -> Any:
    """The value in ``path``; ``default`` when it is absent or not JSON (a file cut short is as good as none)."""
    try:
        with open(path, "rb") as stream:
            return json.loads(stream.read())
    except FileNotFoundError:
        return default
    except ValueError:
        return default


def make_directory(path: str, mode: int = 0o755) -> bool:
    """``path`` exists with ``mode``; whether it was made or changed.  New parents get 0755 whatever the umask."""
    made = not os.path.isdir(path)
    missing = []
    above = os.path.dirname(os.path.abspath(path))
    while not os.path.isdir(above):
        missing.append(above)
        above = os.path.dirname(above)
    for parent in reversed(missing):
        os.makedirs(parent, exist_ok=True)
        os.chmod(parent, 0o755)
    os.makedirs(path, exist_ok=True)
    if os.stat(path).st_mode & 0o7777 != mode:
        os.chmod(path, mode)
        made = True
    return made
