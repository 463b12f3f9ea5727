"""``jsondump`` and ``slapconfiguration.jsondump`` of the field: options and parameters as a JSON file."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from slapos.build.recipe import Description, OptionsView, Recipe
from slapos.cookbook.places import make_parents, path_below
from slapos.cookbook.slapconfiguration import SlapConfiguration
from slapos.system.files import write_if_changed

_OWN = frozenset({"recipe", "json-output"})


class JsonDump(Recipe):
    """All options but its own, sorted, in ``json-output``; only its owner reads it."""

    OPTIONS: ClassVar[dict[str, str]] = {"json-output": "mandatory", "<name>": ""}

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """``json-output``, absolute."""
        return Description(outputs={"json-output": path_below(options, "json-output", "")})

    def install(self) -> list[str]:
        names = [name for name in self.view if name not in _OWN and not name.startswith(("_", "<"))]
        return _written(self, {name: self.value(name) for name in names})

    update = install


class ConfigurationDump(SlapConfiguration):
    """The parameters of the instance in ``json-output``."""

    OPTIONS: ClassVar[dict[str, str]] = {**SlapConfiguration.OPTIONS, "json-output": "mandatory"}

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """``json-output``, absolute."""
        return Description(outputs={"json-output": path_below(options, "json-output", "")})

    def install(self) -> list[str]:
        return _written(self, self.value("configuration"))

    update = install


def _written(recipe: Recipe, value: Any) -> list[str]:
    path = recipe.text("json-output")
    make_parents(path)
    write_if_changed(path, json.dumps(value, indent=2, sort_keys=True), 0o600)
    return [path]
