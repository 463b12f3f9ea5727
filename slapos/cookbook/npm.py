"""``hyperopenx:npm``: exactly the packages of a ``package-lock.json``, fetched first, then installed without network.

npm checks the integrity that the lock gives for each file, when it fetches and again when it installs.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from typing import Any, ClassVar

from slapos.build.command import CommandLog
from slapos.build.recipe import Description, OptionsView
from slapos.cookbook.packaged import LockedRecipe, location_of
from slapos.model.errors import MachineError, Unavailable
from slapos.system.files import atomic_write
from slapos.system.locks import locked
from slapos.system.processes import Launch, run
from slapos.system.removal import remove_tree

FETCH_SECONDS = 1800.0
_NPM = "/usr/bin/npm"
_INTEGRITY = re.compile(r"sha(256|384|512)-[A-Za-z0-9+/=]+")
_REGISTRY = "https://registry.npmjs.org"  # npm asks the configured registry in its place
_OF_PROJECT = ("name", "version", "bin", "engines", "workspaces")
_DEPENDENCIES = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")
_PATIENCE = ("--fetch-retries=2", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=8000")
_QUIET = ("--no-audit", "--no-fund", "--no-update-notifier", "--logs-max=0", "--loglevel=warn", "--no-progress")


class Npm(LockedRecipe):
    """Gives ``location``, which has ``node_modules``, and ``bin-directory``."""

    lock: ClassVar[str] = "package-lock"
    compiles: ClassVar[bool] = True  # scripts of packages may
    host_packages: ClassVar[tuple[str, ...]] = ("nodejs", "npm", "python3")

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        options.text("package-lock")
        location = location_of(name, options)
        return Description({"location": location, "bin-directory": f"{location}/node_modules/.bin"})

    @classmethod
    def of_machine(cls, options: OptionsView) -> dict[str, str]:
        """The version of npm, which may be another than that of its package."""
        try:
            with open(os.path.join(_own_directory(options.text("npm", _NPM)), "package.json"), "rb") as stream:
                return {"version of npm": str(json.load(stream)["version"])}
        except (OSError, ValueError, KeyError):
            return {}  # a part of the release, not built yet: its digest counts

    def produce(self, work: str) -> None:
        """Files into the download cache, then ``npm ci --offline`` in the location."""
        self.stage("fetch")
        lock = self._checked()
        cache = self._fetch(lock)
        self.stage("install")
        shutil.copytree(cache, os.path.join(work, "cache"))
        target = self.place.now(self.place.location)
        os.makedirs(target, exist_ok=True)
        _write_project(lock, target)
        log = self.command_log({})
        log.environment["PATH"] = f"{os.path.dirname(self._npm())}:{log.environment['PATH']}"  # where its node is
        scripts = [] if self.boolean("scripts", True) else ["--ignore-scripts"]
        where = ["--offline", "--cache", log.seen(os.path.join(work, "cache"))]
        log.run([*self._program(log, work), "ci", *where, *_QUIET, *scripts, *self._options()], target)

    def _program(self, log: CommandLog, work: str) -> list[str]:
        """npm as a build sees it: one that replaced the npm of its package lies in files that no package owns."""
        own = _own_directory(self._npm())
        if not os.path.isdir(os.path.join(own, "node_modules")):
            return [self._npm()]
        copy = os.path.join(work, "npm")
        shutil.copytree(own, copy, symlinks=True)
        return ["node", log.seen(os.path.join(copy, "bin", "npm-cli.js"))]

    def _npm(self) -> str:
        return self.text("npm", _NPM)

    def _options(self) -> list[str]:
        return self.words("npm-options", ["--omit=dev"])

    def _checked(self) -> dict[str, Any]:
        """The lock, each of its packages pinned by a digest, with the address where npm has it."""
        try:
            lock = json.loads(self.lock_text())
            packages = lock["packages"]
            entries = {path: dict(entry) for path, entry in packages.items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self.error(
                "package-lock",
                "the file is no package-lock.json of version 2 or 3.",
                reference="invalid-file",
                hint="`npm install --package-lock-only` with npm 7 or newer writes it.",
            ) from None
        for problem in _problems(entries):
            raise self.error("package-lock", problem, reference="unpinned-requirement")
        for path, entry in entries.items():
            if path and not entry.get("inBundle"):
                entry.setdefault("resolved", _address(path, entry))
        return {**lock, "packages": entries}

    def _fetch(self, lock: dict[str, Any]) -> str:
        """npm's cache with all files of the lock, in the download cache."""
        key = json.dumps([lock, self._options()], sort_keys=True)
        directory = self.download_cache("npm", hashlib.sha256(key.encode()).hexdigest()[:32])
        os.makedirs(os.path.dirname(directory), exist_ok=True)
        with locked(f"{directory}.lock", timeout=FETCH_SECONDS, what="The download of packages"):
            if not os.path.isdir(directory):
                self._bring(lock, directory)
        return directory

    def _bring(self, lock: dict[str, Any], directory: str) -> None:
        if self.is_offline:
            raise Unavailable(
                "The packages are not in the download cache, and this run is offline.", reference="offline"
            )
        partial = f"{directory}.partial"
        remove_tree(partial)
        project, cache = os.path.join(partial, "project"), os.path.join(partial, "cache")
        os.makedirs(project)
        os.makedirs(cache)
        _write_project(lock, project)
        binary = self._npm()
        if not os.path.exists(binary):
            raise MachineError(
                f"{binary} is not there.", reference="missing-program", hint="Install Debian's nodejs and npm."
            )
        environment = {**os.environ, "PATH": f"{os.path.dirname(binary)}:{os.environ.get('PATH', os.defpath)}"}
        command = [binary, "ci", "--ignore-scripts", "--cache", cache, *_QUIET, *_PATIENCE, *self._options()]
        done = run(command, launch=Launch(directory=project, environment=environment), timeout=FETCH_SECONDS)
        if done.code != 0:
            raise self._unavailable(done.text)
        os.rename(cache, directory)
        remove_tree(partial)

    def _unavailable(self, text: str) -> Unavailable:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        told = [line.removeprefix("npm error").strip() for line in lines if line.startswith("npm error")]
        return Unavailable(
            f"{self.name}: npm cannot bring the packages: {' '.join(told[:3] or lines[-3:])[:500]}",
            reference="wrong-checksum" if "EINTEGRITY" in text else "source-unreachable",
            context={"tail": lines[-20:]},
        )


