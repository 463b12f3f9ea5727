"""Whether a build would find all in place, told by the engine's own comparison but without the engine's processes.

The profile is evaluated in a forked child as a run does it: each recipe is created and each part compared with what the
last run installed.  Whatever is not plainly the same is left to a run, also what only a run could tell: recipes that
are not ours, and those with work to do at each run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from slapos.build.apart import Apart
from slapos.build.job import Job, PartResult, Profiled, Result, in_place_sentence
from slapos.build.release import is_complete, read_record
from slapos.model.errors import HyperopenxError
from slapos.model.profiles import Origin

if TYPE_CHECKING:
    from slapos.build.profile.buildout import Buildout


class _NobodyKnows(Exception):
    """Only a run can tell."""


def unchanged(job: Job, url: str, recipes: Mapping[str, type] | None = None) -> Result | None:
    """The result of a build of the release ``url`` that has nothing to do; None when it may have something to do.

    For who holds the lock of the release.  An error of the profile is left to the run, which tells it.  ``recipes`` go
    before the installed ones.
    """
    begin = time.monotonic()
    record = read_record(job.directory)
    if job.own or record is None or record.url != url or not is_complete(job.directory):
        return None
    try:
        with Apart(answer=partial(_look, job, recipes or {}), profile=job.profile) as asked:
            answer = asked.wait()
    except HyperopenxError:
        return None
    profiles = tuple(Profiled(**item) for item in answer["profiles"])
    if answer["parts"] is None or answer["stored"] != record.stored or not set(profiles) <= set(record.profiles):
        return None
    parts = tuple(PartResult(part, "kept") for part in answer["parts"])
    seconds = time.monotonic() - begin
    return Result("done", in_place_sentence(len(parts)), None, seconds, parts, profiles, stored=answer["stored"])


def _look(job: Job, recipes: Mapping[str, type]) -> dict[str, Any]:
    """In the child."""
    from slapos.build.fetch.profiles import ProfileReader
    from slapos.build.profile.buildout import KNOWN_FAILURES, Buildout
    from slapos.build.profile.names import RecipeTable
    from slapos.build.run import stored_digests

    os.umask(job.umask)  # files are compared with their modes
    try:
        buildout = Buildout(
            profile=job.profile,
            directory=job.directory,
            read=ProfileReader(keep=False),
            overrides=job.overrides,
            recipes=RecipeTable(recipes, foreign=_foreign),
        )
        parts: list[str] | None = _parts_in_place(buildout)
    except (*KNOWN_FAILURES, _NobodyKnows):
        return {"parts": None, "profiles": [], "stored": {}}
    profiles = [asdict(profile) for profile in buildout.loaded.profiles]
    return {"parts": parts, "profiles": profiles, "stored": stored_digests(buildout)}


def _foreign(name: str, origin: Origin | None, section: str) -> type:
    raise _NobodyKnows


def _parts_in_place(buildout: Buildout) -> list[str]:
    """The parts of a profile, all of which are as the last run left them."""
    from slapos.build.ahead import asked_for, note_only_use, note_use_of
    from slapos.build.profile.parts import listed_part
    from slapos.build.values import as_text

    for part in as_text(buildout["buildout"]["parts"]).split():
        listed_part(buildout, part)
    order = list(buildout._parts)
    note_use_of(buildout, order)  # before it is looked whether they are there
    here = {part for part in order if (stored := buildout[part].stored) is None or stored.is_built}
    if not here.issuperset(asked_for(buildout, order)) or here != buildout.state.parts.keys() or buildout.state.stale:
        raise _NobodyKnows
    parts = [part for part in order if part in here]
    if not all(_is_same(buildout, part) for part in parts):
        raise _NobodyKnows
    note_only_use(buildout, order)
    return parts


def _is_same(buildout: Buildout, part: str) -> bool:
    options = buildout[part]
    same = buildout.state.parts[part].same_as(options.copy(), options.signature)
    return same and bool(options.recipe.is_in_place())
