"""The digest of a tree: of names, modes, links and bytes, whoever owns it and whenever it was made."""

from __future__ import annotations

import hashlib
import mmap
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from slapos.model.errors import BuildFailed

RECORD = ".hyperopenx-part.json"
"""In each stored part; not a part of its content."""

_REFERENCE = rb"/([A-Za-z0-9_][A-Za-z0-9._-]*/[0-9a-f]{32})(?![0-9a-f])"


@dataclass(frozen=True)
class Content:
    """``digest``: sha256 in hex; ``size`` in bytes; ``references``: ``part/digest`` found in files and links."""

    digest: str
    size: int
    references: tuple[str, ...]


def content_of(tree: str, roots: tuple[str, ...] = ()) -> Content:
    """Read a whole tree; ``roots`` are the stores whose paths are looked for.

    ``BuildFailed`` ``unfit-file`` for what is no file, directory or link.
    """
    seeker = Seeker(roots)
    digest = hashlib.sha256()
    size = 0
    for path, facts in walk(tree):
        if path == os.path.join(tree, RECORD):
            continue
        name = os.fsencode(os.path.relpath(path, tree))
        kind, data = _entry(path, facts, seeker)
        digest.update(b"%s %d:%s %s\n" % (kind, len(name), name, data))
        size += facts.st_size if stat.S_ISREG(facts.st_mode) else 0
    return Content(digest.hexdigest(), size, tuple(sorted(seeker.found)))


def content_digest(tree: str) -> str:
    """Only the digest of :func:`content_of`."""
    return content_of(tree).digest


def walk(tree: str) -> Iterator[tuple[str, os.stat_result]]:
    """Each entry below ``tree`` in the order of names, directories before what they hold; also the record."""
    with os.scandir(tree) as entries:
        found = sorted(entries, key=lambda entry: os.fsencode(entry.name))
    for entry in found:
        facts = entry.stat(follow_symlinks=False)
        yield entry.path, facts
        if stat.S_ISDIR(facts.st_mode):
            yield from walk(entry.path)


def _entry(path: str, facts: os.stat_result, seeker: Seeker) -> tuple[bytes, bytes]:
    if stat.S_ISDIR(facts.st_mode):
        return b"d", b""
    if stat.S_ISLNK(facts.st_mode):
        target = os.fsencode(os.readlink(path))
        seeker.look(target)
        return b"l", b"%d:%s" % (len(target), target)
    if stat.S_ISREG(facts.st_mode):
        return (b"x" if facts.st_mode & 0o100 else b"f"), _file(path, facts.st_size, seeker)
    raise BuildFailed(
        f"{path} is no file, directory or link: a stored part holds nothing else.",
        reference="unfit-file",
        context={"path": path},
    )


def _file(path: str, size: int, seeker: Seeker) -> bytes:
    if size == 0:
        return hashlib.sha256().hexdigest().encode()
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        seeker.look(data)
        return hashlib.sha256(data).hexdigest().encode()


class Seeker:
    """Collects in ``found`` the stored parts, ``part/digest``, below ``roots`` that bytes name."""

    def __init__(self, roots: tuple[str, ...]) -> None:
        self.found: set[str] = set()
        names = b"|".join(re.escape(os.fsencode(root)) for root in sorted(roots, key=len, reverse=True))
        self.pattern = re.compile(b"(?:" + names + b")" + _REFERENCE) if roots else None

    def look(self, data: bytes | mmap.mmap) -> None:
        """At these bytes."""
        if self.pattern is not None:
            self.found.update(match.decode() for match in self.pattern.findall(data))
