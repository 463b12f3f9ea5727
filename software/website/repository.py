"""Keeps the files of a git repository in a directory: fetched over http(s), changed as a whole.

    python repository.py settings.json            a service: looks at the repository at each interval
    python repository.py --check settings.json    a promise: exit status, and one sentence

``settings.json``: ``url``, ``branch`` or ``revision`` (both optional), ``interval`` (seconds), ``directory`` and
``status``. In ``directory``, ``current`` is a link to the files of one commit; nothing else is kept. Symbolic links,
submodules and names that begin with ``.`` (but ``.well-known``) are left out: what a server would show must not lead
out of the directory.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import stat
import sys
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import urllib3
from dulwich import errors
from dulwich.client import GitClient, HTTPUnauthorized, InvalidWants, get_transport_and_path_from_url
from dulwich.objects import Blob, Commit, ObjectID, Tag
from dulwich.refs import Ref
from dulwich.repo import Repo

TIME_LIMIT = 900  # seconds for one look with all that it fetches
CONNECT_LIMIT = 60.0  # seconds without an answer
SIZE_LIMIT = 1024**3  # bytes of all files
FILES_LIMIT = 100_000
SHOWN_DOT_NAMES = frozenset({".well-known"})
GRACE = 120.0  # seconds in which a first fetch may be under way

# What a server that is unreachable, wrong or hostile makes dulwich and urllib3 raise.
FAILURES = (
    AssertionError,
    EOFError,
    HTTPUnauthorized,
    InvalidWants,
    KeyError,
    OSError,
    ValueError,
    errors.ApplyDeltaError,
    errors.ChecksumMismatch,
    errors.FileFormatException,
    errors.GitProtocolError,
    errors.NotGitRepository,
    errors.ObjectMissing,
    errors.WrongObjectException,
    urllib3.exceptions.HTTPError,
    zlib.error,
)


@dataclass(frozen=True)
class Settings:
    """What is followed, and where its files go."""

    url: str
    directory: str
    status: str
    branch: str = ""
    revision: str = ""
    interval: float = 300.0

    @property
    def source(self) -> str:
        """What a status belongs to: another repository or branch begins anew."""
        return f"{self.url} {self.revision or self.branch or 'HEAD'}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("settings")
    given = parser.parse_args()
    with open(given.settings, encoding="utf-8") as stream:
        settings = Settings(**json.load(stream))
    if given.check:
        good, sentence = check(settings, time.time() - os.stat(given.settings).st_mtime)
        say(sentence)
        return 0 if good else 1
    signal.signal(signal.SIGALRM, _too_long)
    while True:
        follow(settings)
        time.sleep(settings.interval)


def follow(settings: Settings) -> None:
    """Look once, and write down how it went."""
    known = read_status(settings)
    signal.alarm(TIME_LIMIT)
    try:
        commit = update(settings)
    except FAILURES as error:
        reason = str(error) or type(error).__name__
        say(f"{settings.url}: {reason}")
        write_status(settings, {**known, "error": reason[:500]})
        return
    finally:
        signal.alarm(0)
    write_status(settings, {"commit": commit, "date": time.time(), "error": ""})
    if commit != known.get("commit"):
        say(f"{settings.url}: serving {commit}")


def check(settings: Settings, age: float) -> tuple[bool, str]:
    """Whether the files are fresh, in a sentence; ``age`` is that of the settings in seconds."""
    status = read_status(settings)
    commit, error = status.get("commit"), status.get("error")
    if not commit:
        if error:
            return False, f"{settings.url} was never fetched: {error}"
        return age < GRACE, f"{settings.url} is not fetched yet"
    if error and time.time() - status.get("date", 0) > max(3 * settings.interval, 600):
        return False, f"Commit {commit[:12]} is served; since then {settings.url} cannot be fetched: {error}"
    return True, f"Commit {commit[:12]} of {settings.source} is served"


def update(settings: Settings) -> str:
    """Bring the wanted commit to ``current``; its number."""
    if not settings.url.startswith(("http://", "https://")):
        raise ValueError("only http and https URLs are fetched")
    pool = urllib3.PoolManager(timeout=CONNECT_LIMIT, retries=2)
    client, path = get_transport_and_path_from_url(settings.url, pool_manager=pool, quiet=True)
    current = os.path.join(settings.directory, "current")
    wanted = settings.revision or advertised(client, path, settings)
    if os.path.islink(current) and os.path.isdir(current) and os.readlink(current) == wanted:
        return wanted
    os.makedirs(settings.directory, exist_ok=True)
    clean(settings.directory, keep=os.readlink(current) if os.path.islink(current) else "")
    fetched = os.path.join(settings.directory, f"{wanted}.git")
    files = os.path.join(settings.directory, wanted)
    os.mkdir(fetched)
    with Repo.init_bare(fetched) as repository:
        fetch(client, path, repository, wanted.encode())
        write_files(repository, wanted.encode(), f"{files}.new")
    os.rename(f"{files}.new", files)
    link(wanted, current)
    clean(settings.directory, keep=wanted)
    return wanted


def advertised(client: GitClient, path: str, settings: Settings) -> str:
    """The number of the commit that the branch is at."""
    name = f"refs/heads/{settings.branch}" if settings.branch else "HEAD"
    number = client.get_refs(path.encode()).refs.get(Ref(name.encode()))
    if number is None:
        raise ValueError(f"the repository has no {name}")
    text = str(number, "ascii")
    if not text.isalnum():
        raise ValueError(f"{name} is at {text[:60]!r}, which is no commit")
    return text


def fetch(client: GitClient, path: str, repository: Repo, wanted: bytes) -> None:
    """One commit without its history; all of it from a server that gives out no commit by number."""
    number = ObjectID(wanted)
    try:
        client.fetch(path, repository, determine_wants=lambda refs, depth=None: [number], depth=1)
    except (errors.GitProtocolError, InvalidWants):
        client.fetch(path, repository)
    if number not in repository.object_store:
        raise ValueError(f"the repository has no commit {wanted.decode()}")


def write_files(repository: Repo, wanted: bytes, target: str) -> None:
    """The plain files of a commit below ``target``, within the limits."""
    found: Any = repository[ObjectID(wanted)]
    while isinstance(found, Tag):
        found = repository[found.object[1]]
    if not isinstance(found, Commit):
        raise ValueError(f"{wanted.decode()} is no commit")
    size = 0
    os.mkdir(target)
    for number, (path, blob) in enumerate(plain_files(repository, found), start=1):
        size += len(blob.data)
        if size > SIZE_LIMIT or number > FILES_LIMIT:
            raise ValueError(f"the repository has more than {SIZE_LIMIT} bytes or {FILES_LIMIT} files")
        place = os.path.join(target, *path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "xb") as stream:
            stream.write(blob.data)


def plain_files(repository: Repo, commit: Commit) -> Iterator[tuple[list[str], Blob]]:
    """Path, in steps, and content of each file that is served."""
    for entry in repository.object_store.iter_tree_contents(commit.tree):
        steps = os.fsdecode(entry.path).split("/")
        if not stat.S_ISREG(entry.mode) or not all(map(is_shown, steps)):
            continue
        blob = repository[entry.sha]
        if isinstance(blob, Blob):
            yield steps, blob


def is_shown(name: str) -> bool:
    """Whether a file or directory of this name is served; never one that leads out of its directory."""
    return bool(name) and "\0" not in name and (not name.startswith(".") or name in SHOWN_DOT_NAMES)


def link(target: str, path: str) -> None:
    """``path`` becomes a link to ``target`` in one step."""
    temporary = f"{path}.new"
    if os.path.lexists(temporary):
        os.unlink(temporary)
    os.symlink(target, temporary)
    os.replace(temporary, path)


def clean(directory: str, keep: str) -> None:
    """Remove what other commits and killed runs left."""
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        if name in ("current", keep):
            continue
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)


def read_status(settings: Settings) -> dict[str, Any]:
    """What was written last about this source; empty when nothing was."""
    try:
        with open(settings.status, encoding="utf-8") as stream:
            status = json.load(stream)
    except (FileNotFoundError, ValueError):
        return {}
    if not isinstance(status, dict) or status.pop("source", None) != settings.source:
        return {}
    return status


def write_status(settings: Settings, status: Mapping[str, Any]) -> None:
    """Replace the status in one step."""
    os.makedirs(os.path.dirname(settings.status), exist_ok=True)
    temporary = f"{settings.status}.new"
    with open(temporary, "w", encoding="utf-8") as stream:
        json.dump({"source": settings.source, **status}, stream)
    os.replace(temporary, settings.status)


def say(sentence: str) -> None:
    """A line for the log of the service, or for the node."""
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


def _too_long(number: int, frame: Any) -> None:
    raise TimeoutError(f"it took more than {TIME_LIMIT} seconds")


if __name__ == "__main__":
    sys.exit(main())
