"""The caches in which sources are looked for before their own addresses, as the options of a run name them."""

from __future__ import annotations

from collections.abc import Mapping

from slapos.build.cache.client import CacheClient
from slapos.build.cache.networkcache import NetworkCache, NetworkCacheSettings
from slapos.build.cache.settings import CacheSettings

NETWORKCACHE_OPTIONS = ("networkcache-dir-url", "networkcache-cache-url", "networkcache-certificates")
"""Of ``[buildout]``: where the field's networkcache is, and the certificates (PEM) whose keys are believed."""


def open_source_caches(options: Mapping[str, object]) -> tuple[CacheClient | NetworkCache, ...]:
    """Those that ``[buildout]`` names; sources need no trust, their digest is in the profile."""
    found: list[CacheClient | NetworkCache] = []
    if options.get("binary-cache"):
        found.append(CacheClient(CacheSettings.from_options(options)))
    dir_url, cache_url, certificates = (str(options.get(name) or "") for name in NETWORKCACHE_OPTIONS)
    if dir_url and cache_url:
        found.append(NetworkCache(NetworkCacheSettings(dir_url, cache_url, certificates)))
    return tuple(found)
