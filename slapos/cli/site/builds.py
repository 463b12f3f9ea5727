"""Where ``slapos build`` keeps what it makes: below the state directory, beside what nodes have.

``STATE/build/<md5 of the URL>`` is the release, ``STATE/build/store`` the store, ``STATE/build/download-cache`` the
sources.  Stores of this machine's nodes are looked into as well.
"""

from __future__ import annotations

import dataclasses
import glob
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slapos.build.look import Release
from slapos.cli.connection import release_url
from slapos.slap.config import state_directory

if TYPE_CHECKING:
    from slapos.build.job import Job, Progress, Result

STORE_VARIABLE = "HYPEROPENX_STORE"


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What a person chose on the command line; empty where not."""

    directory: str = ""
    stores: Sequence[str] = ()
    caches: Sequence[str] = ()
    keys: Sequence[str] = ()
    signatures: int = 1


def chosen_release(text: str, where: Mapping[str, Any]) -> Release:
    """:func:`release_of` with the options of a command line."""
    return release_of(text, Chosen(**where))


def release_of(text: str, chosen: Chosen) -> Release:
    """The release that a person calls ``text``; :class:`InputError` ``unknown-release`` when nobody knows it."""
    from slapos.build.release import profile_of, release_directory

    url = release_url(text)
    top = os.path.join(state_directory(), "build")
    return Release(
        url=url,
        profile=profile_of(url),
        directory=os.path.abspath(chosen.directory) if chosen.directory else release_directory(top, url),
        stores=_stores(chosen.stores, top),
        download_cache=os.path.join(top, "download-cache"),
        options=_cache_options(chosen),
    )


def stores_of_machine(given: Sequence[str] = ()) -> tuple[str, ...]:
    """The stores that a person named, or else those of ``slapos build``."""
    return _stores(given, os.path.join(state_directory(), "build"))


def download_cache_of_machine() -> str:
    """Where ``slapos build`` keeps sources."""
    return os.path.join(state_directory(), "build", "download-cache")


def _stores(given: Sequence[str], top: str) -> tuple[str, ...]:
    if not given:
        given = os.environ.get(STORE_VARIABLE, "").split(":")
    chosen = tuple(os.path.abspath(path) for path in given if path)
    return chosen or (os.path.join(top, "store"), *_stores_of_nodes())


def _stores_of_nodes() -> list[str]:
    return sorted(glob.glob(os.path.join(glob.escape(state_directory()), "node", "*", "store")))


def _cache_options(chosen: Chosen) -> dict[str, str]:
    if not chosen.caches:
        return {}
    from slapos.build.cache.settings import CacheSettings

    keys = tuple(os.path.abspath(key) if os.path.exists(key) else key for key in chosen.keys)
    return CacheSettings(tuple(map(_url, chosen.caches)), keys, (), chosen.signatures).as_options()


def _url(text: str) -> str:
    """A directory may be named by a relative path."""
    return text if "://" in text else os.path.abspath(text)


def kept_release(release: Release) -> Result | None:
    """The result of a build that has nothing to do; None when it may have something to do."""
    from slapos.build.unchanged import unchanged

    if not os.path.isdir(release.directory):
        return None
    with _alone(release):
        return unchanged(job_of(release, 0), release.url)


def build_release(release: Release, jobs: int, on_progress: Callable[[Progress], None] | None = None) -> Result:
    """Build with the engine of a node, in a process of its own; alone in the release's directory.

    ``jobs``: commands that compile at once, 0 for one on each processor.  A failure of a part comes back as data.
    """
    from slapos.build.release import forget_completion, prepare, record_build

    prepare(release.directory, release.url)
    with _alone(release):
        forget_completion(release.directory)
        result = _run(job_of(release, jobs), on_progress)
        record_build(release.directory, release.url, result)
    return result


def _alone(release: Release) -> AbstractContextManager[None]:
    """Nobody else builds in the directory of the release meanwhile."""
    from slapos.system.locks import locked

    return locked(f"{release.directory}.lock", what=f"The release in {release.directory}")


def _run(job: Job, on_progress: Callable[[Progress], None] | None) -> Result:
    import tempfile

    from slapos.build.warm import Warm

    with (
        tempfile.TemporaryDirectory(prefix="hyperopenx-build-") as run,
        Warm(run_directory=run, preload=False) as engine,
    ):
        return engine.run(job, on_progress)


def job_of(release: Release, jobs: int) -> Job:
    """What the engine is asked for; ``jobs`` as for :func:`build_release`."""
    from slapos.build.release import build_job

    job = build_job(
        directory=release.directory,
        url=release.url,
        log=os.path.join(release.directory, "build.log"),
        download_cache=release.download_cache,
    )
    options = {**job.overrides["buildout"], **release.overrides["buildout"]}
    return dataclasses.replace(job, overrides={"buildout": options}, slots=jobs)
