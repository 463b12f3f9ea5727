"""``slapos.recipe.build`` of the field: a part made by Python of the profile, as ``hyperopenx:field.script``."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from slapos.build.recipe import Description, OptionsView
from slapos.cookbook.linked_libraries import check_promises
from slapos.cookbook.packager_code import run_code
from slapos.cookbook.pieces import code_text
from slapos.cookbook.script_tools import Tools, call, guessworkdir, is_true
from slapos.cookbook.shared_part import SharedRecipe
from slapos.model.errors import BuildFailed
from slapos.system.removal import remove_tree

_SCRIPTS = ("init", "install", "update")


class FieldScript(SharedRecipe):
    """``init`` runs when the section is first used, ``install`` makes ``location``, ``update`` when all is kept."""

    runs_commands: ClassVar[bool] = True
    OPTIONS: ClassVar[dict[str, str]] = {
        "init": "",
        "install": "",
        "update": "",
        "location": "parts/<name>",
        "url": "",
        "md5sum": "",
        "slapos_promise": "",
        "environment": "",
        "keep-on-error": "false",
        "shared": "false",
    }

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """Only checks: what a script gives is known once it ran."""
        if not any(options.text(script, "").strip() for script in _SCRIPTS):
            raise options.error("install", "or init or update is mandatory.", reference="missing-option")
        if options.text("setup-eggs", "").strip():
            raise options.error(
                "setup-eggs",
                "is not supported.",
                reference="unsupported-option",
                hint="Install the eggs with zc.recipe.egg, and run the interpreter that it makes.",
            )
        return Description()

    def setup(self) -> None:
        self.tools = Tools(self)
        has_install = self._has("install")
        if self._has("update"):
            self.refuse_shared("update", "does not go with shared.")
        if not has_install:
            self.refuse_shared("install", "is mandatory for a shared part.")
            self._run("init")
            return
        given = self.text("location", "")
        self.locate()
        chosen = self.site.location
        if given:
            self.set("location", given)
        self._run("init")
        if self.text("location") not in ("", chosen):
            self.place("location")

    def install(self) -> list[str]:
        if not self._has("install"):
            return self.update()
        if not self.text("location"):
            self._run("install")
            return []
        return super().install()

    def update(self) -> list[str]:
        """The script ``update``; a shared part that has gone is made again."""
        if self._has("install") and self.site.record is not None:
            return super().update()
        self._run("update")
        return []

    def produce(self, work: str) -> None:
        """Run the script; it makes the location."""
        location = self.text("location")
        try:
            self._run("install")
            if not os.path.lexists(location):
                raise BuildFailed(
                    f"{self.name}: install did not make {location}.",
                    reference="nothing-installed",
                    context={"location": location},
                )
            check_promises(self, "slapos_promise", location)
        except BaseException:
            self._keep_what_failed(location)
            raise
        finally:
            self.tools.clean_up()

    def _keep_what_failed(self, location: str) -> None:
        if self.boolean("keep-on-error", False) and os.path.lexists(location):
            kept = f"{location}.failed"
            remove_tree(kept)
            os.rename(location, kept)
            self.logger.info("What failed is kept at %s.", kept)

    def _has(self, script: str) -> bool:
        return bool(self.text(script, "").strip())

    def _run(self, script: str) -> None:
        if not self._has(script):
            return
        names: dict[str, Any] = {"call": call, "guessworkdir": guessworkdir, "is_true": is_true}
        names |= {"self": self.tools, "options": self.options}
        if "location" in self.options:
            names["location"] = self.options["location"]
        run_code(self, script, code_text(self, script, language="a Python script"), names)
