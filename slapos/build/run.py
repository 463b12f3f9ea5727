"""Executes one job in this process: the profile is read, its parts installed, and the end told as data.

The warm child and the developer's ``standalone`` call :func:`execute`; the node daemon never does, it asks
:class:`slapos.build.warm.Warm`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial

from slapos.build.ahead import Watching, build_ahead, note_only_use
from slapos.build.command import last_lines
from slapos.build.fetch.profiles import ProfileReader
from slapos.build.job import Job, PartResult, Profiled, Progress, Result
from slapos.build.own_buildout import run_own
from slapos.build.parallel import Event
from slapos.build.profile.buildout import KNOWN_FAILURES, Buildout
from slapos.build.profile.failure import as_error
from slapos.build.profile.install import Ahead, install
from slapos.build.profile.names import RecipeTable
from slapos.model.errors import HyperopenxError
from slapos.system.processes import network_environment

__all__ = ["Job", "PartResult", "Profiled", "Progress", "Result", "execute", "failed"]

OnProgress = Callable[[Progress], None]

_log = logging.getLogger(__name__)


def execute(job: Job, on_progress: OnProgress | None = None, recipes: RecipeTable | None = None) -> Result:
    """Run ``job``; known failures come back as data, a defect of a recipe or of ours is raised."""
    begin = time.monotonic()
    if job.own:
        return _by_own_buildout(job, begin)
    try:
        buildout = Buildout(
            profile=job.profile,
            directory=job.directory,
            read=ProfileReader(
                offline=_is_offline(job), cache=job.overrides.get("buildout", {}).get("extends-cache", "")
            ),
            overrides=job.overrides,
            recipes=recipes,
        )
        buildout.observe = _observer(on_progress, begin, job.expected)
        report = install(buildout, _ahead(job, on_progress, begin))
        if report.outcome == "done":
            note_only_use(buildout, buildout._parts)
    except KNOWN_FAILURES as error:
        return failed(as_error(error, ""), job, begin)
    error_data = None
    if report.first_error is not None:
        error_data = _with_log(report.first_error, job).as_data()
    return Result(
        outcome=report.outcome,
        sentence=report.sentence,
        error=error_data,
        seconds=time.monotonic() - begin,
        parts=tuple(report.parts),
        profiles=tuple(buildout.loaded.profiles),
        errors=tuple(_with_log(error, job).as_data() for error in report.errors),
        stored=stored_digests(buildout),
    )


def stored_digests(buildout: Buildout) -> dict[str, str]:
    """Part → digest of those that lie in the store."""
    stored = (buildout[part].stored for part in buildout._parts)
    return {item.inputs.part: item.inputs.digest for item in stored if item is not None}


def _ahead(job: Job, on_progress: OnProgress | None, begin: float) -> Ahead:
    """Stored parts are built side by side, and told of as such."""

    def tell(event: Event) -> None:
        if on_progress is not None:
            elapsed = time.monotonic() - begin
            number = min(event.ended + 1, event.total)
            on_progress(Progress(event.task, number, event.total, event.stage, elapsed, event.expected, beside=True))

    return partial(build_ahead, watching=Watching(on_event=tell, expected=job.expected, slots=job.slots))


def _by_own_buildout(job: Job, begin: float) -> Result:
    try:
        run_own(job)
    except KNOWN_FAILURES as error:
        return failed(as_error(error, ""), job, begin)
    return Result("done", f"{job.own} did its work.", seconds=time.monotonic() - begin)


def failed(error: HyperopenxError, job: Job, begin: float) -> Result:
    """The result of a run that an error ended; ``begin`` is the monotonic time at which it began."""
    _log.error("%s", error.message)
    data = _with_log(error, job).as_data()
    return Result("failed", error.message, data, time.monotonic() - begin)


def _with_log(error: HyperopenxError, job: Job) -> HyperopenxError:
    """The log of the run and its last lines, unless the error already names those of one command."""
    if job.log and "log" not in error.context:
        error.context["log"] = job.log
        error.context.setdefault("tail", last_lines(job.log))
        error.hint = error.hint or f"The whole log is {job.log}."
    return error


def _is_offline(job: Job) -> bool:
    return job.overrides.get("buildout", {}).get("offline") == "true"


def _observer(
    on_progress: OnProgress | None, begin: float, expected: Mapping[str, float]
) -> Callable[[str, int, int, str], None]:
    if on_progress is None:
        return lambda part, index, total, stage: None

    def observe(part: str, index: int, total: int, stage: str) -> None:
        on_progress(Progress(part, index, total, stage, time.monotonic() - begin, expected.get(part)))

    return observe


def clean_environment(job: Job, home: str) -> dict[str, str]:
    """The whole environment of a run."""
    return {
        "HOME": home,
        "LC_ALL": "C.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
        "PWD": job.directory,
        "PYTHONNOUSERSITE": "true",
        "TMPDIR": "/tmp",
        **network_environment(),
        **job.environment,
    }
