"""The sandbox of a part of a profile: what it may see follows from the sections that it uses."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slapos.build.options import FALSE
from slapos.build.sandbox import BUILD_DIRECTORY, ENVIRONMENT, Sandbox, available
from slapos.build.toolchain_view import View, view_of_machine
from slapos.build.values import as_text
from slapos.build.watch import BuildLimits
from slapos.model.errors import HyperopenxError, MachineError
from slapos.system.processes import MARK

if TYPE_CHECKING:
    from slapos.build.profile.buildout import Buildout

_PASSED_ON = ("MAKEFLAGS", MARK)


@dataclass(frozen=True)
class Confinement:
    """``sandbox`` None: there is none, and ``record`` says why; ``limits`` hold either way."""

    sandbox: Sandbox | None
    record: str
    limits: BuildLimits


def confinement_of(
    buildout: Buildout, part: str, build: str, writable: Mapping[str, str], packages: tuple[str, ...] = ()
) -> Confinement:
    """For the commands of ``part`` in the work directory ``build``.

    ``writable``: path seen → directory that takes its place; ``packages``: what it needs of the machine besides the
    compiler's, by the names of Debian's packages.
    """
    limits = limits_of(buildout)
    reason = _why_none(buildout)
    if reason:
        return Confinement(None, f"none: {reason}", limits)
    view = view_of_machine(_views_directory(buildout), packages)
    readable = tuple(sorted(set(paths_used(buildout, part)) - set(writable)))
    sandbox = Sandbox(build=build, view=view, readable=_outermost(readable, view), writable=dict(writable))
    return Confinement(sandbox, "bubblewrap" if view.is_exact else "bubblewrap, all of /usr", limits)


def build_environment(environment: Mapping[str, str], home: str = BUILD_DIRECTORY) -> dict[str, str]:
    """What the commands of a build get before the part's own variables: nothing of who runs it but the job slots."""
    return {**ENVIRONMENT, "HOME": home} | {name: environment[name] for name in _PASSED_ON if name in environment}


def limits_of(buildout: Buildout) -> BuildLimits:
    """``[buildout] command-seconds command-idle-seconds command-processes build-bytes``."""
    main, default = buildout["buildout"], BuildLimits()
    return BuildLimits(
        seconds=float(as_text(main.get("command-seconds", default.seconds))),
        idle_seconds=float(as_text(main.get("command-idle-seconds", default.idle_seconds))),
        processes=int(as_text(main.get("command-processes", default.processes))),
        disk_bytes=int(as_text(main.get("build-bytes", default.disk_bytes))),
    )


def _why_none(buildout: Buildout) -> str:
    if as_text(buildout["buildout"].get("sandbox", "true")).strip().lower() in FALSE:
        return "switched off by [buildout] sandbox"
    return available()


def paths_used(buildout: Buildout, part: str) -> Iterator[str]:
    """What exists of the paths that the sections used by ``part`` have as values: locations, files, directories."""
    for section in buildout.all_uses(part):
        try:
            values = buildout[section].copy().values()
        except HyperopenxError:
            continue
        for value in values:
            if isinstance(value, str) and value.startswith("/") and "\n" not in value and os.path.exists(value):
                yield os.path.normpath(value)


def _outermost(paths: tuple[str, ...], view: View) -> tuple[str, ...]:
    """Without what lies in another of them or is seen anyway, and never the root."""
    seen = [place for _, place in (*view.binds, *view.links)]
    kept: list[str] = []
    for path in paths:  # sorted: a directory comes before what it holds
        inside = any(path == place or path.startswith(f"{place}/") for place in (*kept, *seen))
        if path != "/" and not inside:
            kept.append(path)
    return tuple(kept)


def _views_directory(buildout: Buildout) -> str:
    """With the store, which belongs to who builds; without one, a directory of the user's that nobody else changes."""
    if buildout.store is not None:
        return os.path.join(buildout.store.root, ".toolchain")
    path = os.path.join(tempfile.gettempdir(), f"hyperopenx-toolchain-{os.geteuid()}")
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o755)
    facts = os.lstat(path)
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
        raise MachineError(
            f"{path} is not used for builds: others could change what lies there.",
            reference="unsafe-directory",
            context={"path": path},
            hint="Remove it.",
        )
    return path
