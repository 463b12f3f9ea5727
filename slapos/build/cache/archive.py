"""A part as one file: tar inside zstd, the same bytes for the same tree.

An archive that comes back holds directories, files and links in the order and with the modes that :func:`pack` writes,
and nothing else; whatever differs is refused before anything of it is used.
"""

from __future__ import annotations

import hashlib
import io
import os
import posixpath
import shutil
import stat
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, cast

import zstandard

from slapos.build.store.building import TIMESTAMP
from slapos.build.store.content import RECORD, walk
from slapos.model.errors import BuildFailed
from slapos.system.removal import remove_tree

_LEVEL = 9
_WINDOW = 128 * 1024**2  # bytes of memory that an archive may ask for
_CHUNK = 1024 * 1024
_DIRECTORY, _PLAIN, _PROGRAM = 0o555, 0o444, 0o555


@dataclass(frozen=True)
class Packed:
    """What :func:`pack` made: sha256 and bytes of the archive, number of its entries."""

    sha256: str
    size: int
    entries: int


def pack(tree: str, target: str, location: str, parts: Iterable[str] = ()) -> Packed:
    """Write the stored part ``tree`` to the new file ``target``, without its record.

    ``location`` is where it lies and ``parts`` where the parts lie to which its links may lead; :class:`BuildFailed`
    ``unfit-link`` for a link that leads elsewhere.
    """
    allowed = (location, *parts)
    entries = 0
    with open(target, "xb") as raw:
        hashed = _Hashing(raw)
        compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
        with (
            compressor.stream_writer(cast(IO[bytes], hashed), closefd=False) as stream,
            tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT, bufsize=_CHUNK) as tar,
        ):
            for path, facts in walk(tree):
                name = os.path.relpath(path, tree)
                if name != RECORD:
                    _add(tar, path, name, facts, (location, allowed))
                    entries += 1
        raw.flush()
    return Packed(hashed.digest.hexdigest(), hashed.size, entries)


def _add(tar: tarfile.TarFile, path: str, name: str, facts: os.stat_result, links: tuple[str, tuple[str, ...]]) -> None:
    member = tarfile.TarInfo(name)
    member.mtime = TIMESTAMP
    if stat.S_ISLNK(facts.st_mode):
        member.type, member.linkname, member.mode = tarfile.SYMTYPE, os.readlink(path), 0o777
        if not leads_inside(name, member.linkname, *links):
            raise BuildFailed(
                f"{path} is a link to {member.linkname}, which is no part of the store: it may be other elsewhere.",
                reference="unfit-link",
                context={"path": path, "target": member.linkname},
                hint="Such a part is built on each node; it cannot be kept in a binary cache.",
            )
        tar.addfile(member)
    elif stat.S_ISDIR(facts.st_mode):
        member.type, member.mode = tarfile.DIRTYPE, _DIRECTORY
        tar.addfile(member)
    else:
        member.size, member.mode = facts.st_size, _PROGRAM if facts.st_mode & 0o100 else _PLAIN
        with open(path, "rb") as stream:
            tar.addfile(member, stream)


def leads_inside(name: str, target: str, location: str, allowed: tuple[str, ...]) -> bool:
    """Whether the link ``name`` of the part at ``location`` leads below one of the paths ``allowed``."""
    end = posixpath.normpath(posixpath.join(location, posixpath.dirname(name), target))
    return any(end == place or end.startswith(f"{place}/") for place in allowed)


