"""Reads a profile with all that it extends, from files and over http(s), and remembers what was read."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urljoin

from slapos.build.job import Profiled
from slapos.build.locations import is_url
from slapos.build.options import Origin, profile_error
from slapos.build.profile.reader import Section, Sections, Step, final_text, merge, parse
from slapos.model.errors import HyperopenxError, InputError, NotFound, ProfileError, Unavailable

Read = Callable[[str], bytes]

_ALGORITHMS = {"md5": "md5", "md5sum": "md5", "sha256": "sha256", "sha256sum": "sha256"}
_BY_LENGTH = {32: "md5", 64: "sha256"}
_DIGEST = re.compile("[0-9a-f]{32}|[0-9a-f]{64}")


@dataclass
class Loaded:
    """The merged sections, what was read (each once, in order), and the file that first named each section."""

    sections: Sections = field(default_factory=dict)
    profiles: list[Profiled] = field(default_factory=list)
    first: dict[str, Origin] = field(default_factory=dict)


def base_of(location: str) -> str:
    """The directory of a path, or the URL up to its last slash, without the slash."""
    return location.rpartition("/")[0] if is_url(location) else os.path.dirname(location)


def joined(base: str, location: str) -> str:
    """What ``location``, written in a profile whose base is ``base``, names."""
    if is_url(location):
        return location
    if is_url(base):
        return location if os.path.isabs(location) else urljoin(f"{base}/", location)
    return os.path.normpath(os.path.join(base, os.path.expanduser(location)))


def load(location: str, read: Read, settle: Callable[[Section], None] = lambda main: None) -> Loaded:
    """Read ``location`` (absolute path or URL) and, below it, what it extends.

    ``settle`` gets ``[buildout]`` of ``location`` before anything else is read.  :class:`ProfileError` with the place
    of the ``extends`` for a cycle, a file that does not exist, or one that is not the one meant.
    """
    loaded = Loaded()
    _Loader(loaded, read, settle).load(location, [], None)
    return loaded


def pinned(reference: str) -> tuple[str, str, str]:
    """``location#md5=<hex>`` or ``#sha256=<hex>`` → location, algorithm, digest; the last two empty without ``#``."""
    location, _, mark = reference.partition("#")
    name, _, digest = mark.rpartition("=")
    algorithm = _ALGORITHMS.get(name.lower(), "") if name else _BY_LENGTH.get(len(digest), "")
    return location, algorithm, digest.lower()


class _Loader:
    def __init__(self, loaded: Loaded, read: Read, settle: Callable[[Section], None]) -> None:
        self.loaded = loaded
        self.read = read
        self.settle = settle
        self.known: dict[str, Sections] = {}
        self.contents: dict[str, bytes] = {}

    def load(self, location: str, above: list[str], origin: Origin | None) -> None:
        """Merge what ``location`` extends, then itself, into the result."""
        if location in above:
            chain = " extends ".join([*above[above.index(location) :], location])
            raise profile_error(
                f"a profile extends itself: {chain}.",
                section="buildout",
                option="extends",
                origin=origin,
                reference="cycle",
            )
        sections = self._parsed(location, origin)
        if not above:
            self.settle(sections.get("buildout", {}))
        for option in ("extends", "optional-extends"):
            self._extend(sections.get("buildout", {}).get(option), option, location, above)
        own = {name: _without_extends(name, section) for name, section in sections.items()}
        self.loaded.sections = merge(self.loaded.sections, own)
        for name, section in own.items():
            line = min((steps[0].origin.line for steps in section.values() if steps), default=1)
            self.loaded.first.setdefault(name, Origin(location, line))

    def _extend(self, steps: list[Step] | None, option: str, location: str, above: list[str]) -> None:
        if not steps:
            return
        origin = steps[-1].origin
        for reference in final_text(steps).split():
            name, algorithm, digest = pinned(reference)
            target = joined(base_of(location), name)
            if option == "optional-extends" and not is_url(target) and not os.path.exists(target):
                continue
            if digest:
                self._check(target, algorithm, digest, origin)
            self.load(target, [*above, location], origin)

    def _check(self, target: str, algorithm: str, digest: str, origin: Origin) -> None:
        """Whether a profile is the one that is meant."""
        if not algorithm or not _DIGEST.fullmatch(digest):
            sentence = f"{target}: after # stands md5=<32 hexadecimal digits> or sha256=<64>."
            raise _wrong(sentence, origin, "invalid-checksum")
        got = hashlib.new(algorithm, self._bytes(target, origin), usedforsecurity=False).hexdigest()
        if got != digest:
            raise _wrong(f"{target} has the {algorithm} {got}, not {digest}.", origin, "wrong-checksum")

    def _parsed(self, location: str, origin: Origin | None) -> Sections:
        if location not in self.known:
            data = self._bytes(location, origin)
            self.loaded.profiles.append(Profiled(location, hashlib.sha256(data).hexdigest(), len(data)))
            try:
                text = data.decode("utf-8")
            except UnicodeDecodeError as error:
                line = data.count(b"\n", 0, error.start) + 1
                raise profile_error("is not UTF-8 text.", origin=Origin(location, line)) from None
            self.known[location] = parse(text, location)
        return self.known[location]

    def _bytes(self, location: str, origin: Origin | None) -> bytes:
        if location not in self.contents:
            self.contents[location] = self._read(location, origin)
        return self.contents[location]

    def _read(self, location: str, origin: Origin | None) -> bytes:
        try:
            return self.read(location)
        except (InputError, NotFound, Unavailable) as error:
            if origin is None:
                raise
            raise _unreadable(error, origin) from None


def _unreadable(error: HyperopenxError, origin: Origin) -> HyperopenxError:
    """``error`` with the place of the ``extends``; what may work later stays ``Unavailable``."""
    if isinstance(error, Unavailable):
        context = {**error.context, "file": origin.file, "line": origin.line}
        sentence = f"{origin} [buildout] extends: {error.message}"
        return Unavailable(sentence, reference=error.reference, context=context, hint=error.hint)
    return profile_error(
        error.message,
        section="buildout",
        option="extends",
        origin=origin,
        reference=error.reference,
        hint=error.hint,
    )


def _wrong(sentence: str, origin: Origin, reference: str) -> ProfileError:
    return profile_error(sentence, section="buildout", option="extends", origin=origin, reference=reference)


def _without_extends(name: str, section: Section) -> Section:
    if name != "buildout":
        return section
    return {option: steps for option, steps in section.items() if option not in {"extends", "optional-extends"}}
