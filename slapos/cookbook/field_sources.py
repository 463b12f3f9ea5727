"""What recipes of the field write to name a source: ``url``, ``md5sum``, ``alternate-url``, ``offline``."""

from __future__ import annotations

import os
import re

from slapos.build.fetch.field_sources import FieldFetcher, FieldSource
from slapos.build.locations import is_url
from slapos.build.recipe import OptionsView, Recipe, Source

_MD5 = re.compile("[0-9a-f]{32}")


def field_source(options: OptionsView) -> FieldSource:
    """The options ``url``, ``md5sum`` (may be empty) and ``alternate-url``."""
    return FieldSource(
        url=located(options, options.text("url")),
        md5=checked_md5(options, "md5sum", options.text("md5sum", "")),
        mirrors=tuple(located(options, url) for url in options.names("alternate-url", ())),
    )


def described(source: FieldSource) -> Source:
    """The source as a plan shows it."""
    return Source(source.url, (), source.mirrors)


def checked_md5(options: OptionsView, option: str, text: str) -> str:
    """The digest in small letters; empty stays empty."""
    digest = text.strip().lower()
    if digest and not _MD5.fullmatch(digest):
        raise options.error(option, f"{text[:60]!r} is no md5 of 32 hexadecimal digits.", reference="invalid-option")
    return digest


def located(options: OptionsView, url: str) -> str:
    """A URL as it is, a path absolute: relative ones are below the directory of the profile."""
    url = url.strip()
    return url if is_url(url) else os.path.normpath(os.path.join(options.directory, url))


def fetch(recipe: Recipe, source: FieldSource, offline: bool | None = None) -> str:
    """The path of the file; ``offline`` is that of the run unless given."""
    main = recipe.buildout["buildout"]
    if offline is None:
        given = recipe.text("offline", "")
        offline = recipe.boolean("offline") if given else main.get("offline") in (True, "true")
    cache = str(main.get("download-cache") or os.path.join(recipe.directory, ".download-cache"))
    return FieldFetcher(cache=cache, offline=offline).fetch(source)
