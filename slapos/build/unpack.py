"""Unpacks archives that come from elsewhere: nothing is written, and no link leads, out of the directory."""

from __future__ import annotations

import contextlib
import os
import posixpath
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO

from slapos.model.errors import BuildFailed, MachineError
from slapos.system.processes import CLEAN_ENVIRONMENT, Launch, run

SIZE_LIMIT = 50 * 1024**3
_CLASHES = (FileExistsError, IsADirectoryError, NotADirectoryError)  # one name for two things


@dataclass(frozen=True)
class Entry:
    """One member: ``kind`` is ``directory``, ``file``, ``link`` (symbolic) or ``hard``; ``target`` of a link."""

    name: str
    kind: str
    mode: int
    size: int
    mtime: float
    target: str = ""


class _Archive:
    """What :func:`unpack` needs of a format."""

    def entries(self) -> Iterator[tuple[Entry, object]]:
        raise NotImplementedError

    def open(self, member: object) -> IO[bytes]:
        raise NotImplementedError


class _Tar(_Archive):
    def __init__(self, tar: tarfile.TarFile) -> None:
        self.tar = tar

    def entries(self) -> Iterator[tuple[Entry, object]]:
        for member in self.tar:
            yield Entry(member.name, _tar_kind(member), member.mode, member.size, member.mtime, member.linkname), member

    def open(self, member: object) -> IO[bytes]:
        assert isinstance(member, tarfile.TarInfo)
        stream = self.tar.extractfile(member)
        assert stream is not None
        return stream


class _Zip(_Archive):
    def __init__(self, file: zipfile.ZipFile) -> None:
        self.zip = file

    def entries(self) -> Iterator[tuple[Entry, object]]:
        for member in self.zip.infolist():
            mode = member.external_attr >> 16
            kind = "directory" if member.is_dir() else "link" if stat.S_ISLNK(mode) else "file"
            target = self.zip.read(member).decode("utf-8", "surrogateescape") if kind == "link" else ""
            yield Entry(member.filename, kind, stat.S_IMODE(mode) or 0o644, member.file_size, 0, target), member

    def open(self, member: object) -> IO[bytes]:
        assert isinstance(member, zipfile.ZipInfo)
        return self.zip.open(member)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[_Archive]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            yield _Zip(file)
    else:
        with tarfile.open(path, "r:*") as tar:
            yield _Tar(tar)


def unpack(
    path: str, directory: str, *, strip: bool | None = None, limit: int = SIZE_LIMIT, rooted: bool = False
) -> None:
    """Unpack a tar (plain, gz, bz2, xz) or zip file into the new directory ``directory``.

    ``strip``: leave out the single top-level directory; None does so when there is one.  ``rooted``: an absolute link
    means the root of the archive, and becomes a relative one; else it is refused.  Owners and special modes are
    not taken over, times are.  ``BuildFailed`` ``unsafe-archive`` or ``damaged-archive``, with ``directory`` removed.
    """
    os.makedirs(directory)
    try:
        with _opened(path) as archive:
            _Unpacking(path, archive, directory, limit, rooted).unpack()
        _strip(path, directory, strip)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, *_CLASHES) as error:
        shutil.rmtree(directory, ignore_errors=True)
        raise BuildFailed(
            f"{path} cannot be unpacked: {error}.", reference="damaged-archive", context={"path": path}
        ) from error
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise


