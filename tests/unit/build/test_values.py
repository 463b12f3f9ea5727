"""Values written by ``dumps`` come back unchanged and mean nothing to anybody on the way."""

from __future__ import annotations

import json

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slapos.build.profile.reader import final_text, parse
from slapos.build.values import MARKER, as_text, dumps, loads
from slapos.model.errors import InputError

TEXTS = st.text() | st.sampled_from(
    ["${buildout:directory}", "%(__buildout_space_n__)s", "{{ 7 * 7 }}", "a\nb = c", "[x]", "# no", "; no", " \"'`$( "]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=10,
)


def canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True)


@given(VALUES)
def test_value_survives_a_profile(value: object) -> None:
    text = f"[part]\nrecipe = x\nvalue = {dumps(value)}\nafter = y\n"
    section = parse(text, "f")["part"]
    assert canonical(loads(final_text(section["value"]))) == canonical(value)
    assert final_text(section["after"]) == "y"
    assert list(parse(text, "f")) == ["part"]


@given(TEXTS)
def test_encoded_text_has_no_meaning_to_profiles_and_templates(value: str) -> None:
    encoded = dumps(value)
    assert "${" not in encoded and "%(" not in encoded and "\n" not in encoded and "@@" not in encoded
    assert jinja2.Environment().from_string(encoded).render() == encoded
    assert encoded.isascii()


def test_plain_texts_stay_readable() -> None:
    assert dumps("/srv/node/bin-x-1.2,y") == "/srv/node/bin-x-1.2,y"
    assert dumps("/srv/a b").startswith(MARKER)  # a list of words must not see two
    assert dumps("8080") == "8080" and loads("8080") == "8080"
    assert dumps(8080) == f"{MARKER}8080" and loads(dumps(8080)) == 8080


def test_values_inside_texts() -> None:
    assert [as_text(value) for value in ("x", 8080, 1.5, True, None)] == ["x", "8080", "1.5", "true", f"{MARKER}null"]


@pytest.mark.parametrize("value", [object(), {1: 2}, float("nan"), b"x"])
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(InputError) as caught:
        dumps(value)
    assert caught.value.reference == "invalid-option-value"
