"""What a cache says of a part.  Its bytes are what builders sign; they are canonical, so there is one way to say it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slapos.build.cache.archive import Bounds
from slapos.build.store.inputs import Inputs, canonical, text, texts
from slapos.model.errors import BuildFailed

FORMAT = 1
SIZE_LIMIT = 4 * 1024**2
HINT = "Nothing of it was kept; the part is built here instead."


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A part in a cache.

    ``content`` is the sha256 of its tree (:mod:`slapos.build.store.content`), ``size`` the bytes and ``entries`` the
    number of what it holds; ``archive`` the sha256 and ``archive_size`` the bytes of its archive; ``location`` where
    it was built, ``references``: ``part/digest`` → where that part lay; ``paths``: file → how it names such places
    (:mod:`slapos.build.cache.paths`); ``sources``, ``built_at``, ``seconds``, ``sandbox``, ``builder``: what the first
    builder told, as in :class:`~slapos.build.store.record.PartRecord`.
    """

    inputs: Inputs
    content: str
    size: int
    entries: int
    archive: str
    archive_size: int
    location: str
    references: Mapping[str, str] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    built_at: float = 0.0
    seconds: Mapping[str, float] = field(default_factory=dict)
    sandbox: str = ""
    builder: str = ""

    @property
    def name(self) -> str:
        """``part/digest``."""
        return f"{self.inputs.part}/{self.inputs.digest}"

    def bounds(self, url: str) -> Bounds:
        """What its archive in the cache ``url`` may hold."""
        name = f"The archive of {self.name} in {url}"
        return Bounds(name, self.size, self.entries, self.location, tuple(self.references.values()))

    @property
    def result(self) -> tuple[object, ...]:
        """What every builder of the part must get, whoever it is."""
        return self.inputs, self.content, self.size, self.entries, dict(self.references), dict(self.paths)

    def as_data(self) -> dict[str, Any]:
        """JSON types."""
        return {
            "format": FORMAT,
            "part": self.inputs.part,
            "digest": self.inputs.digest,
            "inputs": self.inputs.as_data(),
            "content": self.content,
            "size": self.size,
            "entries": self.entries,
            "archive": {"sha256": self.archive, "size": self.archive_size},
            "location": self.location,
            "references": dict(self.references),
            "paths": dict(self.paths),
            "built": {
                "at": self.built_at,
                "seconds": dict(self.seconds),
                "sandbox": self.sandbox,
                "builder": self.builder,
                "sources": list(self.sources),
            },
        }

    @property
    def data(self) -> bytes:
        """The bytes that are signed and kept."""
        return canonical(self.as_data())


def read_manifest(data: bytes, part: str, digest: str, where: str) -> Manifest:
    """The manifest in ``data``, which must be that of this part, in its one form.

    :class:`BuildFailed` ``invalid-manifest`` or ``other-part``; ``where`` names the cache.
    """
    try:
        found = json.loads(data)
        manifest = _from_data(found)
        named = (found["part"], found["digest"])
        written = manifest.data
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _invalid(where, part, digest, f"{type(error).__name__}: {error}"[:200]) from None
    if (part, digest) != named or (part, digest) != (manifest.inputs.part, manifest.inputs.digest):
        raise BuildFailed(
            f"{where} answered with another part than {part}/{digest}: {'/'.join(map(str, named))}"
            f" with the inputs of {manifest.name}.",
            reference="other-part",
            context={"cache": where, "part": part, "digest": digest},
            hint=HINT,
        )
    if written != data:
        raise _invalid(where, part, digest, "it is not written in the one way that there is")
    return manifest


def _from_data(data: Mapping[str, Any]) -> Manifest:
    if data["format"] != FORMAT:
        raise ValueError(f"format {data['format']!r} is not {FORMAT}")
    archive, built = data["archive"], data["built"]
    return Manifest(
        inputs=Inputs.from_data(data["inputs"]),
        content=text(data["content"]),
        size=_amount(data["size"]),
        entries=_amount(data["entries"]),
        archive=text(archive["sha256"]),
        archive_size=_amount(archive["size"]),
        location=text(data["location"]),
        references=texts(data["references"]),
        paths=texts(data["paths"]),
        sources=tuple(map(text, built["sources"])),
        built_at=float(built["at"]),
        seconds={text(stage): float(seconds) for stage, seconds in built["seconds"].items()},
        sandbox=text(built["sandbox"]),
        builder=text(built["builder"]),
    )


def _amount(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no amount")
    return value


def _invalid(where: str, part: str, digest: str, why: str) -> BuildFailed:
    return BuildFailed(
        f"{where} has a manifest of {part}/{digest} that is none: {why}.",
        reference="invalid-manifest",
        context={"cache": where, "part": part, "digest": digest},
        hint=HINT,
    )
