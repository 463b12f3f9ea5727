"""Parameters as people write them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slapos.cli.parameters import carried_values, is_structured, read_pair, read_parameters, read_texts, serialise
from slapos.model.errors import InputError
from slapos.wire import parameter_document

NONE = '<parameter id="none"/></instance>'


def test_pair_keeps_everything_after_the_first_equals_sign() -> None:
    assert read_pair("title=a = b ${x:y} {{ }} %(z)s") == ("title", "a = b ${x:y} {{ }} %(z)s")


@given(st.text())
def test_any_text_comes_through(value: str) -> None:
    assert read_pair(f"key={value}") == ("key", value)


def test_typed_pair_is_json() -> None:
    assert read_pair("port:=80") == ("port", 80)
    assert read_pair("list:=[1, 2]") == ("list", [1, 2])


@pytest.mark.parametrize("word", ["title", "=x", ":=1", "port:={"])
def test_what_is_no_pair_is_named(word: str) -> None:
    with pytest.raises(InputError) as caught:
        read_pair(word)
    assert caught.value.reference == "invalid-parameters"
    assert caught.value.context["field"] in (word, word.partition(":")[0])


@pytest.mark.parametrize("name", ["p.json", "p.yaml", "p.yml"])
def test_words_override_the_file(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text('{"title": "from file", "count": 3}')
    assert read_parameters(["title=from word"], str(file)) == {"title": "from word", "count": 3}
    assert read_parameters([str(file)]) == {"title": "from file", "count": 3}


def test_the_document_of_the_field_is_read(tmp_path: Path) -> None:
    file = tmp_path / "p.xml"
    file.write_text(parameter_document.dumps({"title": "é ${x}", "port": "80"}).replace("</instance>", NONE))
    assert read_parameters([], str(file)) == {"title": "é ${x}", "port": "80", "none": ""}


@pytest.mark.parametrize(
    ("name", "content"),
    [("p.xml", "<a"), ("p.json", "{"), ("p.json", "[1]"), ("p.yaml", "a: [1"), ("p.txt", "{}"), ("p.json", None)],
)
def test_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: str | None) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_text(content)
    with pytest.raises(InputError) as caught:
        read_parameters([], str(file))
    assert caught.value.context["file"] == str(file)


def test_structure_travels_under_underscore_once() -> None:
    values = {"title": "é", "nested": {"a": [1]}}
    assert is_structured(values)
    carried = serialise(values, True)
    assert list(carried) == ["_"]
    assert json.loads(carried["_"]) == values
    assert serialise(carried, True) == carried


def test_flat_texts_stay_flat() -> None:
    assert not is_structured({"a": "1"})
    assert serialise({"a": "1", "b": 2}, False) == {"a": "1", "b": "2"}
    assert serialise({}, True) == {}


def test_sla_is_texts() -> None:
    assert read_texts(["computer_guid=COMP-1"], "sla") == {"computer_guid": "COMP-1"}
    with pytest.raises(InputError):
        read_texts(["computer_guid:=1"], "sla")


def test_carried_values_are_read_back() -> None:
    assert carried_values({"_": '{"url": "https://x", "n": 1}', "other": "y"}) == {
        "url": "https://x",
        "n": 1,
        "other": "y",
    }
    for texts in ({"_": "not json"}, {"_": "[1]"}, {"url": "x"}, {}):
        assert carried_values(texts) == texts


@pytest.mark.parametrize(
    ("name", "content", "field"),
    [
        ("p.json", '{"a": {"b": ["x", "\\u0000"]}}', "parameters.a.b[1]"),
        ("p.json", '{"a": "\\ud800"}', "parameters.a"),
        ("p.json", '{"a\\u0007": 1}', "parameters (a key)"),
        ("p.json", '{"a": NaN}', "parameters.a"),
        ("p.json", '{"a": ' + "[" * 100 + "]" * 100 + "}", "parameters.a"),
        ("p.yaml", "a: 2024-01-01", "parameters.a"),
        ("p.yaml", "a: {1: x}", "parameters.a"),
        ("p.yaml", "a: &a [*a]", "parameters.a"),
    ],
)
def test_what_cannot_travel_is_refused_with_its_field(tmp_path: Path, name: str, content: str, field: str) -> None:
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises(InputError) as caught:
        read_parameters([], str(file))
    assert caught.value.context["field"].startswith(field)


def test_absurd_depth_is_no_defect(tmp_path: Path) -> None:
    deep = "[" * 100_000
    with pytest.raises(InputError):
        read_pair(f"a:={deep}")
    (tmp_path / "p.json").write_text(deep)
    with pytest.raises(InputError):
        read_parameters([], str(tmp_path / "p.json"))
    assert carried_values({"_": deep}) == {"_": deep}
