"""The stored parts of a profile, made side by side before its other parts come one after another.

What the store lacks is fetched first, all of it; then each part is built in a process of its own.  What fails is
remembered, so that the run tells it and goes on with what does not need it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from slapos.build.fetch.sources import Fetcher
from slapos.build.parallel import Event, Outcome, Say, Task, run_side_by_side
from slapos.build.profile.buildout import KNOWN_FAILURES, Buildout
from slapos.build.profile.failure import as_error
from slapos.build.profile.install import Made
from slapos.build.profile.section import Options
from slapos.build.recipe import Source
from slapos.build.store.history import expected_seconds
from slapos.build.store.users import note_use
from slapos.model.errors import BuildFailed, HyperopenxError, from_data

_DOWNLOADS = 4

_log = logging.getLogger(__name__)

Pull = Callable[[str, str], bool]
"""Part and digest → whether a binary cache gave it to the store."""


@dataclass(frozen=True)
class Watching:
    """Who is told of what happens: ``on_event`` for each step, ``expected`` seconds per part, ``slots`` (0: one for
    each processor)."""

    on_event: Callable[[Event], None] = lambda event: None
    expected: Mapping[str, float] = field(default_factory=dict)
    slots: int = 0
    pull: Pull | None = None


def build_ahead(buildout: Buildout, parts: Sequence[str], watching: Watching) -> dict[str, Made]:
    """Make those of ``parts`` that are stored and missing; how each ended, without those that a failure blocks."""
    sections = {part: buildout[part] for part in parts if buildout[part].stored is not None}
    if buildout.store is None or not sections:
        return {}
    note_use(buildout.store, buildout._buildout_dir, stored_names(sections))
    missing = {part: section for part, section in sections.items() if not _is_built(section)}
    made = _pulled(missing, watching)
    left = {part: section for part, section in missing.items() if part not in made}
    failures = _fetch(buildout, left)
    expected = {**expected_seconds(buildout.store), **watching.expected} if left else {}
    tasks = [_task(buildout, section, failures.get(part), expected.get(part)) for part, section in left.items()]
    outcomes = run_side_by_side(tasks, watching.slots, watching.on_event) if tasks else []
    return made | {outcome.task: _made(outcome) for outcome in outcomes if outcome.ending != "blocked"}


def note_only_use(buildout: Buildout, parts: Sequence[str]) -> None:
    """The release is whole: what only its former self used may go."""
    if buildout.store is not None:
        sections = {part: buildout[part] for part in parts}
        note_use(buildout.store, buildout._buildout_dir, stored_names(sections), only=True)


def stored_names(sections: Mapping[str, Options]) -> list[str]:
    """``part/digest`` of those that are stored."""
    stored = [section.stored for section in sections.values()]
    return [f"{item.inputs.part}/{item.inputs.digest}" for item in stored if item is not None]


def _is_built(section: Options) -> bool:
    return section.stored is not None and section.stored.is_built


def _pulled(missing: Mapping[str, Options], watching: Watching) -> dict[str, Made]:
    pull = watching.pull
    if pull is None:
        return {}
    found = {}
    for part, section in missing.items():
        assert section.stored is not None
        if pull(part, section.stored.inputs.digest):
            found[part] = Made()
    return found


def _fetch(buildout: Buildout, sections: Mapping[str, Options]) -> dict[str, HyperopenxError]:
    """All sources into the download cache; part → what was wrong with one of its."""
    fetcher = fetcher_of(buildout)
    wanted = dict.fromkeys(source for section in sections.values() for source in _sources(section))
    with ThreadPoolExecutor(_DOWNLOADS) as pool:
        errors = dict(zip(wanted, pool.map(partial(_fetched, fetcher), wanted), strict=True))
    found = ((part, errors[source]) for part, section in sections.items() for source in _sources(section))
    return {part: error for part, error in found if error is not None}


def fetcher_of(buildout: Buildout) -> Fetcher:
    """What fetches for the parts of this profile: ``[buildout] download-cache``, by default a directory of its own."""
    main = buildout["buildout"]
    cache = str(main.get("download-cache") or os.path.join(buildout._buildout_dir, ".download-cache"))
    return Fetcher(cache=cache, offline=main.get("offline") in (True, "true"))


def _sources(section: Options) -> tuple[Source, ...]:
    sources: tuple[Source, ...] = section.recipe.description.sources
    return sources


def _fetched(fetcher: Fetcher, source: Source) -> HyperopenxError | None:
    try:
        fetcher.fetch(source)
    except KNOWN_FAILURES as error:
        return as_error(error, "")
    return None


def _task(buildout: Buildout, section: Options, failure: HyperopenxError | None, expected: float | None) -> Task:
    assert section.stored is not None
    log = os.path.join(buildout._buildout_dir, ".build-log", f"{section.name}.log")

    def run(say: Say) -> None:
        if failure is not None:
            raise failure
        buildout.stage = say
        try:
            section._call(section.recipe.install)
        except KNOWN_FAILURES as error:
            raise as_error(error, "") from error
        if not _is_built(section):
            raise BuildFailed(f"{section.name} was built and is not in the store.", reference="nothing-installed")

    return Task(section.name, run, frozenset(section.stored.inputs.dependencies), log, expected)


def _made(outcome: Outcome) -> Made:
    error = from_data(outcome.error) if outcome.error else None
    return Made(outcome.seconds, error)
