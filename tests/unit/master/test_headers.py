"""Which headers let a method be called."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from slapos.master.headers import JSON, accepts, check_headers
from slapos.model.errors import InputError


@pytest.mark.parametrize(
    ("ranges", "taken"),
    [
        ("application/json", True),
        ("APPLICATION/JSON", True),
        ("application/json; charset=utf-8; q=0.5", True),
        ("text/html, */*;q=0.1", True),
        ("application/*", True),
        ("text/html", False),
        ("application/json;q=0", False),
        ("application/json;q=0, */*", False),
        ("application/json, */*;q=0", True),
        ("*/*;q=0", False),
        ("*/*;q=much", False),
        (";,;", False),
    ],
)
def test_accept(ranges: str, taken: bool) -> None:
    assert accepts(ranges, JSON) is taken


@pytest.mark.parametrize(
    ("verb", "headers", "method", "reference"),
    [
        ("POST", {"Content-Type": "application/json"}, "slapos.x", ""),
        ("POST", {"Content-Type": "Application/JSON ;charset=utf-8", "Accept": ""}, "slapos.x", ""),
        ("POST", {"Content-Type": "application/json", "Accept": "application/problem+json"}, "hyperopenx.x", ""),
        (
            "POST",
            {"Content-Type": "application/json", "Accept": "application/problem+json"},
            "slapos.x",
            "not-acceptable",
        ),
        ("POST", {"Content-Type": "application/json", "Accept": "text/html"}, "hyperopenx.x", "not-acceptable"),
        ("POST", {"Content-Type": "application/jsonp"}, "slapos.x", "unsupported-content-type"),
        ("POST", {}, "slapos.x", "unsupported-content-type"),
        ("GET", {}, "slapos.x", "wrong-http-method"),
    ],
)
def test_headers(verb: str, headers: dict[str, str], method: str, reference: str) -> None:
    try:
        check_headers(verb, Headers(headers), method)
        found = ""
    except InputError as error:
        found = error.reference
    assert found == reference
