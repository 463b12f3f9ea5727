"""``slapos build --check``: a part of a release is built again, beside the release."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from slapos.build.look import Release
from slapos.cli.site.builds import build_release, job_of
from slapos.model.errors import from_data

if TYPE_CHECKING:
    from slapos.build.job import Progress
    from slapos.build.reproduce import Reproduced


def check_part(release: Release, part: str, on_progress: Callable[[Progress], None] | None = None) -> Reproduced:
    """Build ``part`` and what it needs, unless the store has them, and then the part again.

    The error of the first part that fails is raised.
    """
    options = {**release.options, "parts": part}
    apart = dataclasses.replace(release, directory=f"{release.directory}.check", options=options)
    result = build_release(apart, 0, on_progress)
    if result.error is not None:
        raise from_data(result.error)
    return _built_again(apart, part)


def _built_again(release: Release, part: str) -> Reproduced:
    from slapos.build.fetch.profiles import ProfileReader
    from slapos.build.profile.buildout import Buildout
    from slapos.build.reproduce import reproduce
    from slapos.build.run import clean_environment

    job = job_of(release, 0)
    with _environment(clean_environment(job, release.directory)):
        buildout = Buildout(
            profile=job.profile,
            directory=job.directory,
            read=ProfileReader(cache=job.overrides["buildout"]["extends-cache"]),
            overrides=job.overrides,
        )
        return reproduce(buildout, part)


@contextlib.contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """The whole environment of this process for a block: that of a build."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(wanted)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
