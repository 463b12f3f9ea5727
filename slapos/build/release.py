"""A release on a node: its directory, what was built into it, and how long that took.

``<software_root>/<md5 of the URL>`` holds the result; ``.completed`` says that it is whole, and the record beside it
(``.hyperopenx-release.json``) what it was made of: every profile, template and patch with its sha256, so that a release
that changes under its URL is seen.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from slapos.build.job import Job, Profiled, Result
from slapos.build.locations import is_url, path_of
from slapos.build.own_buildout import builds_itself
from slapos.model.errors import InputError
from slapos.system.below import read_below
from slapos.system.disk import require_free_space
from slapos.system.files import atomic_write, make_directory, write_json

COMPLETED = ".completed"
RECORD = ".hyperopenx-release.json"


@dataclass(frozen=True)
class ReleaseRecord:
    """How a release was last built: ``seconds`` per part, ``built_at`` in UTC epoch seconds, ``stored``: part → digest
    of the parts that lie in the store."""

    url: str
    profiles: tuple[Profiled, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    built_at: float = 0.0
    stored: Mapping[str, str] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> ReleaseRecord:
        profiles = tuple(Profiled(**profile) for profile in data["profiles"])
        return cls(data["url"], profiles, dict(data["seconds"]), data["built_at"], dict(data.get("stored", {})))


def release_directory(software_root: str, url: str) -> str:
    """Where the release of this URL lies; the name is the field's, md5 of the URL's UTF-8 bytes."""
    return os.path.join(software_root, hashlib.md5(url.encode(), usedforsecurity=False).hexdigest())


def profile_of(url: str) -> str:
    """What the engine reads for a release URL: the URL, or the absolute path of a file."""
    if is_url(url):
        return path_of(url) if url.startswith("file:") else url
    if not os.path.isabs(url):
        raise InputError(
            f"{url!r} is no release: it is neither an http(s) or file URL nor an absolute path.",
            reference="invalid-release",
            context={"field": "release", "release": url},
        )
    return url


def is_complete(directory: str) -> bool:
    """Whether the release in this directory is whole."""
    return os.path.exists(os.path.join(directory, COMPLETED))


def prepare(directory: str, url: str, *, min_free_space: int = 0) -> None:
    """Make the directory of a release (0755); ``MachineError`` ``disk-full`` when too little is free."""
    profile_of(url)
    make_directory(directory, 0o755)
    require_free_space(directory, min_free_space)


def read_record(directory: str) -> ReleaseRecord | None:
    """How the release was last built; None when it never was, or when nobody can tell."""
    try:
        return ReleaseRecord.from_data(json.loads(read_below(directory, RECORD)))
    except (OSError, InputError, ValueError, KeyError, TypeError, AttributeError):
        return None  # it lies where the build's user may put anything


def expected_seconds(directory: str) -> dict[str, float]:
    """Seconds per part in former builds, empty when there were none."""
    record = read_record(directory)
    return dict(record.seconds) if record else {}


def build_job(
    *,
    directory: str,
    url: str,
    log: str,
    user: str | None = None,
    download_cache: str = "",
    stores: Sequence[str] = (),
) -> Job:
    """The job that builds the release ``url`` in ``directory`` (see :func:`prepare`); ``stores`` are the roots of its
    store, none for a release that keeps all to itself."""
    options = {"extends-cache": os.path.join(directory, "extends-cache")}
    if download_cache:
        options["download-cache"] = download_cache
    if stores:
        options["store"] = "\n".join(stores)
    return Job(
        kind="build",
        directory=directory,
        profile=profile_of(url),
        log=log,
        overrides={"buildout": options},
        user=user,
        umask=0o022,
        label=url,
        expected=expected_seconds(directory),
        own=builds_itself(directory),
    )


def record_build(directory: str, url: str, result: Result) -> ReleaseRecord:
    """Remember what a run told; a release whose run is done is marked complete, last of all."""
    seconds = expected_seconds(directory)
    seconds |= {part.part: round(part.seconds, 1) for part in result.parts if part.outcome == "installed"}
    stored = result.stored if result.outcome == "done" else _stored(directory)
    record = ReleaseRecord(url, result.profiles, seconds, time.time(), stored)
    write_json(os.path.join(directory, RECORD), record.as_data())
    if result.outcome == "done":
        atomic_write(os.path.join(directory, COMPLETED), time.strftime("%Y-%m-%d %H:%M:%S UTC\n", time.gmtime()))
    return record


def _stored(directory: str) -> Mapping[str, str]:
    """Of the last build that was whole: what a failed one is compared with."""
    record = read_record(directory)
    return record.stored if record else {}


def forget_completion(directory: str) -> None:
    """From now on the release counts as not built (a build begins)."""
    path = os.path.join(directory, COMPLETED)
    if os.path.exists(path):
        os.unlink(path)
