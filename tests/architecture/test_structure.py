"""Rules of names, places and handlers that keep the layers what they are."""

from __future__ import annotations

import ast
import re
from collections import defaultdict

from tests.architecture.source import TOP, Source, lines, sources

#: The doors.  Anywhere else a handler names what it expects.
DOORS = {
    "slapos/node/daemon.py",  # the loops of the daemon
    "slapos/master/application.py",  # the HTTP handler
    "slapos/cli/main.py",  # the entry of the command
    "slapos/promises/child.py",  # the promise runner, in the process that runs a promise
    "slapos/build/warm_worker.py",  # the top function of the warm child
    "slapos/build/foreign/child.py",  # the interpreter that runs recipes of other people (docs/adr/0011)
}
#: Names that click and supervisord call us by.
DICTATED_NAMES = {"get_command", "get_dispatchers", "get_unstopped_processes", "get_state"}
#: An endpoint is called by the verb of its method: ``hyperopenx.get.v0.instance``.
NAMED_BY_VERB = "slapos/master/endpoints/"
FOREIGN_NAMES = ("crypto.py", "signature.py", "libnetworkcache.py", "recipe", "promise")
PLAIN_NAMES = re.compile(r"^(get_|_get_)|(Manager|Helper)$")
REFERENCE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def test_namespace_has_no_init() -> None:
    assert not (TOP / "slapos/__init__.py").exists()


def test_names_of_others_are_left_to_them() -> None:
    assert [name for name in FOREIGN_NAMES if (TOP / "slapos" / name).exists()] == []


def test_broad_handlers_are_at_the_doors_only() -> None:
    broad = [
        f"{source.name}:{handler.lineno}"
        for source in sources("slapos")
        if source.name not in DOORS
        for handler in ast.walk(source.tree)
        if isinstance(handler, ast.ExceptHandler) and is_broad(handler) and not cleans_up(handler)
    ]
    assert not broad, lines(broad)


def test_every_door_exists() -> None:
    names = {source.name for source in sources("slapos")}
    assert DOORS - names == set()


def test_names_say_what_they_are() -> None:
    bad = [
        f"{source.name}:{node.lineno} {node.name}"
        for source in sources("slapos")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and PLAIN_NAMES.search(node.name)
        if node.name not in DICTATED_NAMES and not source.name.startswith(NAMED_BY_VERB)
    ]
    bad += [source.name for source in sources("slapos") if source.name.endswith(("/utils.py", "/helpers.py"))]
    assert not bad, lines(bad)


def test_error_references_are_stable_names() -> None:
    """One reference is one kind of error: whoever matches on it must not meet two."""
    kinds: dict[str, set[str]] = defaultdict(set)
    for source in sources("slapos"):
        for kind, reference in error_references(source):
            assert REFERENCE.fullmatch(reference), f"{source.name}: {reference!r}"
            kinds[reference].add(kind)
    twice = {reference: found for reference, found in kinds.items() if len(found) > 1}
    assert not twice, lines(twice)


def test_every_source_file_says_what_it_is() -> None:
    silent = [source.name for source in sources("slapos") if source.text and not ast.get_docstring(source.tree)]
    assert not silent, lines(silent)


def is_broad(handler: ast.ExceptHandler) -> bool:
    names = [handler.type] if not isinstance(handler.type, ast.Tuple) else handler.type.elts
    return any(name is None or ast.unparse(name) in ("Exception", "BaseException") for name in names)


def cleans_up(handler: ast.ExceptHandler) -> bool:
    """The handler ends with a bare ``raise``: it hides nothing."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def error_references(source: Source) -> list[tuple[str, str]]:
    """``(kind, reference)`` of every error raised with a literal reference."""
    return [
        (ast.unparse(call.func).split(".")[-1], keyword.value.value)
        for call in ast.walk(source.tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func).split(".")[-1][:1].isupper()
        for keyword in call.keywords
        if keyword.arg == "reference"
        and isinstance(keyword.value, ast.Constant)
        and isinstance(keyword.value.value, str)
    ]
