"""Which components come out the same when they are built again: the table of the documentation.

``python -m slapos.testing.reproducible [names]`` builds each component of the clone, unless it is built already, and
once more (:mod:`slapos.build.reproduce`), those of the names, or those that changed since they were last looked at, and
writes ``docs/reference/reproducible.json``.  An interrupted run, started again, goes on; several runs can go on side by
side, each with its names.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slapos.build.fetch.profiles import ProfileReader
from slapos.build.profile.buildout import Buildout
from slapos.build.release import build_job
from slapos.build.reproduce import Reproduced, reproduce
from slapos.system.files import read_json, write_if_changed, write_json
from slapos.system.locks import locked
from slapos.testing.builds import keep_build
from slapos.testing.components import build_components, component_names, profile_of

TABLE = "docs/reference/reproducible.json"


def release_of(name: str, top: str) -> Buildout:
    """A release of one component, in a directory of its own beside the kept builds."""
    kept = keep_build("components", top)
    directory = kept.directory / "reproducible" / name
    directory.mkdir(parents=True, exist_ok=True)
    profile = directory / "software.cfg"
    write_if_changed(str(profile), profile_of([name], kept.directory))
    cache = kept.options["download_cache"]
    job = build_job(directory=str(directory), url=str(profile), log="", download_cache=cache)
    read = ProfileReader(offline=True)
    return Buildout(profile=job.profile, directory=str(directory), read=read, overrides=job.overrides)


def check(name: str, top: str, known: dict[str, Any]) -> dict[str, Any]:
    """The row of a component; the one that is ``known`` when nothing changed since."""
    buildout = release_of(name, top)
    stored = buildout[name].stored
    assert stored is not None, f"{name} is not stored"
    if known.get("digest") == stored.inputs.digest:
        return known
    if not stored.is_built:
        build_components([name], top)
    return row(reproduce(buildout, name), stored.inputs.digest)


def row(found: Reproduced, digest: str) -> dict[str, Any]:
    """JSON types; ``differs`` is empty when the builds were the same."""
    difference = found.difference
    return {
        "version": found.version,
        "digest": digest,
        "files": found.files,
        "differs": f"{difference.path}: {difference.sentence}" if difference else "",
        "days": [build.day for build in found.builds],
        "jobs": [build.jobs for build in found.builds],
        "seconds": [round(build.seconds) for build in found.builds],
    }


def main(arguments: Sequence[str]) -> int:
    """Look at the components that are named, or at all that changed; 1 when one of them differs."""
    top = os.getcwd()
    table = str(Path(top, TABLE))
    differing = False
    for name in arguments or component_names(top):
        known = {} if name in arguments else read_json(table, {}).get(name, {})
        found = check(name, top, known)
        with locked(str(keep_build("components", top).directory / "table.lock"), 60.0, "The table"):
            rows = {**read_json(table, {}), name: found}
            names = component_names(top)
            write_json(table, {other: rows[other] for other in sorted(rows) if other in names})
        differing = differing or bool(found["differs"])
        sys.stderr.write(f"{name}: {found['differs'] or 'the same'} ({sum(found['seconds'])} s)\n")
    return int(differing)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
