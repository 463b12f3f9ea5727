"""Releases that tests compile: built once per machine, user and clone, and kept for the next test module and run.

They lie below ``$HYPEROPENX_TEST_SOFTWARE_ROOT``, or else in a directory of the user in the system's temporary one.
A copy of the catalogue lies beside them: users of partitions cannot read a clone below somebody's home.  When a
profile, a recipe or the engine changed, the build is continued: the engine does again what changed, and no more.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import slapos.build
from slapos.build.release import forget_completion, is_complete, read_record, release_directory
from slapos.model.errors import MachineError
from slapos.system.files import make_directory, write_if_changed
from slapos.system.locks import locked
from slapos.system.removal import remove_tree
from slapos.system.users import identity

VARIABLE = "HYPEROPENX_TEST_SOFTWARE_ROOT"
CATALOGUE = ("component", "stack", "software")
_CLONE = "clone"
T = TypeVar("T")


@dataclass(frozen=True)
class KeptBuild:
    """The release ``name`` of the catalogue copied to ``directory``; made by :func:`keep_build`."""

    directory: Path
    name: str

    @property
    def release(self) -> str:
        """The path of its profile, which is its URL."""
        return str(self.directory / "catalogue" / "software" / self.name / "software.cfg")

    @property
    def options(self) -> dict[str, str]:
        """For :class:`~slapos.testing.nodes.NodeServer`; the store is ``store`` beside the software root."""
        cache = str(self.directory / "download-cache")
        return {"software_root": str(self.directory / "software"), "download_cache": cache}

    @property
    def built(self) -> str:
        """The directory of the result."""
        return release_directory(self.options["software_root"], self.release)

    def part(self, name: str) -> Path:
        """Where a part of the built release lies: in the store, or else in the release."""
        record = read_record(self.built)
        digest = record.stored.get(name) if record else None
        return Path(self.built, "parts", name) if digest is None else self.directory / "store" / name / digest

    @contextlib.contextmanager
    def held(self, build: Callable[[], T], user: str | None = None) -> Iterator[T]:
        """``build`` is called, alone when there is something to build; nobody else builds until the block ends.

        ``user``: as whom the node of this caller builds.
        """
        handle = os.open(self.directory / f"{self.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH)
            if not self._is_fresh():
                fcntl.flock(handle, fcntl.LOCK_EX)
                self._make_ready(user)
                built = build()
                fcntl.flock(handle, fcntl.LOCK_SH)
            else:
                built = build()
            yield built
        finally:
            os.close(handle)

    @property
    def _made_of(self) -> Path:
        return self.directory / f"{self.name}.digest"

    def _is_fresh(self) -> bool:
        """It counts as built only for the sources that it was built from."""
        digest = self._made_of.read_text() if self._made_of.exists() else ""
        return is_complete(self.built) and digest == _digest(self.directory / "catalogue")

    def _make_ready(self, user: str | None) -> None:
        if not self._is_fresh():  # somebody else may have built it meanwhile
            forget_completion(self.built)
            self._own(user)
            self._made_of.write_text(_digest(self.directory / "catalogue"))

    def _own(self, user: str | None) -> None:
        """What an earlier node's user left must be writable for this one."""
        if user is None or not os.path.isdir(self.built):
            return
        who = identity(user)
        for directory in (self.built, self.options["download_cache"], str(self.directory / "store")):
            for place, folders, files in os.walk(directory):
                for name in (".", *folders, *files):
                    os.chown(os.path.join(place, name), who.uid, who.gid, follow_symlinks=False)


def keep_build(name: str, top: str | os.PathLike[str]) -> KeptBuild:
    """The release ``software/<name>`` of the clone ``top``, its sources copied as they are now."""
    clone, builds = os.path.realpath(top), builds_directory()
    directory = builds / hashlib.sha256(clone.encode()).hexdigest()[:12]
    make_directory(str(directory), 0o755)
    write_if_changed(str(directory / _CLONE), clone)
    _remove_orphans(builds)
    with locked(str(directory / "copying.lock"), 60.0, "The copied catalogue"):
        for folder in CATALOGUE:
            _copy(Path(clone, folder), directory / "catalogue" / folder)
    return KeptBuild(directory, name)


def _remove_orphans(builds: Path) -> None:
    """Builds of clones that are no more."""
    for path in builds.glob(f"*/{_CLONE}"):
        if not os.path.isdir(path.read_text()):
            remove_tree(str(path.parent))


def builds_directory() -> Path:
    """Where builds are kept; :class:`MachineError` ``unsafe-directory`` when somebody else could change them."""
    path = Path(os.environ.get(VARIABLE) or os.path.join(tempfile.gettempdir(), f"hyperopenx-builds-{os.geteuid()}"))
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o755, parents=True)
    facts = path.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
        raise MachineError(
            f"{path} is not used to keep builds: others could change what lies there.",
            reference="unsafe-directory",
            context={"path": str(path)},
            hint=f"Remove it, or name another directory with {VARIABLE}.",
        )
    return path


def _files(directory: Path) -> Iterator[Path]:
    """Below ``directory``, sorted, without what Python leaves."""
    for path in sorted(directory.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


def _copy(source: Path, target: Path) -> None:
    """Make ``target`` like ``source``; files that are the same are left alone."""
    wanted = {path.relative_to(source): path for path in _files(source)}
    for path in list(_files(target)):
        if path.relative_to(target) not in wanted:
            path.unlink()
    for name, path in wanted.items():
        make_directory(str((target / name).parent), 0o755)
        write_if_changed(str(target / name), path.read_bytes(), 0o755 if os.access(path, os.X_OK) else 0o644)


def _digest(catalogue: Path) -> str:
    """Of all that a build is made of but the machine: profiles, recipes, engine."""
    digest = hashlib.sha256()
    engine = Path(slapos.build.__path__[0])
    for directory in (catalogue, engine, engine.parent / "cookbook"):
        for path in _files(directory):
            relative = str(path.relative_to(directory))
            if "/test/" not in relative:
                digest.update(f"{relative}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()
