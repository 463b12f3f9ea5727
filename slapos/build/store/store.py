"""The store: ``<root>/<part>/<digest>``, each a tree that was made once, is whole, and never changes again.

A part is made in ``<root>/.work`` by one process at a time (a lock per part, in ``<root>/.locks``), gets its record,
becomes read-only, is written to the disk and is then renamed into place: whatever is killed meanwhile, a tree with a
record in its place is whole.  Who uses parts says so in ``<root>/.users`` before (:mod:`slapos.build.store.users`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from slapos.build.store.building import Building, shared_mode
from slapos.build.store.inputs import DIGEST_LENGTH
from slapos.build.store.record import PartRecord, read_part_record
from slapos.model.errors import InputError, MachineError
from slapos.model.text import is_file_name
from slapos.system.files import sync_directory
from slapos.system.locks import locked
from slapos.system.removal import remove_tree

_DIGEST = re.compile(f"[0-9a-f]{{{DIGEST_LENGTH}}}")
_PATIENCE = 6 * 3600.0  # seconds: somebody else may be compiling the same part

LOCKS, WORK, USERS = ".locks", ".work", ".users"


@dataclass(frozen=True)
class StoredPart:
    """A whole part in a store."""

    part: str
    digest: str
    location: str
    record: PartRecord


class Store:
    """Parts below ``roots``; the first root that this process may write to is where new parts go."""

    def __init__(self, roots: tuple[str, ...]) -> None:
        """``roots`` are absolute paths; :class:`InputError` ``invalid-store`` for others, or for none."""
        self.roots = tuple(dict.fromkeys(os.path.normpath(root) for root in roots))
        if not self.roots or not all(map(os.path.isabs, self.roots)):
            raise InputError(
                f"A store is an absolute path, not {' '.join(roots)!r}.",
                reference="invalid-store",
                context={"roots": list(roots)},
            )
        self._writable: str | None = None

    @property
    def root(self) -> str:
        """Where new parts go; :class:`MachineError` ``no-writable-store`` when nowhere."""
        if self._writable is None:
            self._writable = next(filter(_can_write, self.roots), None)
        if self._writable is None:
            raise MachineError(
                f"None of the stores {', '.join(self.roots)} can be written to.",
                reference="no-writable-store",
                context={"roots": list(self.roots)},
                hint="Name a store that belongs to the user that builds.",
            )
        return self._writable

    @property
    def is_writable(self) -> bool:
        """Whether this process can add parts."""
        return any(map(_can_write, self.roots))

    def find(self, part: str, digest: str) -> str | None:
        """Where the part lies as a whole, read-only stores first; None when nowhere."""
        for root in self._search_order():
            location = os.path.join(root, part, digest)
            record = read_part_record(location)
            if record is not None and (record.inputs.part, record.inputs.digest) == (part, digest):
                return location
        return None

    def location(self, part: str, digest: str) -> str:
        """Where the part lies, or will lie when it is built here."""
        found = self.find(part, digest)
        if found is not None:
            return found
        return os.path.join(self._first_root(), checked_name(part), checked_digest(digest))

    def record(self, part: str, digest: str) -> PartRecord | None:
        """What the part says of itself; None when the store does not have it."""
        location = self.find(part, digest)
        return read_part_record(location) if location else None

    def parts(self) -> Iterator[StoredPart]:
        """All whole parts, by root, name and digest."""
        for root in self.roots:
            for part in _names(root):
                for digest in _names(os.path.join(root, part)):
                    location = os.path.join(root, part, digest)
                    record = read_part_record(location)
                    if record is not None and record.name == f"{part}/{digest}":
                        yield StoredPart(part, digest, location, record)

    def prepare(self, mode: int = 0o755) -> None:
        """The root for new parts exists with its own directories."""
        root = self.root
        os.makedirs(root, mode, exist_ok=True)
        inner = shared_mode(root)
        for name in (LOCKS, WORK, USERS):
            path = os.path.join(root, name)
            if not os.path.isdir(path):
                os.makedirs(path, exist_ok=True)
                os.chmod(path, inner)

    @contextmanager
    def building(self, part: str, digest: str, patience: float = _PATIENCE) -> Iterator[Building | None]:
        """Alone with one part, also among users: None when it is there by now, else what it is to be built with.

        The block makes the tree ``building.tree`` (or ``building.location`` itself) and calls ``building.finish``; a
        block that ends without it leaves nothing.
        """
        self.prepare()
        root = self.root
        location = os.path.join(root, checked_name(part), checked_digest(digest))
        with self.lock(f"{part}-{digest}", patience, f"The part {part}"):
            if self.find(part, digest) is not None:
                yield None
                return
            building = Building(root=root, roots=self.roots, part=part, digest=digest, location=location)
            building.begin()
            try:
                yield building
            finally:
                building.end()

    @contextmanager
    def lock(self, name: str, patience: float = 0.0, what: str = "") -> Iterator[None]:
        """The lock ``name`` of the root for new parts; ``Conflict`` ``locked`` after ``patience`` seconds."""
        root = self.root
        path = os.path.join(root, LOCKS, f"{name}.lock")
        with locked(path, patience, what or name, mode=shared_mode(root) & 0o660):
            yield

    def remove(self, part: str, digest: str) -> bool:
        """Take a part out of the root for new parts; whether it was there.  Nobody ever sees half of it."""
        location = os.path.join(self.root, checked_name(part), checked_digest(digest))
        with self.lock(f"{part}-{digest}", what=f"The part {part}"):
            if not os.path.lexists(location):
                return False
            aside = os.path.join(self.root, WORK, f"{part}-{digest}.removed")
            remove_tree(aside)
            os.chmod(location, 0o755)  # a directory that changes its parent must be writable
            os.rename(location, aside)
            for directory in (os.path.dirname(location), os.path.dirname(aside)):
                sync_directory(directory)  # before anything of it goes, also when the power fails
        remove_tree(aside)
        return True

    def _search_order(self) -> tuple[str, ...]:
        return tuple(sorted(self.roots, key=_can_write))

    def _first_root(self) -> str:
        """Also for who only looks."""
        return self.root if self.is_writable else self.roots[0]


def checked_name(part: str) -> str:
    """``part`` when a store can hold it; :class:`InputError` ``invalid-part-name`` otherwise."""
    if not is_file_name(part):
        raise InputError(
            f"{part[:100]!r} cannot be the name of a stored part.",
            reference="invalid-part-name",
            context={"part": part[:200]},
            hint="Names have letters, digits, '.', '_' and '-', and do not begin with '.' or '-'.",
        )
    return part


def checked_digest(digest: str) -> str:
    """``digest`` when it is one; :class:`InputError` ``invalid-digest`` otherwise."""
    if not _DIGEST.fullmatch(digest):
        raise InputError(
            f"{digest[:100]!r} is no digest of a stored part.",
            reference="invalid-digest",
            context={"digest": digest[:200]},
            hint=f"It has {DIGEST_LENGTH} hexadecimal digits.",
        )
    return digest


def _can_write(root: str) -> bool:
    """Whether this process may make parts there, or make the directory itself."""
    path = root
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK)


def _names(directory: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(directory) if not name.startswith("."))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
