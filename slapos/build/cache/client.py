"""Takes parts and sources out of binary caches: believed keys only, every byte checked, nothing half-done.

A cache that does not answer, or not with what its keys vouch for, is one more reason to build; it never stops a build.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from threading import get_ident

from slapos.build.cache.addresses import archive_path, manifest_path, signature_path, source_path
from slapos.build.cache.archive import unpack
from slapos.build.cache.manifest import HINT, SIZE_LIMIT, Manifest, read_manifest
from slapos.build.cache.places import Bound, Place, open_place, read_bytes, read_file
from slapos.build.cache.relocate import Relocation, plan_relocation, relocate
from slapos.build.cache.settings import CacheSettings
from slapos.build.fetch.transfer import digest_of
from slapos.build.store.building import Building
from slapos.build.store.content import Content, content_of
from slapos.build.store.record import PartRecord
from slapos.build.store.store import Store
from slapos.model.errors import BuildFailed, HyperopenxError, InputError, NotFound, Unavailable
from slapos.system.disk import require_free_space
from slapos.system.removal import remove_tree

_log = logging.getLogger(__name__)

_SMALL = 60.0  # seconds for a manifest or a signature
_MANIFEST = Bound(SIZE_LIMIT, _SMALL)
_SIGNATURE = Bound(1024, _SMALL)
_SOURCE = Bound(4 * 1024**3)


@dataclass(frozen=True)
class Offer:
    """A part that a cache has: its believed manifest, the ids of those that signed it, and the cache's URL."""

    manifest: Manifest
    signers: tuple[str, ...]
    url: str


class CacheClient:
    """Asks the caches of ``settings`` in their order.

    ``refusals`` are the errors of what was asked and not taken; a part that a cache does not have is none.
    """

    def __init__(self, settings: CacheSettings, *, store: Store | None = None) -> None:
        """:class:`InputError` for a URL or key that is none; :meth:`lookup` leaves out what cannot lie in ``store``."""
        self.settings = settings
        self.store = store
        self.trust = settings.trust
        self.refusals: list[HyperopenxError] = []
        self._places: dict[tuple[int, int, str], Place] = {}
        self._silent: set[str] = set()
        for url in settings.urls:
            self._place(url)

    def lookup(self, part: str, digest: str) -> Offer | None:
        """The first believed manifest of a part; None when no cache has one."""
        for url in self.settings.urls:
            try:
                offer = self._offer(self._place(url), part, digest)
                if self.store is not None:
                    _check_movable(offer.manifest, _planned(offer.manifest, self.store))
            except HyperopenxError as error:
                self._note(url, error)
            else:
                return offer
        return None

    def pull(self, part: str, digest: str, store: Store) -> bool:
        """Bring a part into the store, alone with it among processes; whether the store has it now."""
        with store.building(part, digest) as building:
            if building is None:
                return True
            for url in self.settings.urls:
                try:
                    self._bring(self._offer(self._place(url), part, digest), building, store)
                except HyperopenxError as error:
                    self._note(url, error)
                    _clear(building)
                else:
                    return True
        return False

    def pull_needs(self, part: str, digest: str, store: Store) -> bool:
        """Like :meth:`pull`, with the parts that its files name first; whether the store has it now."""
        if store.find(part, digest) is not None:
            return True
        offer = self.lookup(part, digest)
        if offer is None:
            return False
        needs = [name.partition("/") for name in offer.manifest.references]
        return all(self.pull_needs(name, needed, store) for name, _, needed in needs) and self.pull(part, digest, store)

    def bring_source(self, url: str, digests: Iterable[str], partial: str) -> str | None:
        """Bring a source with one of these sha256 to the file ``partial``; which, or None when no cache has it.

        Where it comes from otherwise (``url``) does not matter.
        """
        for cache in self.settings.urls:
            for digest in digests:
                try:
                    self._bring_source(self._place(cache), digest, partial)
                except HyperopenxError as error:
                    self._note(cache, error)
                else:
                    return digest
        return None

    def _place(self, url: str) -> Place:
        """A connection is shared neither with a forked process nor among threads."""
        key = (os.getpid(), get_ident(), url)
        if key not in self._places:
            self._places[key] = open_place(url)
        return self._places[key]

    def _note(self, url: str, error: HyperopenxError) -> None:
        """A cache that does not answer is not asked again by this client."""
        if isinstance(error, Unavailable):
            self._silent.add(url)
        if not isinstance(error, NotFound):
            self.refusals.append(error)
            _log.warning("%s", error.message)

    def _offer(self, place: Place, part: str, digest: str) -> Offer:
        if place.url in self._silent:
            raise NotFound(f"{place.url} did not answer before.", reference="not-in-cache")
        data = read_bytes(place, manifest_path(part, digest), _MANIFEST)
        signatures = self._signatures(place, part, digest)
        signers = self.trust.check(data, signatures, f"{part}/{digest} in {place.url}")
        return Offer(read_manifest(data, part, digest, place.url), signers, place.url)

    def _signatures(self, place: Place, part: str, digest: str) -> dict[str, bytes]:
        """Those of believed keys; where they are too few also of revoked ones, to say so."""
        found: dict[str, bytes] = {}
        believed = [key.id for key in self.trust.believed]
        for key in (*believed, *sorted(self.trust.revoked)):
            if key not in believed and len(found) >= self.trust.threshold:
                break
            try:
                found[key] = read_bytes(place, signature_path(part, digest, key), _SIGNATURE)
            except NotFound:
                continue
        return found

    def _bring(self, offer: Offer, building: Building, store: Store) -> None:
        manifest = offer.manifest
        parts = _located(manifest, store)
        relocation = plan_relocation(manifest, building.location, parts)
        _check_movable(manifest, relocation)
        require_free_space(building.work, manifest.size + manifest.archive_size)
        archive = os.path.join(building.work, "archive")
        self._fetch_archive(offer, archive)
        remove_tree(building.tree)
        unpack(archive, building.tree, manifest.bounds(offer.url))
        os.unlink(archive)
        content = content_of(building.tree, building.roots)
        _check_content(content, offer)
        relocate(building.tree, manifest, relocation)
        building.stages |= manifest.seconds
        building.sources += manifest.sources
        building.sandbox = manifest.sandbox
        building.origin = PartRecord(
            inputs=manifest.inputs,
            built_at=manifest.built_at,
            builder=manifest.builder,
            fetched=f"{offer.url}, signed by {' '.join(offer.signers)}",
        )
        building.finish(manifest.inputs, None if relocation.moves else content)
        _log.info("%s comes from %s, signed by %s.", manifest.name, offer.url, ", ".join(offer.signers))

    def _fetch_archive(self, offer: Offer, target: str) -> None:
        manifest = offer.manifest
        place = self._place(next(url for url in self.settings.urls if self._place(url).url == offer.url))
        try:
            read_file(place, archive_path(manifest.archive), target, Bound(manifest.archive_size))
        except NotFound:
            raise _wrong_archive(offer, "is not there") from None
        except InputError:
            raise _wrong_archive(offer, "has more bytes than its manifest says") from None
        if os.path.getsize(target) != manifest.archive_size or digest_of(target) != manifest.archive:
            raise _wrong_archive(offer, "has other bytes than its manifest says")

    def _bring_source(self, place: Place, digest: str, partial: str) -> None:
        if place.url in self._silent:
            raise NotFound(f"{place.url} did not answer before.", reference="not-in-cache")
        temporary = f"{partial}.cached"
        remove_tree(temporary)
        read_file(place, source_path(digest), temporary, _SOURCE)
        if digest_of(temporary) != digest:
            os.unlink(temporary)
            raise BuildFailed(
                f"{place.url} has other bytes than its name says for the source {digest}.",
                reference="wrong-checksum",
                context={"cache": place.url, "expected": digest},
            )
        os.replace(temporary, partial)


