"""``hyperopenx:shell``: a shell with the programs of an instance, for people who look into it."""

from __future__ import annotations

import json
import os
import shlex
from typing import ClassVar

from slapos.build.recipe import Description, OptionsView, Recipe
from slapos.cookbook.places import check_argument, file_below, make_parents
from slapos.cookbook.script import exec_script
from slapos.system.files import write_if_changed


class Shell(Recipe):
    """Writes ``wrapper``, which starts ``shell`` with ``HOME``, ``PATH``, ``PS1`` and ``SHELL`` set."""

    OPTIONS: ClassVar[dict[str, str]] = {
        "wrapper": "mandatory",
        "shell": "mandatory",
        "home": "mandatory",
        "path": "mandatory",
        "ps1": "",
    }

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """``wrapper``, absolute."""
        return Description(outputs={"wrapper": file_below(options, "wrapper", "")})

    def install(self) -> list[str]:
        path, shell = self.text("wrapper"), check_argument(self, "shell", self.text("shell").strip())
        variables = {
            "HOME": self.text("home"),
            "PATH": ":".join(self.lines("path")),
            "PS1": self._prompt(),
            "SHELL": shell,
        }
        lines = [f"export {name}={shlex.quote(check_argument(self, 'path', text))}" for name, text in variables.items()]
        make_parents(path)
        write_if_changed(path, exec_script([shell], lines), 0o700)
        return [path]

    update = install

    def _prompt(self) -> str:
        given = self.text("ps1", "")
        if not given:
            return os.environ.get("PS1", "> ")
        try:
            return str(json.loads(given))
        except ValueError:
            raise self.error("ps1", "is text in JSON, within quotes.", reference="invalid-option") from None
