"""Files that a profile names beside itself: templates and patches, from the disk or over http(s) like the profile.

What is read is noted in the record of the run, so that a release whose templates or patches change is seen.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from slapos.build.fetch.profiles import ProfileReader
from slapos.build.locations import path_of
from slapos.build.profile.buildout import Buildout
from slapos.build.profile.load import joined
from slapos.build.recipe import OptionsView, Recipe, Source
from slapos.cookbook.download import fetcher_of
from slapos.model.errors import HyperopenxError, NotFound

_REMOTE = ("http:", "https:")
_DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Patch:
    """``place`` is an absolute path or a URL; ``sha256`` in hex, empty when the profile gives none."""

    place: str
    sha256: str

    @property
    def is_pinned(self) -> bool:
        """Whether it comes through the download cache, which needs the digest."""
        return bool(self.sha256) and self.place.startswith(_REMOTE)


def read_beside(recipe: Recipe, location: str) -> bytes:
    """The bytes of a path or URL, within the limits of profiles, noted in the record of the run.

    A URL is read once in a run.  Errors as :class:`slapos.build.fetch.profiles.ProfileReader`.
    """
    return read_once(cast("Buildout", recipe.buildout), location)


def read_once(profile: Buildout, location: str) -> bytes:
    """See :func:`read_beside`."""
    if location in profile.fetched:
        return profile.fetched[location]
    data = ProfileReader(offline=profile.offline)(location)
    if location.startswith(_REMOTE):
        profile.fetched[location] = data
    profile.note(path_of(location), data)
    return data


def patches_of(options: OptionsView) -> list[Patch]:
    """The lines ``place``, ``place#<sha256>`` or ``place#sha256=<sha256>`` of the option ``patches``."""
    found = []
    for line in options.lines("patches", ()):
        place, mark, digest = line.partition("#")
        digest = digest.strip().removeprefix("sha256=").lower()
        if mark and not _DIGEST.fullmatch(digest):
            raise options.error(
                "patches",
                f"{line[:120]!r} has no sha256 of 64 hexadecimal digits after #.",
                reference="invalid-option",
            )
        found.append(Patch(joined(options.directory, place.strip()), digest))
    return found


def patch_digests(options: OptionsView, profile: Buildout) -> list[tuple[str, str]]:
    """(name, sha256) of each patch, in order, for ``Recipe.ingredients``; errors as :func:`read_beside`."""
    return [
        (posixpath.basename(patch.place), patch.sha256 or hashlib.sha256(read_once(profile, patch.place)).hexdigest())
        for patch in patches_of(options)
    ]


def patch_bytes(recipe: Recipe, patch: Patch) -> bytes:
    """The patch; ``ProfileError`` ``missing-patch``, or ``wrong-checksum`` when it is not the one meant."""
    if patch.is_pinned:
        path = fetcher_of(recipe.buildout, recipe.directory).fetch(Source(patch.place, (patch.sha256,)))
        return Path(path).read_bytes()
    try:
        data = read_beside(recipe, patch.place)
    except NotFound:
        raise recipe.error("patches", f"{patch.place} does not exist.", reference="missing-patch") from None
    got = hashlib.sha256(data).hexdigest()
    if patch.sha256 not in ("", got):
        raise recipe.error("patches", f"{patch.place} has the sha256 {got}.", reference="wrong-checksum")
    return data


def readable(recipe: Recipe, patches: list[Patch]) -> Iterator[bytes]:
    """Those that can be had now and whose bytes the profile does not fix; what is missing fails when it is needed."""
    for patch in patches:
        if not patch.is_pinned:
            try:
                yield patch_bytes(recipe, patch)
            except HyperopenxError:
                continue
