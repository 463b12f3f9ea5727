"""``plone.recipe.command`` of the field: shell commands of a packager, as ``hyperopenx:field.command``."""

from __future__ import annotations

import os
from typing import ClassVar

from slapos.build.recipe import Description, OptionsView, Recipe
from slapos.cookbook.pieces import shell_text
from slapos.cookbook.places import check_argument
from slapos.model.errors import BuildFailed
from slapos.system.processes import Launch, run

_ANSWERS = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False, "": False}


class Command(Recipe):
    """``command`` runs at installation, ``update-command`` at every later run."""

    runs_commands: ClassVar[bool] = True
    OPTIONS: ClassVar[dict[str, str]] = {
        "command": "mandatory",
        "update-command": "",
        "stop-on-error": "false",
        "location": "",
    }

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """Only checks."""
        if not options.text("command").strip():
            raise options.error("command", "is empty.", reference="missing-option")
        _stops(options)
        for path in options.names("location", ()):
            _check_place(options, path)
        return Description()

    def install(self) -> list[str]:
        self._run("command")
        return [os.path.normpath(os.path.join(self.directory, path)) for path in self.names("location", ())]

    def update(self) -> list[str]:
        """Only what ``update-command`` says."""
        if self.text("update-command", "").strip():
            self._run("update-command")
        return []

    def _run(self, option: str) -> None:
        command = check_argument(self, option, shell_text(self, option))
        umask = os.umask(0)
        os.umask(umask)
        launch = Launch(directory=self.directory, environment=os.environ, umask=umask)
        done = run(["/bin/sh", "-c", command], launch=launch)
        for line in done.text.splitlines():
            self.logger.info("%s", line)
        if done.code == 0:
            return
        code = done.code or 0
        how = f"was ended by signal {-code}" if code < 0 else f"failed with status {code}"
        if _stops(self.view):
            raise BuildFailed(
                f"{self.name}: {option} {how}.",
                reference="build-command-failed",
                context={"code": code, "tail": done.text.splitlines()[-30:]},
            )
        self.logger.warning("%s %s; stop-on-error is not set.", option, how)


def _stops(options: OptionsView) -> bool:
    word = options.text("stop-on-error", "").strip().lower()
    if word not in _ANSWERS:
        raise options.error("stop-on-error", f"is true or false, not {word[:40]!r}.", reference="invalid-option")
    return _ANSWERS[word]


def _check_place(options: OptionsView, path: str) -> None:
    """What a part owns is removed with it: only what lies below the profile's directory can be."""
    top = os.path.normpath(options.directory)
    if not os.path.normpath(os.path.join(top, path)).startswith(f"{top}/"):
        raise options.error("location", f"{path[:100]!r} is not below {top}.", reference="path-outside")
