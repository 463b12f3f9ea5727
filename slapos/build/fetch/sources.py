"""Fetches a source: from the cache, the URL, then each mirror; its sha256 decides.

The cache holds files named by digest, ``<cache>/sha256/<digest>``; a partial download lies in ``<cache>/partial`` and
is continued by the next try.  Bytes that are not the right ones are removed at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from slapos.build.fetch.debian import DebianArchive
from slapos.build.fetch.debian_packages import DebianPackages
from slapos.build.fetch.transfer import DEFAULT_LIMITS, Limits, digest_of, transfer
from slapos.build.recipe import Source
from slapos.model.errors import BuildFailed, HyperopenxError, Unavailable
from slapos.system.locks import locked

DEBIAN = "debian:"
"""A file of a source package: ``debian:<package>``, ``debian:<package>/<file>``."""

DEB = "deb:"
"""A binary package: ``deb:<file>``, where it lies in the archive."""


@dataclass(frozen=True)
class Attempt:
    """One place that was tried, and why it did not serve."""

    place: str
    why: str


class SourceCache(Protocol):
    """Where a source may be found before its own address is asked (:mod:`slapos.build.cache.sources`)."""

    def bring_source(self, url: str, digests: Iterable[str], partial: str) -> str | None:
        """Bring it to the file ``partial``; the sha256 that it has, or None."""
        ...


class Fetcher:
    """Fetches sources into ``cache`` (a directory, made when first needed); ``caches`` are asked first."""

    def __init__(
        self,
        *,
        cache: str,
        offline: bool = False,
        limits: Limits = DEFAULT_LIMITS,
        apt_directory: str = "/etc/apt",
        caches: tuple[SourceCache, ...] = (),
    ) -> None:
        self.cache = cache
        self.caches = () if offline else caches
        self.offline = offline
        self.limits = limits
        self.debian = DebianArchive(directory=os.path.join(cache, "apt"), apt_directory=apt_directory)
        self.packages = DebianPackages(directory=os.path.join(cache, "apt-binary"), apt_directory=apt_directory)

    def fetch(self, source: Source) -> str:
        """The path of a file in the cache whose sha256 is one of the accepted ones.

        Raises ``BuildFailed`` ``wrong-checksum`` when a place gave other bytes and none the right ones, else
        ``Unavailable`` ``source-unreachable`` with every place and its reason.
        """
        found = self._cached(source)
        if found is not None:
            return found
        os.makedirs(os.path.join(self.cache, "partial"), exist_ok=True)
        partial = os.path.join(self.cache, "partial", _key(source))
        with locked(f"{partial}.lock", timeout=self.limits.seconds, what=f"The download of {source.url}"):
            try:
                return self._cached(source) or self._fetch(source, partial)
            except OSError:
                with contextlib.suppress(OSError):
                    os.unlink(partial)  # a full disk needs the space
                raise

    def _cached(self, source: Source) -> str | None:
        for digest in source.sha256:
            path = self._place(digest)
            if not os.path.exists(path):
                continue
            if digest_of(path) == digest:
                return path
            os.unlink(path)
        return None

    def _place(self, digest: str) -> str:
        return os.path.join(self.cache, "sha256", digest)

    def _fetch(self, source: Source, partial: str) -> str:
        attempts: list[Attempt] = []
        wrong: BuildFailed | None = None
        for cache in self.caches:
            if cache.bring_source(source.url, source.sha256, partial) is not None:
                got = digest_of(partial)
                if got in source.sha256:
                    return self._kept(partial, got)
                os.unlink(partial)
        for place in (source.url, *source.mirrors):
            try:
                return self._try(source, place, partial)
            except BuildFailed as error:
                wrong = error
                attempts.append(Attempt(place, f"wrong bytes, sha256 {error.context['got']}"))
            except HyperopenxError as error:
                attempts.append(Attempt(place, error.message.removeprefix(f"{place}: ")))
        if wrong is not None:
            wrong.context["attempts"] = [[attempt.place, attempt.why] for attempt in attempts]
            raise wrong
        raise _unreachable(source, attempts)

    def _try(self, source: Source, place: str, partial: str) -> str:
        bring = self._bringer(source, place)
        resumed = os.path.exists(partial)
        got = bring(partial)
        if got not in source.sha256 and resumed and os.path.exists(partial):
            os.unlink(partial)  # the two halves may come from different files
            got = bring(partial)
        if got not in source.sha256:
            os.unlink(partial)
            raise _wrong(source, place, got)
        return self._kept(partial, got)

    def _kept(self, partial: str, got: str) -> str:
        """Put what is right where it is looked for."""
        path = self._place(got)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.chmod(partial, 0o644)
        os.replace(partial, path)
        return path

    def _bringer(self, source: Source, place: str) -> Callable[[str], str]:
        if self.offline and not place.startswith(("file:", "/")):
            raise Unavailable("not tried: this run is offline", reference="offline")
        if place.startswith(DEBIAN):
            package = place.removeprefix(DEBIAN)
            return lambda partial: self.debian.fetch(package, source, partial, self.limits.seconds)
        if place.startswith(DEB):
            file = place.removeprefix(DEB)
            return lambda partial: self.packages.fetch(file, source, partial, self.limits.seconds)
        return lambda partial: transfer(place, partial, self.limits)


def _key(source: Source) -> str:
    return hashlib.sha256("\n".join([source.url, *source.sha256]).encode()).hexdigest()


def _wrong(source: Source, place: str, got: str) -> BuildFailed:
    expected = " or ".join(source.sha256)
    return BuildFailed(
        f"{place} has the sha256 {got}, expected was {expected}; nothing of it was kept.",
        reference="wrong-checksum",
        context={"expected": list(source.sha256), "got": got, "url": place},
        hint="Was the file replaced upstream?  Check it, and only then change sha256 in the profile.",
    )


def _unreachable(source: Source, attempts: list[Attempt]) -> Unavailable:
    tried = " ".join(f"{attempt.place}: {attempt.why.rstrip('.')}." for attempt in attempts)
    return Unavailable(
        f"The source {source.url} cannot be had. {tried}",
        reference="source-unreachable",
        context={"url": source.url, "attempts": [[attempt.place, attempt.why] for attempt in attempts]},
        hint="Check the network (proxy variables are honoured), or put the file into the download cache as "
        f"sha256/{source.sha256[0] if source.sha256 else '<digest>'}.",
    )