class _Hashing(io.RawIOBase):
    """Passes bytes on, counts and digests them."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.digest = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.digest.update(data)
        self.size += len(data)
        return self.stream.write(data)


@dataclass(frozen=True)
class Bounds:
    """What an archive may hold: bytes of files, entries, and where the links of the part at ``location`` may lead:
    below it, or below ``parts``.  ``name`` is how people know the archive."""

    name: str
    size: int
    entries: int
    location: str
    parts: tuple[str, ...] = ()


def unpack(archive: str, directory: str, bounds: Bounds) -> None:
    """Unpack ``archive`` into the new directory ``directory``.

    :class:`BuildFailed` ``unsafe-archive`` or ``damaged-archive``, with nothing left.
    """
    os.mkdir(directory)
    try:
        with _opened(archive) as tar:
            _Unpacking(directory, bounds).unpack(tar)
    except (tarfile.TarError, zstandard.ZstdError, EOFError, ValueError) as error:
        remove_tree(directory)
        raise BuildFailed(
            f"{bounds.name} cannot be unpacked: {error}.", reference="damaged-archive", context={"archive": bounds.name}
        ) from error
    except BaseException:
        remove_tree(directory)
        raise


@contextmanager
def _opened(archive: str) -> Iterator[tarfile.TarFile]:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    with (
        open(archive, "rb") as raw,
        decompressor.stream_reader(raw, read_across_frames=False) as stream,
        tarfile.open(fileobj=stream, mode="r|", bufsize=_CHUNK) as tar,
    ):
        yield tar


class _Unpacking:
    def __init__(self, directory: str, bounds: Bounds) -> None:
        self.directory = os.path.realpath(directory)
        self.bounds = bounds
        self.size = 0
        self.entries = 0
        self.directories = {""}
        self.links: list[tuple[str, str]] = []

    def unpack(self, tar: tarfile.TarFile) -> None:
        """Links last, so that nothing is ever written through one."""
        for member in tar:
            self._check(member)
            path = os.path.join(self.directory, member.name)
            if member.isdir():
                os.mkdir(path)
                self.directories.add(member.name)
            elif member.issym():
                self.links.append((member.name, member.linkname))
            else:
                self._write(tar, member, path)
        for name, target in self.links:
            os.symlink(target, os.path.join(self.directory, name))
        for name, target in self.links:
            if not target.startswith("/") and not self._stays(name, target):
                raise self._unsafe(name, f"is a link to {target}")

    def _check(self, member: tarfile.TarInfo) -> None:
        self._check_name(member.name)
        self.entries += 1
        self.size += member.size
        if self.entries > self.bounds.entries or self.size > self.bounds.size:
            raise self._unsafe(member.name, "is more than the manifest announces")
        if member.issym():
            allowed = (self.bounds.location, *self.bounds.parts)
            if not leads_inside(member.name, member.linkname, self.bounds.location, allowed):
                raise self._unsafe(member.name, f"is a link to {member.linkname}")
        elif member.isdir():
            self._check_mode(member, (_DIRECTORY,))
        elif member.type == tarfile.REGTYPE and not member.issparse():
            self._check_mode(member, (_PLAIN, _PROGRAM))
        else:
            raise self._unsafe(member.name, "is neither a file, nor a directory, nor a symbolic link")

    def _check_name(self, name: str) -> None:
        parent = posixpath.dirname(name)
        if (
            name.startswith("/")
            or posixpath.normpath(name) != name
            or name in ("", ".", "..")
            or name.startswith("../")
        ):
            raise self._unsafe(name, "lies outside")
        if name == RECORD:
            raise self._unsafe(name, "is a record, which only the store itself writes")
        if parent not in self.directories or os.path.lexists(os.path.join(self.directory, name)):
            raise self._unsafe(name, "is not in a directory of the archive, or there twice")

    def _check_mode(self, member: tarfile.TarInfo, modes: tuple[int, ...]) -> None:
        if member.mode not in modes:
            raise self._unsafe(member.name, f"has the mode {member.mode:04o}")

    def _write(self, tar: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        source = tar.extractfile(member)
        assert source is not None
        with source, open(path, "xb") as target:
            shutil.copyfileobj(source, target, _CHUNK)
        os.chmod(path, 0o755 if member.mode == _PROGRAM else 0o644)

    def _stays(self, name: str, target: str) -> bool:
        """Whether a relative link ends inside also where it passes through other links, or in a part it may name."""
        end = os.path.realpath(os.path.join(self.directory, name))
        inside = end == self.directory or end.startswith(f"{self.directory}/")
        named = posixpath.normpath(posixpath.join(self.bounds.location, posixpath.dirname(name), target))
        return inside or any(named.startswith(f"{place}/") for place in self.bounds.parts)

    def _unsafe(self, name: str, why: str) -> BuildFailed:
        return BuildFailed(
            f"{self.bounds.name} is not unpacked: its member {name[:200]!r} {why}.",
            reference="unsafe-archive",
            context={"archive": self.bounds.name, "member": name[:200]},
        )
