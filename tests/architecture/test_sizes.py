"""Limits of CONTRIBUTING.rst that ruff does not know.  Never raised: split, or argue it in docs/adr/."""

from __future__ import annotations

import ast

from tests.architecture.source import Function, body_lines, lines, sources

FILE_LINES = 400
TEST_FILE_LINES = 600
BODY_LINES = 40
ARGUMENTS = 6
#: Constructors whose signature zc.buildout, supervisord or the field's plugins and scripts dictate, by class or base.
DICTATED = {
    "Recipe",
    "Buildout",
    "Options",
    "Group",
    "Waker",
    "BaseResult",
    "SlapDocument",
    "SoftwareProductCollection",
}
#: Calls whose signature the scripts of the field dictate: docs/adr, "The classic library".
DICTATED_CALLS = {("slapos/slap/classic_requests.py", "request")}


def test_files_are_short() -> None:
    too_long = {
        source.name: count
        for source in sources()
        if (count := source.text.count("\n")) > (TEST_FILE_LINES if source.is_test else FILE_LINES)
    }
    assert not too_long, lines(too_long)


def test_functions_are_short() -> None:
    too_long = {
        f"{source.name}:{function.lineno} {function.name}": count
        for source in sources()
        for function, _ in source.functions()
        if (count := body_lines(function)) > BODY_LINES
    }
    assert not too_long, lines(too_long)


def test_functions_take_few_arguments() -> None:
    too_many = {
        f"{source.name}:{function.lineno} {function.name}": count
        for source in sources("slapos")
        for function, owner in source.functions()
        if (count := argument_count(function, owner)) > ARGUMENTS and not is_command(function)
        if (source.name, function.name) not in DICTATED_CALLS
    }
    assert not too_many, lines(too_many)


def test_constructors_take_keywords() -> None:
    """One positional argument at most: at the call, each value stands beside its name.  Private classes are free."""
    positional = {
        f"{source.name}:{function.lineno} {owner.name}": count
        for source in sources("slapos")
        for function, owner in source.functions()
        if owner is not None and function.name == "__init__" and not is_dictated(owner)
        if (count := len(function.args.posonlyargs) + len(function.args.args) - 1) > 1
    }
    assert not positional, lines(positional)


def argument_count(function: Function, owner: ast.ClassDef | None) -> int:
    arguments = function.args
    own = 1 if owner is not None and not has_decorator(function, "staticmethod") else 0
    return len(arguments.posonlyargs) + len(arguments.args) + len(arguments.kwonlyargs) - own


def has_decorator(function: Function, name: str) -> bool:
    return any(ast.unparse(item).split("(")[0].split(".")[-1] == name for item in function.decorator_list)


def is_command(function: Function) -> bool:
    """click hands one argument per option: what a command takes is what its person may write."""
    return has_decorator(function, "command") or has_decorator(function, "option")


def is_dictated(owner: ast.ClassDef) -> bool:
    return (
        owner.name.startswith("_")
        or owner.name in DICTATED
        or any(ast.unparse(base).split(".")[-1] in DICTATED for base in owner.bases)
    )
