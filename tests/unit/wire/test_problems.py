"""The closed table: each reference that our code raises is in it, with the class that both sides raise."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import slapos.model.errors as errors_module
from slapos.model import errors
from slapos.model.errors import KINDS, HyperopenxError
from slapos.wire import problems

ROOT = Path(errors_module.__file__).parent.parent
RAISING = ("model", "wire", "pki", "slap", "master", "schema")


def _raised() -> list[tuple[str, str, str]]:
    """(file, class, reference) of each error made with a literal reference in the packages behind the API."""
    found = []
    for package in RAISING:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name | ast.Attribute):
                    continue
                name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                for keyword in node.keywords:
                    value = keyword.value
                    if name in KINDS and keyword.arg == "reference" and isinstance(value, ast.Constant):
                        found.append((f"{package}/{path.name}", name, str(value.value)))
    return found


def test_every_reference_is_in_the_table_with_its_class() -> None:
    wrong = [
        (file, kind, reference)
        for file, kind, reference in _raised()
        if reference not in problems.PROBLEMS or not issubclass(KINDS[kind], problems.PROBLEMS[reference].kind)
    ]
    assert not wrong


@pytest.mark.parametrize("kind", KINDS.values())
def test_every_class_has_its_own_problem(kind: type[HyperopenxError]) -> None:
    assert problems.PROBLEMS[kind.default_reference].status == kind.status


@pytest.mark.parametrize("kind", KINDS.values())
def test_both_sides_raise_the_same(kind: type[HyperopenxError]) -> None:
    error = kind("It is so.", context={"field": "a", "list": [1, None]}, hint="Do this.")
    body = problems.to_problem(error)
    again = problems.from_answer(body["status"], body, "m")
    assert type(again) is kind
    assert again.as_data() == error.as_data()
    assert set(body) == {"type", "title", "status", "detail", "reference", "context", "hint", "kind"}


def test_an_unknown_reference_keeps_its_name_and_takes_the_type_of_its_class() -> None:
    body = problems.to_problem(errors.Conflict("x", reference="invented"))
    assert (body["type"], body["reference"], body["status"]) == ("urn:hyperopenx:conflict", "invented", 409)


def test_a_context_that_json_lacks_travels_as_text() -> None:
    body = problems.to_problem(errors.InputError("x", context={"path": Path("/a"), "set": {1}, "float": float("nan")}))
    assert body["context"] == {"path": "/a", "set": [1], "float": "nan"}


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.InputError("x"), 400, "Bad Request"),
        (errors.NotFound("x", reference="no-such-instance"), 403, "SOFTWARE-INSTANCE-NOT-FOUND"),
        (errors.NotFound("x", reference="no-such-node"), 403, "COMPUTE-NODE-NOT-FOUND"),
        (errors.Conflict("x"), 403, "Forbidden"),
        (errors.Refused("x"), 403, "Forbidden"),
        (errors.Unauthenticated("x"), 401, "Unauthorized"),
        (errors.NotFound("x", reference="unknown-method"), 404, "Not Found"),
        (errors.InternalError("Internal server error"), 500, "Internal Server Error"),
        (errors.InputError("x", reference="unsupported-content-type"), 415, "Unsupported Media Type"),
        (errors.InputError("x", reference="not-acceptable"), 406, "Not Acceptable"),
        (errors.Unavailable("x"), 503, "Service Unavailable"),
    ],
)
def test_the_dialect_of_the_field(error: HyperopenxError, status: int, code: str) -> None:
    body = problems.to_field_error(error)
    assert body == {"status": status, "type": code, "title": error.message}
    again = problems.from_answer(status, body, "m")
    assert again.message == error.message
    assert again.context["type"] == code
