"""Puts parts and sources into a binary cache, and vouches for them.

Who signs has built: a part that the cache has already is signed only when its archive holds exactly what lies in the
own store.  What others read appears last: archive, signature, then the manifest.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from slapos.build.cache.addresses import archive_path, manifest_path, signature_path, source_path
from slapos.build.cache.archive import Packed, pack, unpack
from slapos.build.cache.manifest import SIZE_LIMIT, Manifest, read_manifest
from slapos.build.cache.paths import named_paths
from slapos.build.cache.places import Bound, Place, has, read_bytes, read_file
from slapos.build.cache.signing import SigningKey, Trust, signature_text
from slapos.build.fetch.transfer import digest_of
from slapos.build.store.content import content_of
from slapos.build.store.store import Store, StoredPart
from slapos.model.errors import BuildFailed, Conflict, NotFound

Outcome = Literal["pushed", "signed", "kept"]
_MANIFEST = Bound(SIZE_LIMIT, 60.0)


@dataclass(frozen=True)
class Pushed:
    """``pushed``: the cache did not have it; ``signed``: it had the same, now also by us; ``kept``: nothing to do."""

    name: str
    outcome: Outcome
    size: int = 0


def push(stored: StoredPart, store: Store, place: Place, key: SigningKey, *, replace: bool = False) -> Pushed:
    """Put a part of ``store`` into a cache, signed.

    :class:`Conflict` ``different-content`` when the cache has another result of the same inputs, unless ``replace``,
    or ``not-built-here``; :class:`BuildFailed` when the part is not what its record says, or cannot be kept in a cache.
    """
    if stored.record.fetched:
        raise Conflict(
            f"{stored.record.name} was not built here, it comes from {stored.record.fetched}.",
            reference="not-built-here",
            context={"part": stored.part, "fetched": stored.record.fetched},
            hint="A signature says that the signer built the part; build it without a cache to sign it.",
        )
    _check_intact(stored)
    known = _known(place, stored)
    with tempfile.TemporaryDirectory(prefix="hyperopenx-push-") as directory:
        if known is not None and not replace:
            _check_same(stored, store, place, known, directory)
            return _sign(place, known, key)
        manifest = _packed(stored, store, os.path.join(directory, "archive"))
        place.put(archive_path(manifest.archive), os.path.join(directory, "archive"))
        _put(place, signature_path(*_key(manifest), key.public.id), signature_text(key.sign(manifest.data)), directory)
        _put(place, manifest_path(*_key(manifest)), manifest.data, directory)
    return Pushed(manifest.name, "pushed", manifest.archive_size)


def sign_built(stored: StoredPart, store: Store, place: Place, key: SigningKey) -> Pushed:
    """Sign what a cache has already, when it is what was built here; :class:`NotFound` when it has nothing."""
    data = read_bytes(place, manifest_path(stored.part, stored.digest), _MANIFEST)
    known = read_manifest(data, stored.part, stored.digest, place.url)
    with tempfile.TemporaryDirectory(prefix="hyperopenx-sign-") as directory:
        _check_same(stored, store, place, known, directory)
    return _sign(place, known, key)


def countersign(part: str, digest: str, place: Place, key: SigningKey, believed: Trust) -> Pushed:
    """Sign what keys that we believe signed before (a new key takes the place of an old one); nothing is built.

    :class:`NotFound` without such an entry, :class:`Refused` ``not-trusted``.
    """
    data = read_bytes(place, manifest_path(part, digest), _MANIFEST)
    signatures = {}
    for known in believed.believed:
        path = signature_path(part, digest, known.id)
        if has(place, path):
            signatures[known.id] = read_bytes(place, path, Bound(1024, 60.0))
    believed.check(data, signatures, f"{part}/{digest} in {place.url}")
    return _sign(place, read_manifest(data, part, digest, place.url), key)


def push_sources(digests: Iterable[str], download_cache: str, place: Place) -> list[Pushed]:
    """Put sources of a download cache into a binary cache, those that it does not have; absent ones are left out."""
    done = []
    for digest in digests:
        path = os.path.join(download_cache, "sha256", digest)
        if not os.path.isfile(path) or digest_of(path) != digest:
            continue
        there = has(place, source_path(digest))
        if not there:
            place.put(source_path(digest), path)
        done.append(Pushed(f"source {digest}", "kept" if there else "pushed", os.path.getsize(path)))
    return done


def manifest_of(stored: StoredPart, store: Store, packed: Packed) -> Manifest:
    """What is said of a part of the store that was packed."""
    record = stored.record
    references = {name: _location(store, name) for name in record.references}
    return Manifest(
        inputs=record.inputs,
        content=record.content,
        size=record.size,
        entries=packed.entries,
        archive=packed.sha256,
        archive_size=packed.size,
        location=stored.location,
        references=references,
        paths=named_paths(stored.location, (stored.location, *references.values())),
        sources=record.sources,
        built_at=record.built_at,
        seconds=record.seconds,
        sandbox=record.sandbox,
        builder=record.builder,
    )


def _packed(stored: StoredPart, store: Store, target: str) -> Manifest:
    references = [_location(store, name) for name in stored.record.references]
    return manifest_of(stored, store, pack(stored.location, target, stored.location, references))


def _location(store: Store, name: str) -> str:
    part, _, digest = name.partition("/")
    found = store.find(part, digest)
    if found is None:
        raise BuildFailed(
            f"The store lacks {name}, which one of its parts names.", reference="missing-part", context={"needs": name}
        )
    return found


def _check_intact(stored: StoredPart) -> None:
    if content_of(stored.location).digest != stored.record.content:
        raise BuildFailed(
            f"{stored.location} is not what was built: its files changed since.",
            reference="changed-part",
            context={"location": stored.location},
            hint="Remove it and build it again; look who can write there.",
        )


def _known(place: Place, stored: StoredPart) -> Manifest | None:
    try:
        data = read_bytes(place, manifest_path(stored.part, stored.digest), _MANIFEST)
    except NotFound:
        return None
    return read_manifest(data, stored.part, stored.digest, place.url)


def _check_same(stored: StoredPart, store: Store, place: Place, known: Manifest, directory: str) -> None:
    """What is to be signed: that the cache's archive holds what was built here, and that all else is true too."""
    ours = manifest_of(stored, store, Packed(known.archive, known.archive_size, known.entries))
    if ours.location != known.location:
        raise Conflict(
            f"{known.name} in {place.url} was built at {known.location}, ours at {ours.location}: paths are part of"
            " what was built, so the two cannot be compared.",
            reference="other-location",
            context={"cache": place.url, "part": stored.part, "there": known.location, "here": ours.location},
            hint="Builders that sign each other's parts have their stores at the same path.",
        )
    if ours.result != known.result:
        raise Conflict(
            f"{place.url} has {known.name} with other content than what was built here.",
            reference="different-content",
            context={"cache": place.url, "part": stored.part, "there": known.content, "here": ours.content},
            hint="`slapos build --check` shows what differs between two builds; --replace puts this one in its place.",
        )
    archive, tree = os.path.join(directory, "archive"), os.path.join(directory, "tree")
    read_file(place, archive_path(known.archive), archive, Bound(known.archive_size))
    if digest_of(archive) == known.archive:
        unpack(archive, tree, known.bounds(place.url))
        if content_of(tree).digest == known.content:
            return
    raise BuildFailed(
        f"The archive of {known.name} in {place.url} does not hold what its manifest says; it is not signed.",
        reference="wrong-archive",
        context={"cache": place.url, "part": stored.part},
        hint="--replace puts the part that was built here in its place.",
    )


def _sign(place: Place, manifest: Manifest, key: SigningKey) -> Pushed:
    path = signature_path(*_key(manifest), key.public.id)
    wanted = signature_text(key.sign(manifest.data))
    if has(place, path) and read_bytes(place, path, Bound(1024, 60.0)) == wanted:
        return Pushed(manifest.name, "kept", manifest.archive_size)
    with tempfile.TemporaryDirectory(prefix="hyperopenx-sign-") as directory:
        _put(place, path, wanted, directory)
    return Pushed(manifest.name, "signed", manifest.archive_size)


def _put(place: Place, path: str, data: bytes, directory: str) -> None:
    source = os.path.join(directory, "small")
    with open(source, "wb") as stream:
        stream.write(data)
    place.put(path, source)


def _key(manifest: Manifest) -> tuple[str, str]:
    return manifest.inputs.part, manifest.inputs.digest
