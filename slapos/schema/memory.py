"""What releases say of their parameters, remembered: reading and compiling schemas for each order takes longer than it.

What was read from files is read again as soon as one of them changes; what came from the network after
:data:`FETCHED_SECONDS`.  That a release cannot be reached is remembered too, for :data:`UNAVAILABLE_SECONDS`, so that a
thousand orders do not each wait for a silent server.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from slapos.model.errors import Unavailable
from slapos.schema.fetch import Fetch
from slapos.schema.release import ReleaseSchema, load

FETCHED_SECONDS = 60.0
UNAVAILABLE_SECONDS = 5.0
LIMIT = 1_000  # releases

Signature = tuple[int, int, int] | None  # of a file: None when it is not there


@dataclass
class _Remembered:
    until: float
    schema: ReleaseSchema | None = None
    error: Unavailable | None = None
    files: dict[str, Signature] = field(default_factory=dict)

    def is_current(self, now: float) -> bool:
        files = list(self.files.items())  # another thread may just follow a reference to one more
        return now < self.until and all(_signature(path) == known for path, known in files)


class SchemaMemory:
    """Thread-safe; at most :data:`LIMIT` releases, the oldest go first."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, _Remembered] = {}

    def of(self, release: str, fetch: Fetch) -> ReleaseSchema:
        """As :func:`slapos.schema.release.load`."""
        found = self._known.get(release)
        if found is None or not found.is_current(self._clock()):
            found = self._load(release, fetch)
        if found.error is not None:
            raise found.error
        assert found.schema is not None
        return found.schema

    def allows_all(self, release: str) -> bool:
        """Whether it is known, without reading anything anew, that the release has no schema."""
        found = self._known.get(release)
        if found is None or found.schema is None or found.schema.types:
            return False
        return found.is_current(self._clock())

    def _load(self, release: str, fetch: Fetch) -> _Remembered:
        found = _Remembered(self._clock() + FETCHED_SECONDS)

        def recording(url: str) -> bytes:
            path = _path_of(url)
            if path is not None:
                found.files[path] = _signature(path)
            return fetch(url)

        try:
            found.schema = load(release, recording)
        except Unavailable as error:
            found.error, found.until = error, self._clock() + UNAVAILABLE_SECONDS
        while len(self._known) >= LIMIT:
            self._known.pop(next(iter(self._known)), None)
        self._known.pop(release, None)
        self._known[release] = found
        return found


def _path_of(url: str) -> str | None:
    if url.startswith("/"):
        return url
    parts = urlsplit(url)
    return unquote(parts.path) if parts.scheme == "file" else None


def _signature(path: str) -> Signature:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