def _planned(manifest: Manifest, store: Store) -> Relocation:
    """As if all that it needs were there."""
    names = {name: name.partition("/") for name in manifest.references}
    parts = {name: store.location(part, digest) for name, (part, _, digest) in names.items()}
    return plan_relocation(manifest, store.location(manifest.inputs.part, manifest.inputs.digest), parts)


def _located(manifest: Manifest, store: Store) -> dict[str, str]:
    """Where the parts lie that the files of a part name."""
    found: dict[str, str] = {}
    for name in manifest.references:
        part, _, digest = name.partition("/")
        location = store.find(part, digest)
        if location is None:
            raise BuildFailed(
                f"{manifest.name} needs {name}, which the store does not have.",
                reference="missing-part",
                context={"part": manifest.inputs.part, "needs": name},
                hint="It is pulled or built first when a release is.",
            )
        found[name] = location
    return found


def _check_movable(manifest: Manifest, relocation: Relocation) -> None:
    """Before anything is downloaded for nothing."""
    if relocation.obstacles:
        raise relocation.refused(manifest)


def _check_content(found: Content, offer: Offer) -> None:
    if (found.digest, found.size) != (offer.manifest.content, offer.manifest.size):
        raise _wrong_archive(offer, "does not hold what its manifest says")


def _wrong_archive(offer: Offer, why: str) -> BuildFailed:
    return BuildFailed(
        f"The archive of {offer.manifest.name} in {offer.url} {why}.",
        reference="wrong-archive",
        context={"cache": offer.url, "part": offer.manifest.inputs.part, "digest": offer.manifest.inputs.digest},
        hint=HINT,
    )


def _clear(building: Building) -> None:
    """Nothing of one cache's answer is there when the next one is asked, or the part is built."""
    for name in os.listdir(building.work):
        remove_tree(os.path.join(building.work, name))
    building.stages.clear()
    building.sources.clear()
    building.origin = None
