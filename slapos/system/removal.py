"""Removal of a whole tree that somebody else may be changing meanwhile.

Trees are flattened: the directories inside a directory are moved up to the top before it is removed, so that neither
descriptors nor the length of a path bound the depth.  Only names in directories opened without following links are
touched; a mount point is refused, not crossed.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat

from slapos.system.below import mount_refused

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ROUNDS = 100


def remove_tree(path: str, keep_top: bool = False) -> bool:
    """Remove ``path`` (a directory, a file or a link) and all below; with ``keep_top`` the directory itself stays.

    Whether it was there.  :class:`MachineError` ``mounted`` for a mount point inside.
    """
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        return False
    if not stat.S_ISDIR(facts.st_mode):
        os.unlink(path)
        return True
    top = _open_directory(path, None)
    try:
        _empty(path, top)
    finally:
        os.close(top)
    if not keep_top:
        os.rmdir(path)
    return True


def _empty(path: str, top: int) -> None:
    """Until nothing is left; somebody who keeps adding files makes it give up with :class:`OSError`."""
    device = os.fstat(top).st_dev
    for _ in range(_ROUNDS):
        names = os.listdir(top)
        if not names:
            return
        while names:
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    _remove_entry(path, top, name, device)
            names = os.listdir(top)
    os.rmdir(path)


def _remove_entry(path: str, top: int, name: str, device: int) -> None:
    facts = os.stat(name, dir_fd=top, follow_symlinks=False)
    if not stat.S_ISDIR(facts.st_mode):
        os.unlink(name, dir_fd=top)
        return
    if facts.st_dev != device:
        raise mount_refused(os.path.join(path, name))
    handle = _open_directory(name, top)
    try:
        for inner in os.listdir(handle):
            with contextlib.suppress(FileNotFoundError):
                _lift(os.path.join(path, name), handle, inner, top)
    finally:
        os.close(handle)
    with contextlib.suppress(OSError):  # somebody added a file: the next round sees it
        os.rmdir(name, dir_fd=top)


def _lift(path: str, handle: int, name: str, top: int) -> None:
    """Unlink a file, or move a directory up into the directory ``top``."""
    facts = os.stat(name, dir_fd=handle, follow_symlinks=False)
    if not stat.S_ISDIR(facts.st_mode):
        os.unlink(name, dir_fd=handle)
        return
    if facts.st_dev != os.fstat(handle).st_dev:
        raise mount_refused(os.path.join(path, name))
    os.close(_open_directory(name, handle))  # makes it movable: a directory must be writable to change its parent
    os.rename(name, f".remove-{secrets.token_hex(8)}", src_dir_fd=handle, dst_dir_fd=top)


def _open_directory(name: str, parent: int | None) -> int:
    """A descriptor; a directory of ours without permissions gets them first (an ordinary user needs them)."""
    if os.geteuid() != 0:
        place = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=parent)
        try:
            if stat.S_IMODE(os.fstat(place).st_mode) & 0o700 != 0o700:
                os.chmod(f"/proc/self/fd/{place}", 0o700)
        finally:
            os.close(place)
    return os.open(name, _DIRECTORY, dir_fd=parent)
