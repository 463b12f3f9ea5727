"""The second XML of the field: flat parameters (spec/01 §1.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slapos.model.errors import InputError
from slapos.wire import parameter_document

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"))


def test_bytes() -> None:
    found = parameter_document.dumps({"b": True, "a": "<é>", "c": None, "d": {"b": 1}, "e": ""})
    assert found == (
        "<?xml version='1.0' encoding='utf-8'?>\n<instance>\n"
        '  <parameter id="a">&lt;é&gt;</parameter>\n'
        '  <parameter id="b">True</parameter>\n'
        '  <parameter id="c">None</parameter>\n'
        "  <parameter id=\"d\">{'b': 1}</parameter>\n"
        '  <parameter id="e"></parameter>\n'
        "</instance>\n"
    )


@given(st.dictionaries(TEXT, TEXT | st.sampled_from(["\r\n", " a ", "\t"])))
def test_round_trip(values: dict[str, str]) -> None:
    """But an empty text, which the format cannot tell from none."""
    expected = {key: value or None for key, value in values.items()}
    assert parameter_document.loads(parameter_document.dumps(values)) == expected


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        (" \n", {}),
        ("<instance/>", {}),
        ('<instance><parameter id="a">1</parameter><parameter id="a">2</parameter></instance>', {"a": "1 2"}),
        ('<instance><parameter id="a"/><parameter id="a">2</parameter></instance>', {"a": "2"}),
        ('<instance><parameter id="a"/><other id="b">2</other></instance>', {"a": None}),
    ],
)
def test_reading(text: str, values: dict[str, str | None]) -> None:
    assert parameter_document.loads(text) == values


@pytest.mark.parametrize(
    "text",
    [
        "<instance>",
        "<!DOCTYPE a [<!ENTITY b 'c'>]><instance/>",
        "<instance><parameter>1</parameter></instance>",
        '<instance><parameter id="a"><b/></parameter></instance>',
        "\x00",
        "\ud800",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parameter_document.loads(text)
    assert caught.value.reference == "invalid-xml"


@pytest.mark.parametrize("values", [{"a\x00": "1"}, {"a": "\x1f"}])
def test_control_characters_are_not_written(values: dict[str, str]) -> None:
    with pytest.raises(InputError) as caught:
        parameter_document.dumps(values)
    assert caught.value.reference == "invalid-text"
