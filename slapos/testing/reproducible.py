"""Which components come out the same when they are built twice: the table of the documentation.

``python -m slapos.testing.reproducible [names]`` builds each component of the clone twice
(:mod:`slapos.build.reproduce`), those of the names, or those that changed since they were last looked at, and writes
``docs/reference/reproducible.json``.  An interrupted run, started again, goes on.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slapos.build.fetch.profiles import ProfileReader
from slapos.build.profile.buildout import Buildout
from slapos.build.release import build_job
from slapos.build.reproduce import Reproduced, reproduce
from slapos.system.files import read_json, write_json
from slapos.testing.builds import keep_build
from slapos.testing.components import build_components, component_names

TABLE = "docs/reference/reproducible.json"


def profile_of(top: str) -> Buildout:
    """The profile with all components that were built last, as it lies beside the kept releases."""
    kept = keep_build("components", top)
    directory = str(kept.directory / "components")
    cache = kept.options["download_cache"]
    job = build_job(directory=directory, url=f"{directory}/components.cfg", log="", download_cache=cache)
    return Buildout(profile=job.profile, directory=directory, read=ProfileReader(offline=True), overrides=job.overrides)


def check(name: str, top: str, known: dict[str, Any]) -> dict[str, Any]:
    """The row of a component; the one that is ``known`` when nothing changed since."""
    build_components([name], top)
    buildout = profile_of(top)
    stored = buildout[name].stored
    digest = "" if stored is None else stored.inputs.digest
    return known if known.get("digest") == digest else row(reproduce(buildout, name), digest)


def row(found: Reproduced, digest: str) -> dict[str, Any]:
    """JSON types; ``differs`` is empty when the builds were the same."""
    difference = found.difference
    return {
        "version": found.version,
        "digest": digest,
        "files": found.files,
        "differs": f"{difference.path}: {difference.sentence}" if difference else "",
        "seconds": [round(seconds) for seconds in found.seconds],
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def main(arguments: Sequence[str]) -> int:
    """Look at the components that are named, or at all that changed; 1 when one of them differs."""
    top = os.getcwd()
    rows: dict[str, dict[str, Any]] = read_json(TABLE, {})
    names = component_names(top)
    differing = False
    for name in arguments or names:
        found = check(name, top, {} if name in arguments else rows.get(name, {}))
        rows = {other: value for other, value in sorted({**rows, name: found}.items()) if other in names}
        write_json(str(Path(top, TABLE)), rows)
        differing = differing or bool(found["differs"])
        sys.stderr.write(f"{name}: {found['differs'] or 'the same'} ({sum(found['seconds'])} s)\n")
    return int(differing)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
