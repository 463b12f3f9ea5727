"""Fetched documents on disk: content by digest, and which URL had which digest when.

Two kinds of files in one directory: ``<sha256 of the URL>.url`` (JSON ``{"url", "sha256", "time"}``, UTC epoch
seconds) and ``<sha256 of the content>.data``.  At most ``limit`` files of each kind are kept, the oldest go first.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass


@dataclass(frozen=True)
class Cached:
    """``time``: UTC epoch seconds of the fetch."""

    data: bytes
    time: float


class DocumentCache:
    """Safe to share between processes: each file is complete or absent, and its content is checked when read."""

    def __init__(self, directory: str, *, limit: int = 1000) -> None:
        self.directory = directory
        self.limit = limit

    def find(self, url: str) -> Cached | None:
        """What was fetched from ``url`` last; None when unknown or damaged."""
        try:
            with open(self._pointer(url), encoding="utf-8") as stream:
                entry = json.load(stream)
            with open(self._content(str(entry["sha256"])), "rb") as content:
                data = content.read()
            if entry["url"] != url or hashlib.sha256(data).hexdigest() != entry["sha256"]:
                return None
            return Cached(data, float(entry["time"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def store(self, url: str, data: bytes, now: float) -> None:
        """Remember ``data`` as what ``url`` had at ``now``."""
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        digest = hashlib.sha256(data).hexdigest()
        self._write(self._content(digest), data)
        pointer = json.dumps({"url": url, "sha256": digest, "time": now}, sort_keys=True)
        self._write(self._pointer(url), pointer.encode())
        self._prune(".url")
        self._prune(".data")

    def _pointer(self, url: str) -> str:
        return os.path.join(self.directory, hashlib.sha256(url.encode()).hexdigest() + ".url")

    def _content(self, digest: str) -> str:
        return os.path.join(self.directory, os.path.basename(digest) + ".data")

    def _write(self, path: str, data: bytes) -> None:
        descriptor, temporary = tempfile.mkstemp(dir=self.directory, prefix=".new-")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise

    def _prune(self, suffix: str) -> None:
        with os.scandir(self.directory) as entries:
            files = [(entry.stat().st_mtime, entry.path) for entry in entries if entry.name.endswith(suffix)]
        for _, path in sorted(files)[: max(0, len(files) - self.limit)]:
            try:
                os.unlink(path)
            except FileNotFoundError:
                continue  # another process pruned it
