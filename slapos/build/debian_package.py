"""Unpacks Debian's binary packages: an ``ar`` archive that holds a tar archive of the files.

Source of the format: ``deb(5)``, ``ar(5)``.  Nothing of a package runs: its scripts stay where they are.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import IO

import zstandard

from slapos.build.unpack import unpack
from slapos.model.errors import BuildFailed

_MAGIC = b"!<arch>\n"
_HEADER = 60
_END = b"`\n"


def unpack_package(path: str, directory: str, work: str) -> None:
    """The files of the package ``path`` into the new directory ``directory``; ``work`` has room for one of them.

    An absolute link leads to the same place below ``directory``.  Errors as :func:`slapos.build.unpack.unpack`.
    """
    data = os.path.join(work, "data.tar")
    with open(path, "rb") as stream:
        name = _copy_member(path, stream, data)
    if name.endswith(".zst"):
        os.rename(data, f"{data}.zst")
        with open(f"{data}.zst", "rb") as packed, open(data, "wb") as plain:
            try:
                zstandard.ZstdDecompressor().copy_stream(packed, plain)
            except zstandard.ZstdError as error:
                raise _damaged(path, str(error)) from error
        os.unlink(f"{data}.zst")
    unpack(data, directory, strip=False, rooted=True)
    os.unlink(data)


def _copy_member(path: str, stream: IO[bytes], target: str) -> str:
    """The member ``data.tar`` with any ending to ``target``; its name."""
    if stream.read(len(_MAGIC)) != _MAGIC:
        raise _damaged(path, "it is no package of Debian")
    for name, size in _members(path, stream):
        if name.startswith("data.tar"):
            with open(target, "wb") as copy:
                shutil.copyfileobj(_Part(stream, size), copy, 1024 * 1024)
                if copy.tell() != size:
                    raise _damaged(path, f"it ends within {name}")
            return name
        stream.seek(size + size % 2, os.SEEK_CUR)
    raise _damaged(path, "it holds no data.tar")


def _members(path: str, stream: IO[bytes]) -> Iterator[tuple[str, int]]:
    while header := stream.read(_HEADER):
        size = header[48:58].strip()
        if len(header) < _HEADER or not header.endswith(_END) or not size.isdigit():
            raise _damaged(path, "a header in it is wrong")
        yield header[:16].decode("ascii", "replace").strip().rstrip("/"), int(size)


class _Part:
    """The next ``size`` bytes of a stream."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self.stream = stream
        self.rest = size

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes; none at the end of the part."""
        data = self.stream.read(self.rest if size < 0 else min(size, self.rest))
        self.rest -= len(data)
        return data


def _damaged(path: str, why: str) -> BuildFailed:
    return BuildFailed(f"{path} cannot be unpacked: {why}.", reference="damaged-archive", context={"path": path})


def merge(source: str, target: str) -> None:
    """Move what lies below ``source`` to ``target``; ``BuildFailed`` ``conflicting-files`` where both have a file."""
    os.makedirs(target, exist_ok=True)
    for name in sorted(os.listdir(source)):
        new, old = os.path.join(source, name), os.path.join(target, name)
        if not os.path.lexists(old):
            os.rename(new, old)
        elif os.path.isdir(new) and os.path.isdir(old) and not os.path.islink(new):
            merge(new, old)
        elif not (os.path.islink(new) and os.path.islink(old) and os.readlink(new) == os.readlink(old)):
            raise BuildFailed(
                f"Two packages hold {name}.", reference="conflicting-files", context={"path": old}, hint="Lock one."
            )
