"""Refreshes what a profile pins: the version and sha256 of sources, the packages of parts of the recipe ``debian``, the
files beside it that ``venv`` and ``npm`` install from.

What is pinned is never replaced because a server has other bytes today: that needs a new version, or a person who says
so.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from slapos.build.fetch.profiles import ProfileReader
from slapos.build.fetch.transfer import transfer
from slapos.build.profile.load import load
from slapos.catalogue.lint.catalogue import FOLDERS, Profile
from slapos.catalogue.lint.recipes import words_of
from slapos.catalogue.lock import node_packages, wheels
from slapos.catalogue.lock.edit import with_option
from slapos.catalogue.lock.listed import Exact, LockFile, differences, text_at
from slapos.model.errors import Conflict, HyperopenxError, InputError, NotFound, ProfileError, Unavailable
from slapos.system.files import atomic_write

Bring = Callable[[str], str]
"""A URL → the sha256 of what it gives."""
LockPackages = Callable[[Sequence[str]], Sequence[str]]
"""Names of Debian packages → the lines that pin them and what they need."""

_OWN = re.compile(r"\$\{:([-a-zA-Z0-9 ._]+)\}")
_OTHER = re.compile(r"\$\{([-a-zA-Z0-9 ._]+):")
_BASE = "${:_profile_base_location_}"
_FETCHED = ("http:", "https:", "file:", "/")
_DEPTH = 10  # of options that refer to others


class Kind(NamedTuple):
    """A recipe that installs from a file of locked packages: the options that name the file and the program, and what
    refreshes the file."""

    option: str
    tool: str
    refreshed: Callable[[LockFile], tuple[str, Mapping[str, Exact], Mapping[str, Exact]]]


LOCKED: Mapping[str, Kind] = {
    "hyperopenx:venv": Kind("requirements", "python", wheels.refreshed),
    "hyperopenx:npm": Kind("package-lock", "npm", node_packages.refreshed),
}


@dataclass(frozen=True, kw_only=True)
class Wish:
    """``part`` empty for all; ``version`` to go to; ``accept`` other bytes of the same version; ``packages`` to pin
    instead of those that are."""

    part: str = ""
    version: str = ""
    accept: bool = False
    packages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Change:
    """An option of a part that was written anew."""

    part: str
    option: str
    old: str
    new: str


@dataclass
class Locked:
    """What came out: the text of the profile and what changed in it; ``files`` beside it by path, new or changed."""

    path: str
    text: str
    changes: list[Change] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    def set(self, part: str, option: str, old: str, values: Sequence[str]) -> None:
        """Write an option unless it says the same already."""
        if old.split() != " ".join(values).split():
            self.text = with_option(self.text, part, option, values)
            self.changes.append(Change(part, option, old, "\n".join(values)))


def profile_at(path: str) -> str:
    """The profile that a person means: the file, or that of the item whose directory it is."""
    names = (os.path.join(path, name) for name in dict.fromkeys(FOLDERS.values()))
    return os.path.abspath(next(filter(os.path.isfile, names), path))


def refresh(path: str, wish: Wish, *, bring: Bring, lock_packages: LockPackages) -> Locked:
    """The profile at ``path`` with its pins refreshed; nothing is written.

    ``NotFound`` ``part-without-pins``; ``Conflict`` ``source-changed``; ``InputError`` ``version-of-many``,
    ``version-of-packages`` or ``no-packages``; what the network says.
    """
    read = ProfileReader(offline=True)
    text = read(path).decode("utf-8", errors="replace")
    loaded = load(path, read)
    own = [name for name in loaded.sections if loaded.first[name].file == path]
    profile = Profile(path, "", "", text, {name: loaded.sections[name] for name in own}, loaded)
    parts = [name for name in own if _has_pins(profile, name) and wish.part in ("", name)]
    _require_some(path, parts, wish)
    locked = Locked(path, text)
    for part in parts:
        if _is_debian(profile, part):
            _refresh_packages(profile, part, wish, locked, lock_packages)
        elif _recipe(profile, part) in LOCKED:
            _refresh_file(profile, part, wish, locked)
        else:
            _refresh_source(profile, part, wish, locked, bring)
    return locked


def write(locked: Locked) -> None:
    """Replace the profile, with its mode, and what lies beside it."""
    for path, text in {**locked.files, locked.path: locked.text}.items():
        atomic_write(path, text, os.stat(path).st_mode & 0o777 if os.path.exists(path) else 0o644)


def sha256_of(url: str) -> str:
    """A :data:`Bring` that asks the network or the disk."""
    with tempfile.TemporaryDirectory(prefix="hyperopenx-lock-") as directory:
        return transfer(url, os.path.join(directory, "partial"))


def _has_pins(profile: Profile, part: str) -> bool:
    if not profile.value(part, "recipe"):
        return False
    words = words_of(profile.value(part, "recipe")) or frozenset()
    fetches = profile.value(part, "url").startswith(_FETCHED) and "sha256" in words
    locks = _is_debian(profile, part) or _recipe(profile, part) in LOCKED
    return fetches or bool(profile.value(part, "sha256")) or locks


def _recipe(profile: Profile, part: str) -> str:
    return profile.value(part, "recipe").strip()


def _is_debian(profile: Profile, part: str) -> bool:
    return _recipe(profile, part) == "hyperopenx:debian"


def _names(packages: str) -> list[str]:
    return [line.split()[0].partition("=")[0] for line in packages.splitlines() if line.split()]


def _require_some(path: str, parts: Sequence[str], wish: Wish) -> None:
    if not parts:
        what = f"[{wish.part}] of {path} has" if wish.part else f"{path} has no part with"
        raise NotFound(
            f"{what} {'no ' if wish.part else ''}url or packages to pin.",
            reference="part-without-pins",
            context={"profile": path, "part": wish.part},
            hint="A part is refreshed in the profile that writes it, not in one that extends that.",
        )
    if len(parts) > 1 and (wish.version or wish.packages):
        raise InputError(
            f"{path} has several parts, {', '.join(parts)}: of which is that the version?",
            reference="version-of-many",
            context={"profile": path, "parts": list(parts)},
            hint="Name the part.",
        )


def _refresh_packages(profile: Profile, part: str, wish: Wish, locked: Locked, lock_packages: LockPackages) -> None:
    pinned = profile.value(part, "packages")
    names = wish.packages or tuple(_names(pinned))
    if not names:
        raise InputError(
            f"[{part}] of {profile.path} names no package.",
            reference="no-packages",
            context={"part": part, "profile": profile.path},
            hint="Say with --package what it needs; what these need is found.",
        )
    locked.set(part, "packages", pinned, lock_packages(names))


def _refresh_file(profile: Profile, part: str, wish: Wish, locked: Locked) -> None:
    if wish.version:
        raise InputError(
            f"[{part}] has packages, which have versions of their own.",
            reference="version-of-packages",
            context={"part": part, "profile": profile.path},
            hint="Say in the file beside its lock, or with --package, which version of which package.",
        )
    kind = LOCKED[_recipe(profile, part)]
    path = _beside(profile, part, kind.option)
    tool, version = _tool(profile, part, kind.tool)
    lock = LockFile(part, path, text_at(path), wish.packages, accept=wish.accept, tool=tool, python_version=version)
    text, old, new = kind.refreshed(lock)
    if text != lock.text:
        locked.files[path] = text
        told = differences(old, new) or [(os.path.basename(path), "", "the same packages, written anew")]
        locked.changes += [Change(part, name, before, now) for name, before, now in told]


def _beside(profile: Profile, part: str, option: str) -> str:
    """The file on this machine that an option names."""
    text = profile.value(part, option).strip().replace(_BASE, os.path.dirname(profile.path))
    path = _evaluated(profile, part, text, {})
    if not os.path.isabs(path):
        raise InputError(
            f"[{part}] of {profile.path}: {option} names {path[:120]!r}, which is no file beside the profile.",
            reference="not-beside",
            context={"part": part, "profile": profile.path, "option": option},
            hint="Write ${:_profile_base_location_}/<name of the file>.",
        )
    return os.path.normpath(path)


def _tool(profile: Profile, part: str, option: str) -> tuple[str, str]:
    """The program that an option names; of one that another part gives, the version of that part."""
    text = profile.value(part, option).strip()
    other = _OTHER.search(text)
    if other is None:
        return _evaluated(profile, part, text, {}), ""
    return "", ".".join(profile.value(other[1], "version").split(".")[:2])


def _refresh_source(profile: Profile, part: str, wish: Wish, locked: Locked, bring: Bring) -> None:
    version, pinned = profile.value(part, "version"), profile.value(part, "sha256")
    changed = bool(wish.version) and wish.version != version
    given = {"version": wish.version} if wish.version else {}
    places = [profile.value(part, "url"), *profile.value(part, "mirrors").split()]
    got = _first(part, [_evaluated(profile, part, place, given) for place in places], bring)
    if not changed and got in pinned.split():
        return
    if pinned and not changed and not wish.accept:
        raise Conflict(
            f"[{part}] accepts {' or '.join(pinned.split())}, but its source has the sha256 {got} now.",
            reference="source-changed",
            context={"part": part, "accepted": pinned.split(), "got": got},
            hint="Find out why upstream replaced it; then --accept takes the new bytes instead.",
        )
    if changed:
        locked.set(part, "version", version, [wish.version])
    locked.set(part, "sha256", pinned, [got])


def _first(part: str, places: Sequence[str], bring: Bring) -> str:
    """The sha256 of the first place that answers; a place that must be told the digest cannot be asked for it."""
    tried = []
    for place in places:
        if place.startswith("debian:"):
            continue
        try:
            return bring(place)
        except HyperopenxError as error:
            tried.append(error.message)
    raise Unavailable(
        f"The source of [{part}] cannot be had: {' '.join(tried)}",
        reference="source-unreachable",
        context={"part": part, "places": ", ".join(places)},
        hint="A pin is made from upstream's own bytes; what debian: mirrors have is found by its digest.",
    )


def _evaluated(profile: Profile, part: str, text: str, given: dict[str, str]) -> str:
    for _ in range(_DEPTH):
        if not _OWN.search(text):
            break
        text = _OWN.sub(lambda found: given.get(found[1]) or profile.value(part, found[1]), text)
    if "${" in text:
        raise ProfileError(
            f"{profile.path} [{part}]: {text} refers to another section, which is not evaluated here.",
            reference="unknown-address",
            context={"profile": profile.path, "part": part},
        )
    return text
