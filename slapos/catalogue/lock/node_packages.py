"""Refreshes a ``package-lock.json``, as the recipe ``npm`` reads it: npm chooses, where it is configured to look.

What is wanted stands in the ``package.json`` beside it, else in the lock itself.  Addresses of registries are left out:
the integrity says which bytes are meant.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from typing import Any

from slapos.build.package_lock import DEPENDENCIES, problems, project_of, read_lock, without_addresses
from slapos.catalogue.lock.listed import (
    Exact,
    LockFile,
    declared_beside,
    json_text,
    require_same_bytes,
    require_wanted,
    text_at,
    unavailable,
)
from slapos.model.errors import InputError, MachineError
from slapos.system.processes import Launch, run

_NPM = "/usr/bin/npm"
_SECONDS = 900.0
_QUIET = ("--no-audit", "--no-fund", "--no-update-notifier", "--logs-max=0", "--loglevel=warn", "--no-progress")
_LOCKING = ("install", "--package-lock-only", "--ignore-scripts", "--omit-lockfile-registry-resolved")
_PATIENCE = ("--fetch-retries=2", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=8000")


def refreshed(lock: LockFile) -> tuple[str, Mapping[str, Exact], Mapping[str, Exact]]:
    """The new text, what was pinned and what is now, by place (``node_modules/semver``).

    ``InputError`` ``invalid-file``, ``no-packages``, ``packages-declared`` or ``unpinned-requirement``; ``Conflict``
    ``source-changed``; ``MachineError`` ``missing-program``; ``Unavailable`` with what npm says.
    """
    former = _former(lock)
    project = _project(lock, former)
    require_wanted(lock, [*lock.wanted, *(name for kind in DEPENDENCIES for name in project.get(kind, ()))])
    chosen = without_addresses(_chosen(lock, project))
    for problem in problems(chosen["packages"]):
        raise InputError(
            f"[{lock.part}]: {problem}",
            reference="unpinned-requirement",
            context={"part": lock.part, "lock": lock.path},
        )
    old, new = _exact(former), _exact(chosen)
    require_same_bytes(lock, old, new)
    return lock.text if former == chosen else json_text(chosen), old, new


def _former(lock: LockFile) -> dict[str, Any]:
    if not lock.text.strip():
        return {"packages": {"": {}}}
    try:
        return read_lock(lock.text)
    except ValueError:
        raise InputError(
            f"{lock.path} is no package-lock.json of version 2 or 3.",
            reference="invalid-file",
            context={"file": lock.path},
            hint="Remove it, and have it made anew.",
        ) from None


def _project(lock: LockFile, former: Mapping[str, Any]) -> dict[str, Any]:
    """The ``package.json`` to ask npm with."""
    path = os.path.join(os.path.dirname(lock.path), "package.json")
    if declared_beside(lock, path):
        try:
            return dict(json.loads(text_at(path)))
        except ValueError:
            raise InputError(f"{path} is no JSON object.", reference="invalid-file", context={"file": path}) from None
    project = project_of(former) if "" in former["packages"] else {}
    kept = {name: value for name, value in project.items() if not (lock.wanted and name in DEPENDENCIES)}
    return {"name": lock.part, "version": "1.0.0", **kept}


def _chosen(lock: LockFile, project: Mapping[str, Any]) -> dict[str, Any]:
    npm = lock.tool or _NPM
    if not os.path.exists(npm):
        raise MachineError(f"{npm} is not there.", reference="missing-program", hint="Install Debian's nodejs and npm.")
    environment = {**os.environ, "PATH": f"{os.path.dirname(npm)}:{os.environ.get('PATH', os.defpath)}"}
    with tempfile.TemporaryDirectory(prefix="hyperopenx-lock-") as directory:
        with open(os.path.join(directory, "package.json"), "w", encoding="utf-8") as stream:
            stream.write(json_text(project))
        cache = os.path.join(directory, "cache")  # answers of a registry are not to be old ones
        command = [
            npm,
            *_LOCKING,
            *_QUIET,
            *_PATIENCE,
            "--cache",
            cache,
            *(["--", *lock.wanted] if lock.wanted else []),
        ]
        done = run(command, launch=Launch(directory=directory, environment=environment), timeout=_SECONDS)
        if done.code != 0:
            raise unavailable(lock, done, "npm", lambda line: line.startswith("npm error"))
        return read_lock(text_at(os.path.join(directory, "package-lock.json")))


def _exact(lock: Mapping[str, Any]) -> dict[str, Exact]:
    packages = {path: entry for path, entry in lock["packages"].items() if path}
    return {
        path: Exact(str(entry.get("version", "")), tuple(str(entry.get("integrity", "")).split()))
        for path, entry in packages.items()
    }
