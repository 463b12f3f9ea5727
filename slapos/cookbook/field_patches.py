"""Files that field recipes name with their digest, ``<url>#<md5>``: patches and hooks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from slapos.build.recipe import OptionsView, Recipe
from slapos.cookbook.beside import read_beside
from slapos.cookbook.field_sources import checked_md5, located
from slapos.model.errors import HyperopenxError, NotFound


def named_file(options: OptionsView, option: str, text: str) -> tuple[str, str]:
    """Place and md5 (may be empty) of ``<place>#<md5>``."""
    place, _, digest = text.partition("#")
    return located(options, place), checked_md5(options, option, digest)


def file_bytes(recipe: Recipe, option: str, text: str) -> bytes:
    """The bytes of ``<place>#<md5>``; ``ProfileError`` ``missing-patch`` or ``wrong-checksum``."""
    place, digest = named_file(recipe.view, option, text)
    try:
        data = read_beside(recipe, place)
    except NotFound:
        raise recipe.error(option, f"{place} does not exist.", reference="missing-patch") from None
    got = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if digest not in ("", got):
        raise recipe.error(option, f"{place} has the md5 {got}, expected was {digest}.", reference="wrong-checksum")
    return data


def changing_digests(recipe: Recipe, option: str) -> Iterator[str]:
    """Digests of the files whose bytes the profile does not fix; what is missing fails when it is needed."""
    for text in recipe.names(option, ()):
        if not named_file(recipe.view, option, text)[1]:
            try:
                yield hashlib.sha256(file_bytes(recipe, option, text)).hexdigest()
            except HyperopenxError:
                continue
