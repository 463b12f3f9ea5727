"""Who uses which stored parts: a file per release directory in ``<store>/.users``, written before parts are relied on.

A part that a listed directory uses, directly or through other parts, is never removed; a directory that is gone uses
nothing.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from slapos.build.store.store import USERS, Store
from slapos.system.files import read_json, write_json

_PATIENCE = 600.0  # seconds: somebody removes what is not used


def note_use(store: Store, directory: str, names: Iterable[str], *, only: bool = False) -> None:
    """``directory`` uses the parts ``names`` (``part/digest``), besides those of before, or with ``only`` no others.

    A store that cannot be written to is somebody else's to clean up.
    """
    if not store.is_writable:
        return
    store.prepare()
    path = _path(store, directory)
    with using(store):
        known = set() if only else set(_names(read_json(path)))
        used = sorted(known | set(names))
        if used != _names(read_json(path)):
            write_json(path, {"directory": directory, "parts": used})


def used_parts(store: Store) -> dict[str, tuple[str, ...]]:
    """Each directory that exists → the parts that it uses."""
    notes = {user: tuple(_names(noted)) for _, noted, user in _notes(store)}
    return {user: names for user, names in notes.items() if not _is_gone(user)}


def forget_gone(store: Store) -> None:
    """Remove the notes about directories that are gone."""
    for path, _, user in _notes(store):
        if _is_gone(user):
            os.unlink(path)


def _is_gone(directory: str) -> bool:
    """Not so while it cannot be seen: it may be somebody else's, who shares the store."""
    try:
        return not stat.S_ISDIR(os.stat(directory).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False


def _notes(store: Store) -> Iterator[tuple[str, object, str]]:
    """Path and content of each note, and the directory that it is about, empty for one that cannot be read."""
    directory = os.path.join(store.root, USERS)
    names = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
    for path in (os.path.join(directory, name) for name in names if name.endswith(".json")):
        noted = read_json(path)
        user = noted.get("directory") if isinstance(noted, dict) else None
        yield path, noted, user if isinstance(user, str) else ""


@contextmanager
def using(store: Store) -> Iterator[None]:
    """Nobody else notes a use, or removes what is not used, meanwhile."""
    with store.lock("users", _PATIENCE, f"The list of users of {store.root}"):
        yield


def _path(store: Store, directory: str) -> str:
    digest = hashlib.sha256(os.path.normpath(directory).encode()).hexdigest()[:32]
    return os.path.join(store.root, USERS, f"{digest}.json")


def _names(noted: object) -> list[str]:
    parts = noted.get("parts") if isinstance(noted, dict) else None
    return [name for name in parts if isinstance(name, str)] if isinstance(parts, list) else []
