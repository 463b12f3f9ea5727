"""Texts of field recipes that take values by ``%(name)s``, and the environment that they give to commands."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from slapos.build.recipe import Recipe
from slapos.build.values import as_text
from slapos.cookbook.pieces import pairs


class Texts(Mapping[str, str]):
    """A mapping of option values as texts, ``@@LOCATION@@`` in them replaced."""

    def __init__(self, values: Mapping[str, Any], *, location: str = "") -> None:
        self.values_mapping = values
        self.location = location

    def __getitem__(self, name: str) -> str:
        return as_text(self.values_mapping[name]).replace("@@LOCATION@@", self.location)

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_mapping)

    def __len__(self) -> int:
        return len(self.values_mapping)


def percent_expanded(recipe: Recipe, option: str, text: str, values: Mapping[str, Any]) -> str:
    """``text % values``: ``%(name)s`` is the value, ``%%`` one percent sign."""
    try:
        return text % values
    except KeyError as error:
        why = f"%({error.args[0]})s names nothing that is there"
    except (TypeError, ValueError) as error:
        why = f"a percent sign in it is not understood: {error}"
    raise recipe.error(
        option, f"{why}.", reference="invalid-option", hint="Write %(name)s for a value and %% for a percent sign."
    )


def environment_of(recipe: Recipe, location: str = "") -> dict[str, str]:
    """The environment of the run with what the option ``environment`` gives: lines ``NAME=value``, or a section.

    ``%(NAME)s`` in a value is the variable of the run.
    """
    run = dict(os.environ)
    result = {"MAKEFLAGS": f"-j{len(os.sched_getaffinity(0))}"} | run
    for name, value in _given(recipe):
        text = value.replace("@@LOCATION@@", location)
        result[name] = percent_expanded(recipe, "environment", text, run)
    return result


def _given(recipe: Recipe) -> list[tuple[str, str]]:
    text = recipe.text("environment", "").strip()
    if text and "=" not in text:
        section = recipe.buildout[text]
        return [
            (name, as_text(section[name])) for name in section if not name.startswith(("_", "<")) and name != "recipe"
        ]
    found = pairs(recipe, "environment") if text else []
    for name, _ in found:
        if not name or [known for known, _ in found].count(name) > 1:
            raise recipe.error(
                "environment", f"has lines NAME=value, each name once, not {name[:60]!r}.", reference="invalid-option"
            )
    return found
