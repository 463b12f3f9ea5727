"""Files below a directory that somebody else can write: a partition.

The user of a partition can replace any file or directory of it by a symbolic link at any moment.  Here every
component of a path is opened with ``O_NOFOLLOW`` from its parent's descriptor, so that root never leaves the
directory, reads only regular files of the expected owner, and removes names, never targets.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator

from slapos.model.errors import InputError, MachineError
from slapos.system.files import naming

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LIMIT = 16 * 1024 * 1024


def _parts(relative: str) -> list[str]:
    parts = [part for part in relative.split("/") if part not in {"", "."}]
    if ".." in parts or "\0" in relative or relative.startswith("/"):
        raise InputError(
            f"{relative!r} does not lie below the directory.",
            reference="invalid-path",
            context={"field": "path", "path": relative},
        )
    return parts


def _refused(root: str, relative: str, why: str) -> InputError:
    return InputError(
        f"{os.path.join(root, relative)}: {why}.",
        reference="unsafe-path",
        context={"directory": root, "path": relative, "why": why},
        hint="Replace it by a plain file or directory of the partition's user.",
    )


@contextlib.contextmanager
def directory_below(root: str, relative: str = "") -> Iterator[int]:
    """A descriptor of the directory ``root/relative``; no component below ``root`` may be a symbolic link.

    ``root`` itself lies in a directory of ours and is opened without following a link either.
    :class:`FileNotFoundError` when absent, :class:`InputError` ``unsafe-path`` when a component is something else.
    """
    handle = os.open(root, _DIRECTORY)
    try:
        for part in _parts(relative):
            try:
                inner = os.open(part, _DIRECTORY, dir_fd=handle)
            except NotADirectoryError:
                raise _refused(root, relative, "a component is a link or not a directory") from None
            except OSError as error:
                if error.errno == errno.ELOOP:
                    raise _refused(root, relative, "a component is a link") from None
                raise
            os.close(handle)
            handle = inner
        yield handle
    finally:
        os.close(handle)


def read_below(root: str, relative: str, owners: frozenset[int] | None = None, limit: int = _LIMIT) -> bytes:
    """The content of the regular file ``root/relative``.

    ``owners``: user ids to which it must belong (a hard link to somebody else's file is refused).  Never blocks on a
    FIFO, never reads more than ``limit`` bytes (:class:`InputError` ``too-large``).
    """
    parent, _, name = relative.rpartition("/")
    with directory_below(root, parent) as directory, _open_regular(root, relative, name, directory) as handle:
        facts = os.fstat(handle)
        if owners is not None and facts.st_uid not in owners:
            raise _refused(root, relative, f"it belongs to the user id {facts.st_uid}")
        if facts.st_size > limit:
            raise InputError(
                f"{os.path.join(root, relative)}: {facts.st_size} bytes, more than the limit of {limit}.",
                reference="too-large",
                context={"path": relative, "size": facts.st_size, "limit": limit},
            )
        with os.fdopen(os.dup(handle), "rb") as stream:
            return stream.read(limit)


@contextlib.contextmanager
def _open_regular(root: str, relative: str, name: str, directory: int) -> Iterator[int]:
    _parts(name)
    try:
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:  # a link; a socket
            raise _refused(root, relative, "it is not a regular file") from None
        raise
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise _refused(root, relative, "it is not a regular file")
        yield handle
    finally:
        os.close(handle)


def list_below(root: str, relative: str = "") -> tuple[tuple[str, os.stat_result], ...]:
    """Names in ``root/relative`` with the facts of each (links not followed), sorted; empty when it is absent."""
    try:
        with directory_below(root, relative) as directory:
            found = []
            for name in sorted(os.listdir(directory)):
                with contextlib.suppress(FileNotFoundError):
                    found.append((name, os.stat(name, dir_fd=directory, follow_symlinks=False)))
            return tuple(found)
    except FileNotFoundError:
        return ()


def write_below(
    root: str,
    relative: str,
    data: bytes | str,
    *,
    mode: int = 0o640,
    owner: tuple[int, int] | None = None,
    durable: bool = True,
) -> None:
    """Replace ``root/relative`` atomically; ``owner`` (uid, gid) is given to the new file before it has its name.

    ``durable``: on disk on return.
    """
    parent, _, name = relative.rpartition("/")
    _parts(name)
    temporary = f".{name[:180]}.{secrets.token_hex(4)}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with directory_below(root, parent) as directory:
        handle = os.open(temporary, flags, 0o600, dir_fd=directory)
        try:
            with naming(os.path.join(root, relative)), os.fdopen(handle, "wb") as stream:
                stream.write(data.encode() if isinstance(data, str) else data)
                stream.flush()
                if owner is not None:
                    os.fchown(stream.fileno(), *owner)
                os.fchmod(stream.fileno(), mode)
                if durable:
                    os.fsync(stream.fileno())
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=directory)
            raise
        if durable:
            os.fsync(directory)


def make_directory_below(root: str, relative: str, *, mode: int = 0o750, owner: tuple[int, int] | None = None) -> None:
    """``root/relative`` and its parents below ``root`` exist; new ones get ``mode`` and ``owner`` (uid, gid)."""
    done: list[str] = []
    for part in _parts(relative):
        with directory_below(root, "/".join(done)) as directory:
            try:
                os.mkdir(part, 0o700, dir_fd=directory)
            except FileExistsError:
                pass
            else:
                handle = os.open(part, _DIRECTORY, dir_fd=directory)
                try:
                    if owner is not None:
                        os.fchown(handle, *owner)
                    os.fchmod(handle, mode)
                finally:
                    os.close(handle)
        done.append(part)
    with directory_below(root, relative):
        pass  # an existing last component must be a directory too


def link_below(root: str, relative: str, target: str, owner: tuple[int, int] | None = None) -> None:
    """``root/relative`` is a symbolic link to ``target``, replaced atomically when it is another one."""
    parent, _, name = relative.rpartition("/")
    _parts(name)
    temporary = f".{name[:180]}.{secrets.token_hex(4)}.tmp"
    with directory_below(root, parent) as directory:
        with contextlib.suppress(OSError):
            if os.readlink(name, dir_fd=directory) == target:
                return
        os.symlink(target, temporary, dir_fd=directory)
        if owner is not None:
            os.chown(temporary, *owner, dir_fd=directory, follow_symlinks=False)
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)


def unlink_below(root: str, relative: str) -> bool:
    """Remove the name ``root/relative`` (a file or a link, not a directory); whether it was there."""
    parent, _, name = relative.rpartition("/")
    _parts(name)
    try:
        with directory_below(root, parent) as directory:
            os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return False
    return True


def own_directory(path: str, uid: int, gid: int, mode: int) -> None:
    """The directory ``path`` (itself, not a link's target) belongs to (uid, gid) with exactly ``mode``."""
    handle = os.open(path, _DIRECTORY)
    try:
        facts = os.fstat(handle)
        if (facts.st_uid, facts.st_gid) != (uid, gid):
            os.fchown(handle, uid, gid)
        if stat.S_IMODE(facts.st_mode) != mode:
            os.fchmod(handle, mode)
    finally:
        os.close(handle)


def mount_refused(path: str) -> MachineError:
    """What removal says of a mount point."""
    return MachineError(
        f"{path} is a mount point, its content is not removed.",
        reference="mounted",
        context={"path": path},
        hint=f"umount {path}",
    )
