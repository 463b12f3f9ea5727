"""The stored parts of a profile, made side by side before its other parts come one after another.

What the store lacks is fetched first, all of it; then each part is built in a process of its own.  What fails is
remembered, so that the run tells it and goes on with what does not need it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import partial

from slapos.build.fetch.caches import source_caches
from slapos.build.fetch.sources import Fetcher
from slapos.build.parallel import Event, Outcome, Say, Task, run_side_by_side
from slapos.build.profile.buildout import KNOWN_FAILURES, Buildout
from slapos.build.profile.failure import as_error
from slapos.build.profile.install import Made
from slapos.build.profile.section import Options
from slapos.build.recipe import Source
from slapos.build.store.hermetic import know_machine
from slapos.build.store.history import expected_seconds
from slapos.build.store.site import Stored
from slapos.build.store.users import note_use
from slapos.build.values import as_text
from slapos.model.errors import BuildFailed, HyperopenxError, from_data

_DOWNLOADS = 4
_PULLS = 4


@dataclass(frozen=True)
class Watching:
    """Who is told of what happens: ``on_event`` for each step, ``expected`` seconds per part, ``slots`` (0: one for
    each processor)."""

    on_event: Callable[[Event], None] = lambda event: None
    expected: Mapping[str, float] = field(default_factory=dict)
    slots: int = 0


def build_ahead(buildout: Buildout, parts: Sequence[str], watching: Watching) -> dict[str, Made]:
    """Make those of ``parts`` that are stored, missing and needed; how each ended, without those that a failure blocks.

    What only a part needs that came from a binary cache is not made.
    """
    sections = {part: buildout[part] for part in parts if buildout[part].stored is not None}
    if buildout.store is None or not sections:
        return {}
    note_use_of(buildout, parts)
    missing, made = _divided(buildout, parts, sections, watching)
    failures = _fetch(buildout, missing)
    expected = {**expected_seconds(buildout.store), **watching.expected} if missing else {}
    _know_machine(buildout, missing)
    tasks = [_task(buildout, section, failures.get(part), expected.get(part)) for part, section in missing.items()]
    outcomes = run_side_by_side(tasks, watching.slots, watching.on_event) if tasks else []
    return made | {outcome.task: _made(outcome) for outcome in outcomes if outcome.ending != "blocked"}


def _know_machine(buildout: Buildout, sections: Mapping[str, Options]) -> None:
    """Once, before each part is built in a process of its own."""
    needs = {(_root_of(section), section.recipe.host_packages) for section in sections.values()}
    for root, packages in needs:
        know_machine(root, packages, buildout["buildout"])


def _root_of(section: Options) -> str:
    assert section.stored is not None
    return os.path.dirname(os.path.dirname(section.stored.location))


def _divided(
    buildout: Buildout, parts: Sequence[str], sections: Mapping[str, Options], watching: Watching
) -> tuple[dict[str, Options], dict[str, Made]]:
    """What is to be built; what came from a binary cache, or is not needed."""
    pull = _puller(buildout, watching)
    absent = {part: section for part, section in sections.items() if not _is_built(section)}
    needed = set(asked_for(buildout, parts))
    made: dict[str, Made] = {}
    missing: set[str] = set()
    while asked := [part for part in absent if part in needed and part not in made and part not in missing]:
        found = pull([stored for part in asked if (stored := absent[part].stored) is not None])
        made |= {part: Made() for part in asked if part in found}
        missing |= set(asked) - found
        needed |= {name for part in missing for name in _dependencies(absent[part])}
    # What came with another part stays in the release.
    made |= {part: Made(needed=False) for part in absent.keys() - needed if not _is_built(absent[part])}
    return {part: section for part, section in absent.items() if part in missing}, made


def _dependencies(section: Options) -> Iterable[str]:
    return section.stored.inputs.dependencies if section.stored is not None else ()


def asked_for(buildout: Buildout, parts: Sequence[str]) -> Iterator[str]:
    """Parts that are listed, or that a part of this release alone uses."""
    yield from as_text(buildout["buildout"]["parts"]).split()
    todo = [part for part in parts if buildout[part].stored is None]
    seen = set(todo)
    while todo:
        for name in buildout.uses.get(todo.pop(), set()) - seen:
            seen.add(name)
            if buildout[name].stored is None:  # what a stored part uses was needed to build it
                todo.append(name)
            else:
                yield name


def _puller(buildout: Buildout, watching: Watching) -> Callable[[Sequence[Stored]], set[str]]:
    """Asks the binary caches of ``[buildout] binary-cache`` for parts side by side; those that the store has then."""
    main = buildout["buildout"]
    if not main.get("binary-cache"):
        return lambda parts: set()
    from slapos.build.cache.client import CacheClient  # its libraries load for who asks a cache only
    from slapos.build.cache.settings import CacheSettings

    client = CacheClient(CacheSettings.from_options(main))

    def pull(stored: Stored) -> tuple[str, bool, float]:
        begin = time.monotonic()
        found = client.pull_needs(stored.inputs.part, stored.inputs.digest, stored.store)
        return stored.inputs.part, found, time.monotonic() - begin

    def pull_all(parts: Sequence[Stored]) -> set[str]:
        for stored in parts:
            watching.on_event(Event(stored.inputs.part, "pull", 0, len(parts)))
        got = set()
        with ThreadPoolExecutor(_PULLS) as pool:
            for ended, done in enumerate(as_completed([pool.submit(pull, stored) for stored in parts]), start=1):
                part, found, seconds = done.result()
                got |= {part} if found else set()
                watching.on_event(Event(part, "done" if found else "start", ended, len(parts), seconds))
        return got

    return pull_all


def note_use_of(buildout: Buildout, parts: Sequence[str]) -> None:
    """The release uses these parts too, from now on: nobody removes them."""
    _note_use(buildout, parts, only=False)


def note_only_use(buildout: Buildout, parts: Sequence[str]) -> None:
    """The release is whole: what only its former self used may go."""
    _note_use(buildout, parts, only=True)


def _note_use(buildout: Buildout, parts: Sequence[str], only: bool) -> None:
    if buildout.store is not None:
        sections = {part: buildout[part] for part in parts}
        note_use(buildout.store, buildout._buildout_dir, stored_names(sections), only=only)


def stored_names(sections: Mapping[str, Options]) -> list[str]:
    """``part/digest`` of those that are stored."""
    stored = [section.stored for section in sections.values()]
    return [f"{item.inputs.part}/{item.inputs.digest}" for item in stored if item is not None]


def _is_built(section: Options) -> bool:
    return section.stored is not None and section.stored.is_built


def _fetch(buildout: Buildout, sections: Mapping[str, Options]) -> dict[str, HyperopenxError]:
    """All sources and packages into the download cache; part → what was wrong with one of its."""
    fetcher = fetcher_of(buildout)
    wanted = dict.fromkeys(source for section in sections.values() for source in _sources(section))
    ahead = [section.recipe.fetch_ahead for section in sections.values()]
    with ThreadPoolExecutor(_DOWNLOADS) as pool:
        packages = pool.map(_tried, ahead)
        errors = dict(zip(wanted, pool.map(_tried, [partial(fetcher.fetch, source) for source in wanted]), strict=True))
        failures = {part: error for part, error in zip(sections, packages, strict=True) if error is not None}
    found = ((part, errors[source]) for part, section in sections.items() for source in _sources(section))
    return failures | {part: error for part, error in found if error is not None}


def fetcher_of(buildout: Buildout) -> Fetcher:
    """What fetches for the parts of this profile: ``[buildout] download-cache``, by default a directory of its own."""
    main = buildout["buildout"]
    cache = str(main.get("download-cache") or os.path.join(buildout._buildout_dir, ".download-cache"))
    return Fetcher(cache=cache, offline=main.get("offline") in (True, "true"), caches=source_caches(main))


def _sources(section: Options) -> tuple[Source, ...]:
    sources: tuple[Source, ...] = section.recipe.description.sources
    return sources


def _tried(fetch: Callable[[], object]) -> HyperopenxError | None:
    try:
        fetch()
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
