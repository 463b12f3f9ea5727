"""What two readers could understand differently is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slapos.model.errors import InputError
from slapos.wire import strict_json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


@given(VALUES)
def test_round_trip(value: object) -> None:
    assert strict_json.loads(strict_json.dumps(value)) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_an_input_error(data: bytes) -> None:
    try:
        strict_json.loads(data)
    except InputError as error:
        assert error.reference == "invalid-json"


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}',
        '{"b": {"a": 1, "a": 1}}',
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1e999999999',
        "{} {}",
        "",
        "{'a': 1}",
        '{"a": ' + "9" * 5000 + "}",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        strict_json.loads(text.encode(), "parameters")
    assert caught.value.reference == "invalid-json"
    assert caught.value.context["field"] == "parameters"


def test_duplicate_is_named() -> None:
    with pytest.raises(InputError, match="'title' occurs twice"):
        strict_json.loads(b'{"title": "a", "x": 1, "title": "b"}')


@pytest.mark.parametrize("depth", [65, 5_000, 200_000])
def test_depth(depth: int) -> None:
    with pytest.raises(InputError, match="levels"):
        strict_json.loads(b"[" * (depth + 1) + b"]" * (depth + 1))


def test_depth_at_the_limit() -> None:
    value = json.loads("[" * 64 + "]" * 64)
    assert strict_json.loads(strict_json.dumps(value)) == value


def test_size() -> None:
    inside = b'"' + b"x" * (strict_json.SIZE_LIMIT - 2) + b'"'
    assert len(strict_json.loads(inside)) == strict_json.SIZE_LIMIT - 2
    with pytest.raises(InputError) as caught:
        strict_json.loads(inside + b" ")
    assert caught.value.reference == "too-large"


@pytest.mark.parametrize("text", ["[]", "null", '"a"', "1"])
def test_not_an_object(text: str) -> None:
    with pytest.raises(InputError, match="not an object"):
        strict_json.loads_object(text.encode())


def test_bytes_that_are_not_utf8() -> None:
    with pytest.raises(InputError):
        strict_json.loads(b'{"a": "\xff"}')
