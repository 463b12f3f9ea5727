"""The Python files of the project, parsed once, for the tests beside it."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
FOLDERS = ("slapos", "tests", "benchmarks", "docs", "software", "stack", "component")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """``name`` is the path below the top of the repository, with slashes."""

    name: str
    text: str
    tree: ast.Module

    @property
    def is_test(self) -> bool:
        return self.name.startswith("tests/") or "/test/" in self.name or self.name.startswith("benchmarks/")

    def functions(self) -> Iterator[tuple[Function, ast.ClassDef | None]]:
        """Each function with the class whose method it is."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ClassDef):
                yield from ((item, node) for item in node.body if isinstance(item, Function))
        methods = {id(item) for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef) for item in node.body}
        for node in ast.walk(self.tree):
            if isinstance(node, Function) and id(node) not in methods:
                yield node, None


@functools.cache
def sources(*folders: str) -> tuple[Source, ...]:
    """All Python files of ``folders`` (default: of the project), sorted by path."""
    found = []
    for folder in folders or FOLDERS:
        for path in sorted((TOP / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            found.append(Source(path.relative_to(TOP).as_posix(), text, ast.parse(text, str(path))))
    return tuple(found)


def body_lines(function: Function) -> int:
    """Lines of the body without its docstring; a nested function counts with its parent."""
    body = list(function.body)
    if (
        isinstance(body[0], ast.Expr)
        and isinstance(body[0].value, ast.Constant)
        and isinstance(body[0].value.value, str)
    ):
        body.pop(0)
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def lines(found: object) -> str:
    """Findings one a line, for the message of an assertion: none may hide behind an ellipsis."""
    if isinstance(found, dict):
        return "\n" + "\n".join(f"{key}: {value}" for key, value in found.items())
    assert isinstance(found, list | set | tuple)
    return "\n" + "\n".join(map(str, sorted(found)))
