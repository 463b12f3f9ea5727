"""A release as it stands before a build: its graph, what is there of it, and the plan."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slapos.build.graph import Graph
from slapos.build.plan import Observed, Plan, PlanLine, make_plan
from slapos.build.reading import Reading, Wanted
from slapos.model.errors import NotFound

if TYPE_CHECKING:
    from slapos.build.cache.client import CacheClient
    from slapos.build.why import Explanation


@dataclass(frozen=True)
class Looked:
    """What is known of a release; ``refusals``: why caches that were asked gave nothing that is believed."""

    graph: Graph
    observed: Observed
    plan: Plan
    stores: tuple[str, ...]
    refusals: tuple[str, ...] = ()

    def line(self, part: str) -> PlanLine:
        """That of the plan; :class:`NotFound` ``part-not-in-release`` when the release has no part of this name."""
        line = self.plan.line(part)
        if line is None:
            raise _unknown(part, self.graph)
        return line

    def why(self, part: str) -> Explanation:
        """Why a part is as it is; errors as :meth:`line`."""
        from slapos.build.observe import Records
        from slapos.build.store.store import Store
        from slapos.build.why import explain, explain_present

        line = self.line(part)
        records = Records(Store(self.stores))
        built, before = records.built(part, line.digest) if line.state == "present" else (None, None)
        if built is None:
            return explain(self.graph, self.observed, self.plan, part)
        return explain_present(self.graph, line, built, before, records.known([before] if before else []))


@dataclass(frozen=True, kw_only=True)
class Release:
    """The release ``url``, read from ``profile`` (absolute path or URL), built in ``directory`` with parts from
    ``stores`` (absolute paths).

    ``options`` are further options of ``[buildout]``; ``download_cache`` is a directory.
    """

    url: str
    profile: str
    directory: str
    stores: tuple[str, ...]
    download_cache: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def overrides(self) -> dict[str, dict[str, str]]:
        """Options that win over those of the profile."""
        return {"buildout": {**self.options, "store": "\n".join(self.stores)}}


def look(release: Release) -> Looked:
    """Read the profile and look what is there; nothing is made, fetched or run but the profiles."""
    wanted = Wanted(profile=release.profile, directory=release.directory, overrides=release.overrides)
    with Reading(wanted) as reading:  # it goes on while the rest is imported
        from slapos.build.observe import Places, observe
        from slapos.build.release import read_record
        from slapos.build.store.store import Store

        cache = _cache(release)
        places = Places(store=Store(release.stores), cache=cache, download_cache=release.download_cache)
        record = read_record(release.directory)
        graph = reading.graph()
    released, seconds = (record.stored, record.seconds) if record else ({}, {})
    with _silent("slapos.build.cache.client"):  # its refusals are told with the plan, once
        observed = observe(graph, places, released=released, seconds=seconds)
    refusals = tuple(dict.fromkeys(error.message for error in cache.refusals)) if cache else ()
    return Looked(graph, observed, make_plan(graph, observed), release.stores, refusals)


def _cache(release: Release) -> CacheClient | None:
    if not release.options.get("binary-cache"):
        return None
    from slapos.build.cache.client import CacheClient
    from slapos.build.cache.settings import CacheSettings
    from slapos.build.store.store import Store

    return CacheClient(CacheSettings.from_options(release.options), store=Store(release.stores))


@contextlib.contextmanager
def _silent(name: str) -> Iterator[None]:
    logger = logging.getLogger(name)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _unknown(part: str, graph: Graph) -> NotFound:
    import difflib

    names = [node.name for node in graph.parts]
    close = difflib.get_close_matches(part, names, n=1)
    return NotFound(
        f"{graph.profile} has no part {part!r}.",
        reference="part-not-in-release",
        context={"part": part, "parts": names},
        hint=f"Did you mean {close[0]}?" if close else "",
    )
