"""The caches that a run names for its sources; their libraries are loaded for who names one only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slapos.build.fetch.sources import SourceCache


def source_caches(options: Mapping[str, object]) -> tuple[SourceCache, ...]:
    """Those of ``[buildout]`` ``binary-cache`` and ``networkcache-dir-url``; none in most runs."""
    if not options.get("binary-cache") and not options.get("networkcache-dir-url"):
        return ()
    from slapos.build.cache.sources import open_source_caches

    return open_source_caches(options)
