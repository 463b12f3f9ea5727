"""The words of a recipe: every text in its source.  An option whose name is none of them is read by nobody."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from functools import cache

from slapos.build.profile.field_names import own_entry
from slapos.build.profile.names import DISTRIBUTION, own_recipes


@cache
def words_of(recipe: str) -> frozenset[str] | None:
    """The texts in the modules of a recipe and in those of recipes that these import; None for one that is not ours."""
    point = own_recipes().get(recipe) or own_recipes().get(f"{DISTRIBUTION}:{own_entry(recipe)}")
    if point is None:
        return None
    found: set[str] = set()
    for module in _reached(point.module):
        found |= _texts(module)
    return frozenset(found)


def _reached(module: str) -> Iterator[str]:
    """``module`` and what it imports of the same package, directly or not."""
    package = f"{module.rpartition('.')[0]}."
    seen: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            yield name
            todo += [other for other in _imported(name) if other.startswith(package)]


@cache
def _tree(module: str) -> ast.Module:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return ast.Module([], [])
    with open(spec.origin, "rb") as stream:
        return ast.parse(stream.read())


def _imported(module: str) -> set[str]:
    return {node.module for node in ast.walk(_tree(module)) if isinstance(node, ast.ImportFrom) and node.module}


@cache
def _texts(module: str) -> frozenset[str]:
    nodes = ast.walk(_tree(module))
    return frozenset(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
