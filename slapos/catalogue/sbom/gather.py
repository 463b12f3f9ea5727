"""Collects what a release was built from: its record, those of its stored parts, and its profiles.

The records say what was used, the profiles where it comes from.  The profiles must be those of the build: a document
that mixes two states of a release would be wrong without saying so.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from slapos.build.fetch.profiles import ProfileReader
from slapos.build.graph import Graph, PartNode
from slapos.build.look import Release
from slapos.build.profile.load import Read
from slapos.build.reading import Wanted, read_graph_apart
from slapos.build.release import ReleaseRecord, is_complete, read_record
from slapos.build.store.record import PartRecord
from slapos.build.store.store import Store
from slapos.build.values import as_text
from slapos.catalogue.header import Header, read_header
from slapos.catalogue.sbom.built import BuiltPart, BuiltRelease, Kind
from slapos.model.errors import Conflict, NotFound


def gather(release: Release, read: Read | None = None) -> BuiltRelease:
    """What ``release`` was built from; ``read`` brings profiles (path or URL).

    ``NotFound`` ``release-not-built`` or ``part-not-in-store``; ``Conflict`` ``profile-changed``; what is wrong with
    the profile.
    """
    read = read or ProfileReader(keep=False)
    record = _record(release)
    texts = _unchanged(record, read)
    overrides = release.overrides if record.stored else {}  # a release without a store keeps all in its directory
    graph = read_graph_apart(Wanted(profile=release.profile, directory=release.directory, overrides=overrides))
    problem = graph.first_error()
    if problem is not None:
        raise problem
    return _Gathering(release, record, graph, texts).release()


def _record(release: Release) -> ReleaseRecord:
    record = read_record(release.directory)
    if record is None or not is_complete(release.directory):
        raise NotFound(
            f"{release.url} is not built in {release.directory}.",
            reference="release-not-built",
            context={"release": release.url, "directory": release.directory},
            hint="It tells what was built: run slapos build first, or name the place with --directory.",
        )
    return record


def _unchanged(record: ReleaseRecord, read: Read) -> dict[str, str]:
    """The texts of the profiles, templates and patches that the release was built with."""
    texts = {}
    for profile in record.profiles:
        data = _bytes(profile.location, read)
        if hashlib.sha256(data).hexdigest() != profile.sha256:
            raise Conflict(
                f"{profile.location} is not what {record.url} was built with.",
                reference="profile-changed",
                context={"profile": profile.location, "release": record.url},
                hint="Build the release again: its bill of materials then tells of what is there.",
            )
        texts[profile.location] = data.decode("utf-8", errors="replace")
    return texts


def _bytes(location: str, read: Read) -> bytes:
    try:
        return read(location)
    except NotFound as error:
        raise Conflict(
            f"{error.message} The release was built with it.",
            reference="profile-changed",
            context=error.context,
            hint=error.hint,
        ) from None


_READ = 1024 * 1024
"""Bytes of a file in which places of parts are looked for."""


@dataclass
class _Gathering:
    """The state of one collection."""

    target: Release
    record: ReleaseRecord
    graph: Graph
    texts: Mapping[str, str]

    def release(self) -> BuiltRelease:
        self.store = Store(self.target.stores)
        self.stored = {part: self._stored(part, digest) for part, digest in self.record.stored.items()}
        self.places = {part: self.store.find(part, digest) or "" for part, digest in self.record.stored.items()}
        self.headers = {location: read_header(text) for location, text in self.texts.items()}
        running = self._running()
        parts = tuple(self._part(node, node.name in running) for node in self.graph.parts)
        toolchain = {tool: version for own in self.stored.values() for tool, version in own.inputs.toolchain.items()}
        return BuiltRelease(
            url=self.target.url,
            built_at=self.record.built_at,
            parts=parts,
            listed=tuple(part for part in self.graph.listed if self.graph.node(part)),
            toolchain=toolchain,
            profiles={profile.location: profile.sha256 for profile in self.record.profiles},
        )

    def _stored(self, part: str, digest: str) -> PartRecord:
        record = self.store.record(part, digest)
        if record is None:
            raise NotFound(
                f"No store has {part}/{digest}, with which {self.target.url} was built.",
                reference="part-not-in-store",
                context={"part": part, "digest": digest, "stores": list(self.store.roots)},
                hint="Name the store with --store, or build the release again.",
            )
        return record

    def _running(self) -> frozenset[str]:
        """The listed parts, and what those name that lie on the disk."""
        found: set[str] = set()
        todo = list(self.graph.listed)
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                todo.extend(self._named(name))
        return frozenset(found)

    def _named(self, name: str) -> Iterable[str]:
        if name in self.stored:
            return _parts(self.stored[name].references)
        node = self.graph.node(name)
        return {*node.needs, *self._written_in(node)} if node else ()

    def _part(self, node: PartNode, runs: bool) -> BuiltPart:
        stored = self.stored.get(node.name)
        location = self._location(node)
        return BuiltPart(
            name=node.name,
            recipe=node.recipe,
            kind=kind_of(location),
            version=self._version(node, stored),
            header=self._header(node),
            sources=node.sources,
            used=stored.sources if stored else (),
            patches=stored.inputs.patches if stored else tuple(self._patches(node)),
            needs=tuple(sorted(self._needs(node) - {node.name})),
            runs=runs,
            digest=stored.inputs.digest if stored else "",
            content=stored.content if stored else "",
            file_sha256=_sha256(location),
            location=location,
        )

    def _location(self, node: PartNode) -> str:
        if node.name in self.places:
            return self.places[node.name]
        given = {**node.options, **node.outputs}
        place = as_text(given.get("location") or given.get("output") or "")
        return os.path.join(self.target.directory, place) if place else ""

    def _version(self, node: PartNode, stored: PartRecord | None) -> str:
        return (stored.inputs.options.get("version") if stored else None) or as_text(node.options.get("version", ""))

    def _patches(self, node: PartNode) -> Iterator[tuple[str, str]]:
        """Of a part that has no record of its own: as the profile names them, with the bytes that the build read."""
        read = {profile.location: profile.sha256 for profile in self.record.profiles}
        for line in as_text(node.options.get("patches", "")).split("\n"):
            place, _, pinned = line.strip().partition("#")
            if place:
                yield posixpath.basename(place), read.get(place) or pinned.removeprefix("sha256=")

    def _header(self, node: PartNode) -> Header:
        """Of the profile that names the part's source; a part that fetches nothing has no licence of its own."""
        origin = node.place_of("sha256") or node.place_of("url") or node.origin
        return self.headers.get(origin.file, Header()) if origin and node.sources else Header()

    def _needs(self, node: PartNode) -> set[str]:
        stored = self.stored.get(node.name)
        named = {*node.needs, *(_parts(stored.needs) if stored else self._written_in(node))}
        return {part for part in named if self.graph.node(part)}

    def _written_in(self, node: PartNode) -> Iterator[str]:
        """Stored parts whose place stands in the file that a part makes, as in a rendered profile of instances."""
        try:
            with open(self._location(node), "rb") as stream:
                data = stream.read(_READ)
        except OSError:  # a directory, or a part that leaves nothing
            return
        yield from (name for name, place in self.places.items() if place and os.fsencode(place) in data)


def kind_of(location: str) -> Kind:
    """``library`` when there are shared ones in its ``lib``, ``application`` for other directories, else ``file``."""
    if not os.path.isdir(location):
        return "file"
    try:
        names = os.listdir(os.path.join(location, "lib"))
    except OSError:
        names = []
    return "library" if any(".so" in name or name.endswith(".a") for name in names) else "application"


def _parts(names: Iterable[str]) -> list[str]:
    """Of ``part/digest``."""
    return [name.partition("/")[0] for name in names]


def _sha256(path: str) -> str:
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:  # a directory, or a part that leaves nothing
        return ""
