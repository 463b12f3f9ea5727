"""A release that brings its own ``bin/buildout`` runs with that one instead of our engine (spec 05 §2.1, §3.2).

Such a buildout is a program of its own: it gets the files and the environment that it expects, its output is the log
of the run, and its exit status is the outcome.  It cannot say that it waits for somebody, only that it failed.
"""

from __future__ import annotations

import logging
import os
import shlex
import stat
import sys

from slapos.build.job import Job
from slapos.model.errors import BuildFailed, HyperopenxError, InputError
from slapos.system.below import list_below, read_below
from slapos.system.files import atomic_write
from slapos.system.processes import Launch, start

_log = logging.getLogger(__name__)

_BUILDOUT, _BOOTSTRAP = "buildout", "bootstrap"
_INSTALLED = ".installed.cfg"
_SHELLS = ("/bin/sh", "/bin/bash", "/usr/bin/env sh")


def brought_buildout(release: str) -> str:
    """The program that processes instances of the release in the directory ``release``; empty for our engine."""
    try:
        found = [name for name, facts in list_below(release, "bin") if _is_program(facts)]
    except InputError:  # bin is a link: nothing of it is obeyed
        return ""
    bootstraps = [name for name in found if name.startswith(_BOOTSTRAP)]
    chosen = bootstraps[0] if len(bootstraps) == 1 else _BUILDOUT if _BUILDOUT in found else ""
    return os.path.join(release, "bin", chosen) if chosen else ""


def builds_itself(release: str) -> str:
    """The program that builds the release; empty for our engine, also when our engine built it so far."""
    program = brought_buildout(release)
    ours = _is_ours(release)
    return program if os.path.basename(program) == _BUILDOUT and not ours else ""


def interpreter(program: str) -> str:
    """The Python of a script's first lines (``#!python``, or ``exec python`` of a shell); empty when it is none."""
    try:
        lines = read_below(os.path.dirname(program), os.path.basename(program)).decode("utf-8", "replace").split("\n")
    except (OSError, HyperopenxError):
        return ""
    first = lines[0].removeprefix("#!").strip() if lines[0].startswith("#!") else ""
    if first in _SHELLS:
        words = shlex.split(lines[1], comments=True) if len(lines) > 1 and lines[1].startswith("exec ") else []
        return words[1] if len(words) > 1 else ""
    return first.split(" ")[0]


def own_python(release: str) -> str:
    """The interpreter of a release that brings its own buildout, when that is not ours; else empty."""
    program = brought_buildout(release)
    found = interpreter(program) if program else ""
    return "" if found == sys.executable else found


def run_own(job: Job) -> None:
    """Process the profile of ``job`` with the buildout that it names; ``BuildFailed`` when that fails."""
    _set_aside(job.directory)
    program = job.own
    if os.path.basename(program).startswith(_BOOTSTRAP):
        _run(job, program, [])
        program = os.path.join(job.directory, "sbin", _BUILDOUT)
    if job.kind == "build":
        _run(job, program, ["-U", *_build_options(job), "-N", "-c", _written_profile(job)])
    else:
        _run(job, program, ["-U", f"buildout:directory={job.directory}", "-c", job.profile])


def _run(job: Job, program: str, arguments: list[str]) -> None:
    command = [*_shebang(program), program, *arguments]
    _log.info("$ %s", shlex.join(command))
    launch = Launch(directory=job.directory, environment=dict(os.environ), umask=0o027)
    code = start(command, launch=launch, output=2).wait()
    if code != 0:
        how = f"was ended by signal {-code}" if code < 0 else f"failed with status {code}"
        raise BuildFailed(
            f"The release's own {os.path.basename(program)} {how}.",
            reference="own-buildout-failed",
            context={"command": command, "code": code, **({"log": job.log} if job.log else {})},
            hint="What it said is at the end of the log.",
        )


def _shebang(program: str) -> list[str]:
    """The interpreter line as words, because the kernel takes no long ones."""
    try:
        with open(program, "rb") as stream:
            first = stream.readline(4096)
    except FileNotFoundError:
        raise BuildFailed(
            f"{program} does not exist.", reference="no-own-buildout", context={"program": program}
        ) from None
    return first[2:].decode("utf-8", "replace").split() if first.startswith(b"#!") else []


def _build_options(job: Job) -> list[str]:
    cache = os.path.join(job.directory, "extends-cache")
    os.makedirs(cache, exist_ok=True)
    return [f"buildout:extends-cache={cache}", f"buildout:directory={job.directory}"]


def _written_profile(job: Job) -> str:
    """``buildout.cfg`` of the release's directory, which extends its URL; what is there already stays."""
    path = os.path.join(job.directory, "buildout.cfg")
    if not os.path.exists(path):
        given = job.overrides.get("buildout", {})
        lines = ["[buildout]", f"extends = {job.profile}"]
        for option in ("shared-part-list", "build-time-part-list"):
            lines += [f"{option} =", *(f"  {line}" for line in given.get(option, "").split("\n") if line.strip())]
        atomic_write(path, "\n".join([*lines, ""]), 0o640)
    return path


def _set_aside(directory: str) -> None:
    """Our memory of a directory means nothing to another buildout."""
    if _is_ours(directory):
        path = os.path.join(directory, _INSTALLED)
        os.replace(path, f"{path}.engine")


def _is_ours(directory: str) -> bool:
    try:
        return read_below(directory, _INSTALLED)[:1] == b"{"
    except (OSError, InputError):
        return False


def _is_program(facts: os.stat_result) -> bool:
    return stat.S_ISREG(facts.st_mode) and bool(facts.st_mode & 0o111)
