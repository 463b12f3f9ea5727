"""Every recipe has its page, and every option that it reads is in it."""

from __future__ import annotations

import ast
import inspect
import re
from importlib.metadata import EntryPoint, distribution
from pathlib import Path

import pytest

from slapos.build.recipe import Recipe

PAGES = Path(__file__).parents[3] / "docs" / "reference" / "recipes"
RECIPES = {point.name: point for point in distribution("hyperopenx").entry_points if point.group == "zc.buildout"}
READERS = frozenset({"text", "boolean", "integer", "lines", "words", "value"})
HEADINGS = ("Options", "Outputs", "Errors", "Example")
ROW = re.compile(r"^   \* - ``([^`]+)``\n     - (.+)\n     - ", re.MULTILINE)


def rows(name: str) -> dict[str, str]:
    """Option → default in the page's table of options."""
    text = (PAGES / f"{name}.rst").read_text()
    return dict(ROW.findall(text.partition("Options\n---")[2].partition("Outputs\n---")[0]))


def options_read(kind: type) -> set[str]:
    """Names given literally to ``text``, ``boolean`` … in the class and its bases."""
    found = set()
    for base in kind.__mro__:
        if issubclass(base, Recipe) and base is not Recipe:
            for node in ast.walk(ast.parse(inspect.getsource(base).strip())):
                is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
                if is_call and node.func.attr in READERS and node.args and isinstance(node.args[0], ast.Constant):
                    found.add(str(node.args[0].value))
    return found


def loaded(point: EntryPoint) -> type[Recipe]:
    kind = point.load()
    assert isinstance(kind, type) and issubclass(kind, Recipe)
    return kind


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_has_a_page_with_its_options(name: str) -> None:
    text = (PAGES / f"{name}.rst").read_text()
    assert text.startswith(f"{name}\n{'=' * max(len(name), 3)}\n")
    for heading in HEADINGS:
        assert f"\n{heading}\n{'-' * len(heading)}\n" in text
    assert f"recipe = hyperopenx:{name}\n" in text
    kind = loaded(RECIPES[name])
    documented = rows(name)
    declared: dict[str, str] = getattr(kind, "OPTIONS", {})
    for option in declared:
        assert option in documented, f"{name}: {option} is declared and not documented"
    outputs = set(re.findall(r"^   \* - ``([^`]+)``", text.partition("Outputs\n---")[2], re.MULTILINE))
    missing = options_read(kind) - set(documented) - outputs
    assert not missing, f"{name}: {missing} is read and not documented"


def test_no_page_is_without_a_recipe() -> None:
    assert {page.stem for page in PAGES.glob("*.rst")} == set(RECIPES)
