"""Fetches sources as the field names them: right by md5, or by nothing when the profile gives no digest.

The cache holds ``<cache>/md5/<digest>``, and what has no digest as ``<cache>/unchecked/<digest of its URL>``: that one
is fetched again each time, and used as it is only when the run is offline.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

from slapos.build.fetch.transfer import DEFAULT_LIMITS, Limits, transfer
from slapos.model.errors import BuildFailed, HyperopenxError, Unavailable
from slapos.system.locks import locked


@dataclass(frozen=True)
class FieldSource:
    """``md5`` in hex, empty when the profile gives none; ``mirrors`` are tried in order after ``url``."""

    url: str
    md5: str = ""
    mirrors: tuple[str, ...] = ()


class FieldFetcher:
    """Fetches into ``cache`` (a directory, made when first needed)."""

    def __init__(self, *, cache: str, offline: bool = False, limits: Limits = DEFAULT_LIMITS) -> None:
        self.cache = cache
        self.offline = offline
        self.limits = limits

    def fetch(self, source: FieldSource) -> str:
        """The path of a file in the cache; errors as :meth:`slapos.build.fetch.sources.Fetcher.fetch`."""
        path = self._place(source)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with locked(f"{path}.lock", timeout=self.limits.seconds, what=f"The download of {source.url}"):
            if not self._is_there(path, source):
                self._fetch(source, path)
        return path

    def _place(self, source: FieldSource) -> str:
        if source.md5:
            return os.path.join(self.cache, "md5", source.md5)
        return os.path.join(self.cache, "unchecked", hashlib.sha256(source.url.encode()).hexdigest())

    def _is_there(self, path: str, source: FieldSource) -> bool:
        if not os.path.exists(path):
            return False
        return md5_of(path) == source.md5 if source.md5 else self.offline and not _is_local(source.url)

    def _fetch(self, source: FieldSource, path: str) -> None:
        failures: list[HyperopenxError] = []
        for place in (source.url, *source.mirrors):
            try:
                self._bring(place, source, path)
            except HyperopenxError as error:
                failures.append(error)
            else:
                return
        wrong = [error for error in failures if isinstance(error, BuildFailed)]
        if wrong:
            raise wrong[0]
        raise Unavailable(
            f"The source {source.url} cannot be had. {' '.join(error.message for error in failures)}",
            reference="source-unreachable",
            context={"url": source.url, "attempts": [error.message for error in failures]},
            hint="Check the network (proxy variables are honoured), or put the file into the download cache as "
            f"{os.path.relpath(path, self.cache)}.",
        )

    def _bring(self, place: str, source: FieldSource, path: str) -> None:
        if self.offline and not _is_local(place):
            raise Unavailable(f"{place}: not tried, this run is offline.", reference="offline")
        partial = f"{path}.partial"
        if os.path.exists(partial):
            os.unlink(partial)  # without a strong digest, halves of two files would not be noticed
        try:
            transfer(place, partial, self.limits)
            got = md5_of(partial)
            if source.md5 and got != source.md5:
                raise BuildFailed(
                    f"{place} has the md5 {got}, expected was {source.md5}; nothing of it was kept.",
                    reference="wrong-checksum",
                    context={"expected": source.md5, "got": got, "url": place},
                    hint="Was the file replaced upstream?  Check it, and only then change md5sum in the profile.",
                )
            os.chmod(partial, 0o644)
            os.replace(partial, path)
        finally:
            if os.path.exists(partial):
                os.unlink(partial)


def md5_of(path: str) -> str:
    """md5 of a file, in hex."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _is_local(place: str) -> bool:
    return place.startswith(("file:", "/"))