class _Unpacking:
    def __init__(self, path: str, archive: _Archive, directory: str, limit: int, rooted: bool) -> None:
        self.path = path
        self.directory = os.path.realpath(directory)
        self.archive = archive
        self.rest = limit
        self.rooted = rooted
        self.links: list[tuple[str, str]] = []
        self.times: list[tuple[str, float]] = []

    def unpack(self) -> None:
        """Files first, symbolic links last: nothing is ever written through a link."""
        for entry, member in self.archive.entries():
            place = self._place(entry.name)
            if place != self.directory:
                self._one(entry, member, place)
        for place, target in self.links:
            _clear(place)
            os.symlink(target, place)
        for place, target in self.links:
            if not self._is_inside(os.path.realpath(place)):
                raise self._unsafe(os.path.relpath(place, self.directory), f"is a link to {target}")
        for place, mtime in reversed(self.times):
            os.utime(place, (mtime, mtime))

    def _one(self, entry: Entry, member: object, place: str) -> None:
        if entry.kind == "directory":
            os.makedirs(place, exist_ok=True)
        elif entry.kind == "link":
            os.makedirs(os.path.dirname(place), exist_ok=True)
            self.links.append((place, self._target(entry)))
            return
        elif entry.kind == "hard":
            source = self._place(entry.target)
            if not os.path.isfile(source):
                raise self._unsafe(entry.name, f"is a hard link to {entry.target}, which the archive does not hold")
            os.makedirs(os.path.dirname(place), exist_ok=True)
            _clear(place)
            os.link(source, place)
        elif entry.kind == "file":
            self._write(entry, member, place)
        else:
            raise self._unsafe(entry.name, "is neither a file, nor a directory, nor a link")
        self.times.append((place, entry.mtime))

    def _write(self, entry: Entry, member: object, place: str) -> None:
        self.rest -= entry.size
        if self.rest < 0:
            raise self._unsafe(entry.name, "exceeds the limit of unpacked bytes")
        os.makedirs(os.path.dirname(place), exist_ok=True)
        _clear(place)
        with self.archive.open(member) as source, open(place, "xb") as target:
            shutil.copyfileobj(source, target, 1024 * 1024)
        os.chmod(place, (entry.mode & 0o755) | 0o600)

    def _target(self, entry: Entry) -> str:
        if self.rooted and entry.target.startswith("/"):
            here = posixpath.normpath(posixpath.join("/", posixpath.dirname(entry.name)))
            return posixpath.relpath(posixpath.normpath(entry.target), here)
        inside = posixpath.normpath(posixpath.join(posixpath.dirname(entry.name), entry.target))
        if entry.target.startswith("/") or inside == ".." or inside.startswith("../"):
            raise self._unsafe(entry.name, f"is a link to {entry.target}")
        return entry.target

    def _place(self, name: str) -> str:
        if name.startswith("/") or ".." in name.split("/") or "\0" in name:
            raise self._unsafe(name, "lies outside")
        return os.path.normpath(os.path.join(self.directory, name))

    def _is_inside(self, path: str) -> bool:
        return path == self.directory or path.startswith(f"{self.directory}/")

    def _unsafe(self, name: str, why: str) -> BuildFailed:
        return BuildFailed(
            f"{self.path} is not unpacked: its member {name!r} {why}.",
            reference="unsafe-archive",
            context={"path": self.path, "member": name},
        )


def _tar_kind(member: tarfile.TarInfo) -> str:
    if member.isdir():
        return "directory"
    if member.issym():
        return "link"
    if member.islnk():
        return "hard"
    return "file" if member.isreg() else "special"


def _clear(place: str) -> None:
    if os.path.lexists(place):
        os.unlink(place)


def _strip(path: str, directory: str, strip: bool | None) -> None:
    names = os.listdir(directory)
    top = os.path.join(directory, names[0]) if len(names) == 1 else ""
    single = bool(top) and os.path.isdir(top) and not os.path.islink(top)
    if strip is False or (strip is None and not single):
        return
    if not single:
        raise BuildFailed(
            f"{path} has {len(names)} entries at its top, not one directory.",
            reference="damaged-archive",
            context={"path": path, "entries": sorted(names)[:20]},
            hint="Set strip-top-level-dir = false.",
        )
    aside = f"{directory}.top"
    os.rename(top, aside)
    os.rmdir(directory)
    os.rename(aside, directory)


def apply_patches(
    directory: str, patches: Iterable[tuple[str, bytes]], options: list[str], binary: str = "patch"
) -> None:
    """Apply patches (name, content) in order; ``BuildFailed`` ``patch-failed`` with what ``patch`` said."""
    for patch, content in patches:
        launch = Launch(directory=directory, environment=CLEAN_ENVIRONMENT)
        try:
            done = run([binary, "--batch", "--forward", *options], launch=launch, timeout=300, stdin=content)
        except MachineError as error:
            error.hint = f"Install the program {binary}."
            raise
        if done.code != 0:
            raise BuildFailed(
                f"The patch {patch} does not apply: {done.text.strip()[-500:]}",
                reference="patch-failed",
                context={"patch": patch, "tail": done.text.splitlines()[-20:]},
            )
