"""``slapos.recipe.build:gitclone`` of the field: a working copy of a git repository, as ``hyperopenx:gitclone``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import ClassVar

from slapos.build.command import CommandLog
from slapos.build.place import Place
from slapos.build.recipe import Description, OptionsView, Recipe
from slapos.model.errors import MachineError
from slapos.system.processes import Launch, run

_FLAGS = ("develop", "shared", "use-cache", "ignore-ssl-certificate", "ignore-cloning-submodules")
_ASKING = 120.0  # seconds to name the revision of a branch


class GitClone(Recipe):
    """Gives ``location`` and, when no revision is given, ``revision``: the one that the branch has now."""

    runs_commands: ClassVar[bool] = True
    OPTIONS: ClassVar[dict[str, str]] = {
        "repository": "mandatory",
        "branch": "",
        "revision": "",
        "location": "parts/<name>",
        "git-executable": "git",
        "sparse-checkout": "",
        "depth": "",
        **dict.fromkeys(_FLAGS, "false"),
    }

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """``location``; a revision is known when the server was asked."""
        if not options.text("repository").strip():
            raise options.error("repository", "is mandatory and empty.", reference="missing-option")
        if options.text("depth", "") and options.integer("depth") < 1:
            raise options.error("depth", "is at least 1.", reference="invalid-option")
        for flag in _FLAGS:
            options.boolean(flag, False)
        location = options.text("location", "") or os.path.join(options.parts_directory, name)
        return Description(outputs={"location": os.path.normpath(os.path.join(options.directory, location))})

    def setup(self) -> None:
        self.wanted = self.text("revision", "").strip()
        self.branch = "" if self.wanted else self.text("branch", "").strip()  # a revision wins
        if not self.wanted and not self.boolean("develop", False):
            self.wanted = self._asked() or str(self.previous.get("revision", ""))
            if self.wanted:
                self.set("revision", self.wanted)

    def install(self) -> list[str]:
        location = self.text("location")
        if self.boolean("develop", False) and os.path.isdir(location):
            return []  # somebody's work
        self.stage("fetch")
        place = Place(location)
        with place.renewed() as work:
            tree = os.path.join(work, "tree")
            self._clone(tree)
            place.put(tree)
        return [] if self.boolean("develop", False) else [location]

    def _asked(self) -> str:
        """The revision of the branch on the server; empty when it cannot be had, the clone will say why."""
        if self.buildout["buildout"].get("offline") in (True, "true"):
            return ""
        branch = self.branch or "HEAD"
        command = [*self._git(), "ls-remote", "--quiet", "--", self.text("repository").strip(), branch]
        try:
            done = run(command, launch=Launch(directory=self.directory, environment=_environment()), timeout=_ASKING)
        except MachineError as error:
            self.logger.warning("The revision of %s is not known: %s", branch, error.message)
            return ""
        words = done.text.split() if done.code == 0 else []
        return words[0] if words else ""

    def _git(self) -> list[str]:
        options = ["-c", "http.sslVerify=false"] if self.boolean("ignore-ssl-certificate", False) else []
        return [self.text("git-executable", "").strip() or "git", *options]

    def _clone(self, tree: str) -> None:
        log = CommandLog(os.path.join(self.directory, ".build-log", f"{self.name}.log"), environment=_environment())
        revision = self.wanted
        sparse = self.text("sparse-checkout", "").strip()
        modules = not self.boolean("ignore-cloning-submodules", False)
        command = [*self._git(), "-c", "protocol.file.allow=always", "clone", "--quiet", *self._configuration()]
        if self.boolean("shared", False):
            command.append("--shared")
        if sparse:
            command.append("--no-checkout")
        if self.branch:
            command += ["--branch", self.branch]
        if self.text("depth", ""):
            command += ["--depth", str(self.integer("depth"))]
        if modules:
            command.append("--recurse-submodules")
        log.run([*command, "--", self.text("repository").strip(), tree], self.directory)
        if sparse:
            self._choose_files(tree, sparse)
        if revision or sparse:
            log.run([*self._git(), "reset", "--quiet", "--hard", *([revision] if revision else [])], tree)
        if modules:
            allowed = [*self._git(), "-c", "protocol.file.allow=always"]
            log.run([*allowed, "submodule", "--quiet", "update", "--init", "--recursive"], tree)

    def _configuration(self) -> list[str]:
        """What the working copy itself keeps."""
        result = ["--config", "http.sslVerify=false"] if self.boolean("ignore-ssl-certificate", False) else []
        if self.text("sparse-checkout", "").strip():
            result += ["--config", "core.sparseCheckout=true"]
        if not self.boolean("ignore-cloning-submodules", False):
            result += ["--config", "submodule.recurse=true"]
        return result

    def _choose_files(self, tree: str, patterns: str) -> None:
        path = os.path.join(tree, ".git", "info", "sparse-checkout")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(f"{patterns}\n")


def _environment() -> Mapping[str, str]:
    """That of the run; git never asks a person for anything."""
    return {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true"}
