"""``python -m slapos.build.standalone software.cfg directory``: build a release in a directory, for developers.

Runs as whoever calls it, without a node; run again, it continues.  ``--instance`` processes an instance profile
instead, ``--plan`` says what each part would give and fetch without running anything.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys

from slapos.build.describing import read_graph
from slapos.build.fetch.profiles import ProfileReader
from slapos.build.job import Job, Progress, Result
from slapos.build.locations import is_url
from slapos.build.release import build_job, prepare, record_build
from slapos.build.run import execute
from slapos.model.errors import HyperopenxError

_shown: dict[str, str] = {}


def main(arguments: list[str] | None = None) -> int:
    """The exit status is that of the error, 75 when parts wait."""
    options = _parser().parse_args(arguments)
    directory = os.path.abspath(options.directory)
    url = options.profile if is_url(options.profile) else os.path.abspath(options.profile)
    try:
        if options.plan:
            return _show_plan(url, directory)
        prepare(directory, url)
        log = os.path.join(directory, "build.log")
        _log_to(log, options.verbose)
        stores = [os.path.abspath(path) for path in options.store]
        job = build_job(
            directory=directory, url=url, log=log, download_cache=os.path.abspath(options.cache), stores=stores
        )
        if options.instance:
            job = Job(kind="instance", directory=directory, profile=url, log=log)
        os.umask(job.umask)
        result = execute(job, _show)
        if not options.instance:
            record_build(directory, url, result)
        return _show_result(result)
    except KeyboardInterrupt:
        _say("Interrupted; the next run continues from what was whole.")
        return 130
    except HyperopenxError as error:
        _say(f"{error.message}\n{error.hint}".strip())
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m slapos.build.standalone", description=__doc__)
    parser.add_argument("profile", help="path or URL of the profile")
    parser.add_argument("directory", help="where to build; made when missing")
    parser.add_argument("--cache", default=os.path.expanduser("~/.cache/hyperopenx"), help="download cache")
    parser.add_argument("--store", action="append", default=[], help="root of a store for parts; more for reading")
    parser.add_argument("--instance", action="store_true", help="an instance profile, not a release")
    parser.add_argument("--plan", action="store_true", help="describe the parts, run nothing")
    parser.add_argument("--verbose", action="store_true", help="show the log on the terminal too")
    return parser


def _log_to(path: str, verbose: bool) -> None:
    handlers: list[logging.Handler] = [logging.FileHandler(path, mode="w")]
    if verbose:
        handlers.append(logging.StreamHandler(sys.stderr))
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=handlers, force=True)


def _show(progress: Progress) -> None:
    """A line for each new stage; parts that run side by side tell theirs again each second."""
    if progress.beside and _shown.get(progress.part) == progress.stage:
        return
    _shown[progress.part] = progress.stage
    expected = f", {progress.expected:.0f} s last time" if progress.expected else ""
    if progress.stage != "start":
        _say(
            f"[{progress.index}/{progress.total}] {progress.part}: {progress.stage}"
            f" ({progress.elapsed:.0f} s{expected})"
        )


def _show_result(result: Result) -> int:
    _say(f"{result.outcome} after {result.seconds:.1f} s: {result.sentence}")
    for part in result.parts:
        if part.sentence:
            _say(f"  {part.outcome:8} {part.part}: {part.sentence}")
    error = result.error or {}
    for line in error.get("context", {}).get("tail", []):
        _say(f"  | {line}")
    if error.get("hint"):
        _say(error["hint"])
    return {"done": 0, "waiting": 75}.get(result.outcome, 70)


def _show_plan(url: str, directory: str) -> int:
    for part in read_graph(profile=url, directory=directory, read=ProfileReader()).parts:
        _say(f"{part.name}  {part.recipe}  {part.origin or ''}")
        for option, value in part.outputs.items():
            _say(f"    gives {option} = {value}")
        for source in part.sources:
            _say(f"    fetches {source.url}")
        if part.problem:
            _say(f"    {part.problem}")
    return 0


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
