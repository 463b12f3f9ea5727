"""Recipe names: one table, filled from the entry points of our own distribution.

A recipe is named ``<distribution>:<entry>``.  Stock buildout asks ``pkg_resources`` and may install an egg into the
running process; here a name is looked up, among ours and then among those of the field that ours serve, and a name
that is in neither table goes to ``foreign``: a fresh interpreter with the release's own eggs.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution
from typing import Any

from slapos.build.foreign.recipe import foreign_recipe
from slapos.build.options import Origin, profile_error
from slapos.build.profile.field_names import own_entry
from slapos.build.recipe import Recipe, identity

DISTRIBUTION = "hyperopenx"
GROUP = "zc.buildout"
NOTHING = "slapos.build:nothing"

Foreign = Callable[[str, Origin | None, str], type]


@cache
def own_recipes() -> Mapping[str, EntryPoint]:
    """``hyperopenx:<entry>`` → entry point, of the installed distribution."""
    try:
        found = distribution(DISTRIBUTION).entry_points
    except PackageNotFoundError:
        return {}
    return {f"{DISTRIBUTION}:{point.name}": point for point in found if point.group == GROUP}


def refuse_foreign(name: str, origin: Origin | None, section: str) -> type:
    """The answer to a name that nobody has."""
    close = difflib.get_close_matches(name, list(own_recipes()), n=1)
    raise profile_error(
        f"there is no recipe {name!r} here.",
        section=section,
        option="recipe",
        origin=origin,
        reference="unknown-recipe",
        hint=f"Did you mean {close[0]}?" if close else "The reference has a page for each recipe.",
    )


class Nothing(Recipe):
    """Does nothing; stands in for a recipe whose outputs are given (nested profiles)."""

    def install(self) -> list[str]:
        return []


class RecipeTable:
    """Finds the class of a recipe; ``extra`` classes go before the installed ones."""

    def __init__(self, extra: Mapping[str, type] | None = None, *, foreign: Foreign = foreign_recipe) -> None:
        self.extra = {NOTHING: Nothing, **(extra or {})}
        self.foreign = foreign

    def find(self, name: str, origin: Origin | None, section: str) -> type:
        """The class; :class:`ProfileError` ``unknown-recipe`` with the place of the option ``recipe``."""
        if name in self.extra:
            return self.extra[name]
        point = own_recipes().get(name) or own_recipes().get(f"{DISTRIBUTION}:{own_entry(name)}")
        if point is None:
            if name.startswith(f"{DISTRIBUTION}:"):
                refuse_foreign(name, origin, section)
            return self.foreign(name, origin, section)
        loaded: Any = point.load()
        if not isinstance(loaded, type):
            raise TypeError(f"{name} is no class")
        return loaded

    def is_foreign(self, name: str) -> bool:
        """Whether the recipe of an installed part is somebody else's."""
        full = name if ":" in name else f"{name}:default"
        known = full in self.extra or full.startswith(f"{DISTRIBUTION}:") or bool(own_entry(full))
        return not known and self.foreign is foreign_recipe


def preload() -> list[str]:
    """Import all recipes of ours and compute their identities.

    The names of those that cannot be imported come back; using one says why.
    """
    missing = []
    for name, point in own_recipes().items():
        try:
            identity(point.load())
        except ImportError:
            missing.append(name)
    return missing