def _problems(packages: dict[str, dict[str, Any]]) -> Iterator[str]:
    """What in the entries of a lock leaves open which bytes are meant."""
    if len(packages) < 2 or "" not in packages:
        yield "the file names no package."
    for path, entry in packages.items():
        resolved = str(entry.get("resolved", ""))
        if not path or entry.get("inBundle"):
            continue
        if not path.startswith("node_modules/") or ".." in path.split("/"):
            yield f"{path[:100]!r} is not below node_modules."
        elif entry.get("link") or (resolved and not resolved.startswith(("https://", "http://"))):
            yield f"{path} is a link or comes from {resolved[:100]!r}, which no digest pins."
        elif not all(map(_INTEGRITY.fullmatch, str(entry.get("integrity", "")).split() or [""])):
            yield f"{path} has no integrity of at least 256 bits."


def _own_directory(binary: str) -> str:
    """``…/npm/bin/npm-cli.js`` → ``…/npm``."""
    return os.path.dirname(os.path.dirname(os.path.realpath(binary)))


def _address(path: str, entry: dict[str, Any]) -> str:
    """Where registries have a package: ``@scope/name`` → ``@scope/name/-/name-1.0.0.tgz``."""
    name = str(entry.get("name") or path.rpartition("node_modules/")[2])
    return f"{_REGISTRY}/{name}/-/{name.rpartition('/')[2]}-{entry.get('version')}.tgz"


def _write_project(lock: dict[str, Any], directory: str) -> None:
    """The lock, and the ``package.json`` that it was made from as far as npm compares the two."""
    root = lock["packages"][""]
    project = {name: root[name] for name in (*_OF_PROJECT, *_DEPENDENCIES) if name in root}
    atomic_write(os.path.join(directory, "package.json"), json.dumps(project, indent=2), fsync=False)
    atomic_write(os.path.join(directory, "package-lock.json"), json.dumps(lock, indent=2), fsync=False)
