"""Where a binary cache is kept: a directory, a plain HTTP server, or a storage that speaks S3's protocol.

A place is believed in nothing: how much is read and how long is bounded here, and what was read is checked by others.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol
from urllib.parse import quote, urlsplit

from slapos.build.locations import path_of
from slapos.model.errors import InputError, MachineError, NotFound, Unavailable
from slapos.system.files import naming, sync_directory

_CHUNK = 256 * 1024


@dataclass(frozen=True)
class Bound:
    """``size``: bytes at most; ``seconds`` for all of it; ``stall``: seconds without a byte, also to connect."""

    size: int
    seconds: float = 1800.0
    stall: float = 20.0


@dataclass(frozen=True)
class Item:
    """One thing in a place: its path, bytes, and when it was put there (UTC epoch seconds)."""

    path: str
    size: int
    changed: float


class Place(Protocol):
    """One cache.  Paths are those of :mod:`slapos.build.cache.addresses`."""

    url: str

    def stream(self, path: str, bound: Bound) -> Iterator[bytes]:
        """The bytes; :class:`NotFound` ``not-in-cache``, :class:`Unavailable`, :class:`InputError` ``too-large``."""
        ...

    def put(self, path: str, source: str) -> None:
        """Make the file ``source`` what is there, at once and as a whole."""
        ...

    def items(self) -> Iterator[Item]:
        """All that is there; :class:`InputError` ``no-list`` where the place cannot tell."""
        ...

    def remove(self, path: str) -> None:
        """Nothing is there any more."""
        ...


def open_place(url: str) -> Place:
    """The place of a URL: ``http(s)://…``, ``s3://bucket/prefix?endpoint=https://…&region=…``, ``file://…``, a path.

    :class:`InputError` ``invalid-cache-url`` for another.
    """
    scheme = urlsplit(url).scheme
    if scheme in ("http", "https"):
        from slapos.build.cache.http_place import HttpPlace

        return HttpPlace(url)
    if scheme == "s3":
        from slapos.build.cache.s3_place import S3Place

        return S3Place(url)
    path = path_of(url)
    if scheme in ("", "file") and os.path.isabs(path):
        return DirectoryPlace(path)
    raise InputError(
        f"{url[:200]!r} is no address of a binary cache.",
        reference="invalid-cache-url",
        context={"url": url[:200]},
        hint="It begins with http://, https://, s3:// or file://, or is an absolute path.",
    )


def read_bytes(place: Place, path: str, bound: Bound) -> bytes:
    """All bytes at once."""
    return b"".join(place.stream(path, bound))


def read_file(place: Place, path: str, target: str, bound: Bound) -> None:
    """Bring the bytes to the new file ``target``; nothing is left of it when that fails."""
    try:
        with open(target, "xb") as stream, naming(target):
            for chunk in place.stream(path, bound):
                stream.write(chunk)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(target)
        raise


def bounded(chunks: Iterable[bytes], bound: Bound, deadline: float, url: str, path: str) -> Iterator[bytes]:
    """``chunks`` of ``path`` as they come, within ``bound``; ``deadline`` in monotonic seconds."""
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > bound.size:
            raise too_large(url, path, bound.size)
        if time.monotonic() > deadline:
            raise unavailable(url, f"{path} took longer than {bound.seconds:.0f} s")
        yield chunk


def has(place: Place, path: str) -> bool:
    """Whether something is there, without reading it."""
    stream = place.stream(path, Bound(2**62))
    try:
        next(stream, b"")
    except NotFound:
        return False
    finally:
        with contextlib.suppress(AttributeError):
            stream.close()  # type: ignore[attr-defined]
    return True


class DirectoryPlace:
    """A directory of this machine, or one that it mounts."""

    def __init__(self, directory: str) -> None:
        self.directory = os.path.normpath(directory)
        self.url = f"file://{quote(self.directory)}"

    def stream(self, path: str, bound: Bound) -> Iterator[bytes]:
        """See :class:`Place`."""
        place = os.path.join(self.directory, path)
        try:
            stream = open(place, "rb")  # noqa: SIM115  (closed below)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise absent(self.url, path) from None
        except OSError as error:
            raise unavailable(self.url, f"{path} cannot be read: {error.strerror}") from None
        deadline = time.monotonic() + bound.seconds
        with stream:
            yield from bounded(iter(partial(stream.read, _CHUNK), b""), bound, deadline, self.url, path)

    def put(self, path: str, source: str) -> None:
        """See :class:`Place`."""
        place = os.path.join(self.directory, path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        temporary = os.path.join(os.path.dirname(place), f".{secrets.token_hex(8)}.tmp")
        try:
            with naming(temporary):
                shutil.copyfile(source, temporary)
            handle = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fchmod(handle, 0o644)
                os.fsync(handle)
            finally:
                os.close(handle)
            os.replace(temporary, place)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        sync_directory(os.path.dirname(place))

    def items(self) -> Iterator[Item]:
        """See :class:`Place`; also what interrupted writers left (names that begin with a dot)."""
        for directory, _, names in os.walk(self.directory):
            for name in sorted(names):
                path = os.path.join(directory, name)
                with contextlib.suppress(FileNotFoundError):
                    facts = os.lstat(path)
                    yield Item(os.path.relpath(path, self.directory), facts.st_size, facts.st_mtime)

    def remove(self, path: str) -> None:
        """See :class:`Place`; directories that become empty go too."""
        place = os.path.join(self.directory, path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(place)
        with contextlib.suppress(OSError):
            while (place := os.path.dirname(place)) != self.directory:
                os.rmdir(place)


def absent(url: str, path: str) -> NotFound:
    """A place has nothing under this path."""
    return NotFound(f"{url} does not have {path}.", reference="not-in-cache", context={"cache": url, "path": path})


def unavailable(url: str, why: str) -> Unavailable:
    """A place does not answer, or not what it should."""
    return Unavailable(f"The cache {url}: {why}.", reference="cache-unreachable", context={"cache": url, "why": why})


def too_large(url: str, path: str, limit: int) -> InputError:
    """A place answers with more than was announced or is ever right."""
    return InputError(
        f"{url}: {path} has more than {limit} bytes.",
        reference="too-large",
        context={"cache": url, "path": path, "limit": limit},
    )


def refused_write(url: str, path: str, why: str) -> MachineError:
    """A place does not take what is put there."""
    return MachineError(
        f"{url} does not take {path}: {why}.",
        reference="cache-read-only",
        context={"cache": url, "path": path, "why": why},
        hint="Check that the cache is one that may be written to, and the credentials.",
    )
