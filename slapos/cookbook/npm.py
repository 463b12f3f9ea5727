"""``hyperopenx:npm``: exactly the packages of a ``package-lock.json``, fetched first, then installed without network.

npm checks the integrity that the lock gives for each file, when it fetches and again when it installs.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import Any, ClassVar

from slapos.build.command import CommandLog
from slapos.build.package_lock import problems, project_of, read_lock, with_addresses
from slapos.build.recipe import OptionsView
from slapos.cookbook.packaged import FETCH_SECONDS, LockedRecipe
from slapos.model.errors import MachineError, Unavailable
from slapos.system.files import atomic_write
from slapos.system.processes import Launch, run
from slapos.system.removal import remove_tree

_NPM = "/usr/bin/npm"
_PATIENCE = ("--fetch-retries=2", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=8000")
_QUIET = ("--no-audit", "--no-fund", "--no-update-notifier", "--logs-max=0", "--loglevel=warn", "--no-progress")


class Npm(LockedRecipe):
    """Gives ``location``, which has ``node_modules``, and ``bin-directory``."""

    lock: ClassVar[str] = "package-lock"
    programs: ClassVar[str] = "node_modules/.bin"
    compiles: ClassVar[bool] = True  # scripts of packages may
    host_packages: ClassVar[tuple[str, ...]] = ("nodejs", "npm", "python3")

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
            lock = read_lock(self.lock_text())
        except ValueError:
            raise self.error(
                "package-lock",
                "the file is no package-lock.json of version 2 or 3.",
                reference="invalid-file",
                hint="`npm install --package-lock-only` with npm 7 or newer writes it.",
            ) from None
        for problem in problems(lock["packages"]):
            raise self.error("package-lock", problem, reference="unpinned-requirement")
        return with_addresses(lock)

    def fetch_ahead(self) -> None:
        """Unless npm is itself to be built."""
        if os.path.exists(self._npm()):
            self._fetch(self._checked())

    def _fetch(self, lock: dict[str, Any]) -> str:
        """npm's cache with all files of the lock, in the download cache."""
        key = json.dumps([lock, self._options()], sort_keys=True)
        return self.fetched("npm", key, lambda directory: self._bring(lock, directory))

    def _bring(self, lock: dict[str, Any], directory: str) -> None:
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


def _own_directory(binary: str) -> str:
    """``…/npm/bin/npm-cli.js`` → ``…/npm``."""
    return os.path.dirname(os.path.dirname(os.path.realpath(binary)))


def _write_project(lock: dict[str, Any], directory: str) -> None:
    """The lock and its ``package.json``."""
    for name, data in (("package.json", project_of(lock)), ("package-lock.json", lock)):
        atomic_write(os.path.join(directory, name), json.dumps(data, indent=2), fsync=False)
