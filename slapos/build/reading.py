"""Reads a profile into a graph in a forked child (:mod:`slapos.build.apart`), for who only looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from slapos.build.apart import TIME_LIMIT, Apart
from slapos.build.graph import Graph
from slapos.build.values import Value


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is read: ``profile`` (absolute path or URL) as it would be in ``directory``, which need not exist.

    ``overrides`` are option values (data) that win over the profile's; ``offline``: no connection is opened.
    """

    profile: str
    directory: str
    overrides: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    offline: bool = False


class Reading(Apart):
    """A profile that is being read."""

    def __init__(self, wanted: Wanted) -> None:
        super().__init__(answer=partial(_read, wanted), profile=wanted.profile)

    def __enter__(self) -> Reading:
        super().__enter__()
        return self

    def graph(self, time_limit: float = TIME_LIMIT) -> Graph:
        """Wait for the parts; errors as :meth:`Apart.wait`, and what is wrong with the profile."""
        return Graph.from_data(self.wait(time_limit)["graph"])


def read_graph_apart(wanted: Wanted, time_limit: float = TIME_LIMIT) -> Graph:
    """The parts of a profile; errors as :meth:`Reading.graph`."""
    with Reading(wanted) as reading:
        return reading.graph(time_limit)


def _read(wanted: Wanted) -> dict[str, Any]:
    from slapos.build.describing import read_graph
    from slapos.build.fetch.profiles import ProfileReader
    from slapos.build.profile.buildout import KNOWN_FAILURES
    from slapos.build.profile.failure import as_error

    try:
        graph = read_graph(
            profile=wanted.profile,
            directory=wanted.directory,
            read=ProfileReader(offline=wanted.offline, keep=False),
            overrides=wanted.overrides,
        )
    except KNOWN_FAILURES as error:
        return {"error": as_error(error, "").as_data()}
    return {"graph": graph.as_data()}
