"""Descriptors, validation, defaults and types of parameters."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slapos.model.errors import InputError, NotFound, Unavailable
from slapos.schema.parameters import encode
from slapos.schema.release import ReleaseSchema, load

URL = "https://releases.example.org/catalogue/software/site/software.cfg"
BASE = URL.rsplit("/", 1)[0]
DRAFT7 = "http://json-schema.org/draft-07/schema#"
LATEST = "https://json-schema.org/draft/2020-12/schema"


class Files:
    """A fetch over a dictionary that counts what was asked."""

    def __init__(self, files: dict[str, Any]) -> None:
        self.files = files
        self.asked: list[str] = []

    def __call__(self, url: str) -> bytes:
        self.asked.append(url)
        if url not in self.files:
            raise NotFound(f"{url} does not exist.")
        content = self.files[url]
        if isinstance(content, Exception):
            raise content
        return content if isinstance(content, bytes) else json.dumps(content).encode()


def release(schema: Any, *, serialisation: str = "json-in-xml", others: dict[str, Any] | None = None) -> ReleaseSchema:
    """A release whose default type has ``schema``; ``others``: more documents by name relative to the release."""
    entry = {"request": "instance-input-schema.json", "response": "instance-output-schema.json"}
    files: dict[str, Any] = {
        f"{URL}.json": {"name": "Site", "serialisation": serialisation, "software-type": {"default": entry}},
        f"{BASE}/instance-input-schema.json": schema,
        f"{BASE}/instance-output-schema.json": {"type": "object", "required": ["url"]},
    }
    files |= {f"{BASE}/{name}": content for name, content in (others or {}).items()}
    return load(URL, Files(files))


def wrapped(value: Any) -> dict[str, str]:
    return {"_": json.dumps(value)}


PORT = {
    "$schema": LATEST,
    "type": "object",
    "additionalProperties": False,
    "required": ["title"],
    "properties": {
        "title": {"type": "string", "maxLength": 20},
        "port": {"type": "integer", "minimum": 1024, "default": 8080},
        "tls": {"type": "object", "default": {}, "properties": {"strict": {"type": "boolean", "default": True}}},
        "backends": {"type": "array", "items": {"type": "object", "properties": {"weight": {"default": 1}}}},
    },
}


def test_valid_parameters_pass_and_the_member_schema_is_ignored() -> None:
    release(PORT).validate("default", wrapped({"$schema": "./instance-input-schema.json", "title": "a", "port": 2000}))


@pytest.mark.parametrize(
    ("value", "field", "rule"),
    [
        ({"title": "a", "port": 80}, "$.port", "minimum 1024"),
        ({"title": "a", "port": "80"}, "$.port", "type integer"),
        ({"port": 8080}, "$.title", "required"),
        ({"title": "a", "colour": "red"}, "$.colour", "additionalProperties"),
        ({"title": "a", "odd name": 1}, '$["odd name"]', "additionalProperties"),
        ({"title": "a", "tls": {"strict": "x"}}, "$.tls.strict", "type boolean"),
        ({"title": "a", "backends": [{}, 7]}, "$.backends[1]", "type object"),
        ([], "$", "type object"),
    ],
)
def test_the_failing_field_and_its_rule_are_named(value: Any, field: str, rule: str) -> None:
    with pytest.raises(InputError) as caught:
        release(PORT).validate("default", wrapped(value))
    assert caught.value.reference == "schema-violation"
    assert (caught.value.context["field"], caught.value.context["rule"]) == (field, rule)
    assert field in caught.value.message


def test_a_megabyte_does_not_come_back_in_the_error() -> None:
    with pytest.raises(InputError) as caught:
        release(PORT).validate("default", wrapped({"title": "x" * 1_000_000}))
    assert len(json.dumps(caught.value.as_data())) < 2500
    assert caught.value.context["rule"] == "maxLength 20"


@pytest.mark.parametrize(
    "text",
    ["{", "", '{"a": NaN}', '{"a": 1e999}', '{"a": 1, "a": 2}', "[" * 200_000 + "]" * 200_000],
    ids=lambda text: text[:10],
)
def test_a_text_that_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        release(PORT).validate("default", {"_": text})
    assert (caught.value.context["field"], caught.value.context["rule"]) == ("_", "json")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (r'{"a": {"b c": ["x", "\u0000"]}}', '$.a["b c"][1]'),
        (r'{"a": "\ud800"}', "$.a"),
        (r'{"a\u0001": 1}', "$ (a key)"),
    ],
)
def test_what_no_text_may_hold_is_found_behind_escapes(text: str, field: str) -> None:
    with pytest.raises(InputError) as caught:
        release(True).validate("default", {"_": text})
    assert (caught.value.reference, caught.value.context["field"]) == ("invalid-text", field)
    release(True).validate("default", {"_": r'{"a": "\u00e9\ud83d\ude42"}'})


def test_nothing_may_stand_beside_the_json_member() -> None:
    with pytest.raises(InputError) as caught:
        release(PORT).validate("default", {"_": "{}", "title": "lost"})
    assert caught.value.context["field"] == "title"


def test_plain_members_without_json_member_are_the_value() -> None:
    release(PORT).validate("default", {"title": "a"})


def test_flat_texts_may_stand_for_numbers_and_booleans() -> None:
    schema = release(PORT, serialisation="xml")
    schema.validate("default", {"title": "12", "port": "8081"})
    assert schema.typed("default", {"title": "12", "port": "8081"}) == {"title": "12", "port": 8081}
    with pytest.raises(InputError) as caught:
        schema.validate("default", {"title": "a", "port": "80"})
    assert caught.value.context["rule"] == "minimum 1024"
    with pytest.raises(InputError, match=r"\$\.port"):
        schema.validate("default", {"title": "a", "port": "many"})


def test_texts_are_typed_behind_references_and_in_lists() -> None:
    schema = release(
        {
            "properties": {
                "on": {"type": "boolean"},
                "share": {"type": "number"},
                "either": {"type": ["string", "integer"]},
                "list": {"type": "array", "items": {"$ref": "types.json#/$defs/count"}},
            },
            "additionalProperties": {"type": "integer"},
        },
        others={"types.json": {"$schema": LATEST, "$defs": {"count": {"type": "integer"}}}},
    )
    given_value = {"on": "True", "share": "0.5", "either": "3", "list": ["1", "x"], "more": "7", "bad": "1_0"}
    assert schema.typed("default", wrapped(given_value)) == {
        "on": True,
        "share": 0.5,
        "either": "3",
        "list": [1, "x"],
        "more": 7,
        "bad": "1_0",
    }


def test_defaults_are_filled_recursively_and_only_on_the_valid_path() -> None:
    schema = release(
        {
            **PORT,
            "properties": {
                **PORT["properties"],  # type: ignore[dict-item]
                "store": {
                    "oneOf": [
                        {"required": ["disk"], "properties": {"disk": {}, "size": {"default": 10}}},
                        {"required": ["url"], "properties": {"url": {}, "retries": {"$ref": "more.json#/r"}}},
                    ]
                },
            },
        },
        others={"more.json": {"$schema": LATEST, "r": {"default": 3}}},
    )
    value = {"title": "a", "backends": [{}, {"weight": 9}], "store": {"url": "u"}}
    before = json.dumps(value)
    assert schema.defaults("default", wrapped(value)) == {
        "title": "a",
        "port": 8080,
        "tls": {"strict": True},
        "backends": [{"weight": 1}, {"weight": 9}],
        "store": {"url": "u", "retries": 3},
    }
    assert json.dumps(value) == before
    with pytest.raises(InputError):
        schema.defaults("default", wrapped({}))


@pytest.mark.parametrize("dialect", [DRAFT7, LATEST])
def test_defaults_behind_a_reference_of_either_dialect(dialect: str) -> None:
    part = {"$schema": dialect, "type": "object", "properties": {"deep": {"default": "d"}}}
    schema = release(
        {"$schema": dialect, "properties": {"part": {"$ref": "part.json"}}},
        others={"part.json": part},
    )
    assert schema.defaults("default", wrapped({"part": {}})) == {"part": {"deep": "d"}}


@pytest.mark.parametrize(
    "reference",
    [
        "https://elsewhere.example.org/schema.json",
        "../../../secret.json",
        "%2e%2e/%2e%2e/%2e%2e/secret.json",
        "file:///etc/passwd.json",
        "/etc/hosts",
    ],
)
def test_a_reference_stays_within_the_release(reference: str) -> None:
    files = Files({f"{URL}.json": {"software-type": {"default": {"request": "in.json", "response": "in.json"}}}})
    files.files[f"{BASE}/in.json"] = {"properties": {"a": {"$ref": reference}}}
    with pytest.raises(InputError) as caught:
        load(URL, files).validate("default", wrapped({"a": 1}))
    assert caught.value.reference == "reference-outside-release"
    assert files.asked == [f"{URL}.json", f"{BASE}/in.json"]


def test_a_schema_of_the_stack_is_within_the_catalogue() -> None:
    schema = release(
        {"properties": {"a": {"$ref": "../../stack/base/types.json#/count"}}},
        others={"../../stack/base/types.json": None},
    )
    stack = "https://releases.example.org/catalogue/stack/base/types.json"
    fetch = schema.documents._fetch
    assert isinstance(fetch, Files)
    fetch.files[stack] = {"count": {"type": "integer"}}
    with pytest.raises(InputError, match="integer"):
        schema.validate("default", wrapped({"a": "x"}))


def test_an_unreachable_reference_says_so() -> None:
    schema = release({"$ref": "gone.json"}, others={"gone.json": Unavailable("The server is away.")})
    with pytest.raises(Unavailable, match="away"):
        schema.validate("default", wrapped({}))


@pytest.mark.parametrize(
    "schema",
    [{"$ref": "missing.json"}, {"$ref": "#/nowhere"}, {"$ref": "#"}, {"type": "no-such-type"}, 7, b"{not json"],
    ids=str,
)
def test_a_broken_schema_is_the_packagers_error(schema: Any) -> None:
    with pytest.raises((InputError, NotFound)) as caught:
        release(schema).validate("default", wrapped({}))
    assert caught.value.reference in ("invalid-schema", "not-found")


@pytest.mark.parametrize(
    "descriptor",
    [
        [],
        {},
        {"software-type": {"default": {"request": "a.json"}}},
        {"software-type": {"default": {"request": "a.json", "response": "b.json", "colour": 1}}},
        {"software-type": {}, "serialisation": "yaml"},
    ],
    ids=str,
)
def test_a_broken_descriptor_is_refused(descriptor: Any) -> None:
    with pytest.raises(InputError) as caught:
        load(URL, Files({f"{URL}.json": descriptor}))
    assert caught.value.reference == "invalid-schema"


def test_without_descriptor_everything_is_allowed_with_a_warning() -> None:
    schema = load(URL, Files({}))
    schema.validate("anything", {"a": "b"})
    assert schema.serialisation("anything") == "json-in-xml"
    assert "no descriptor" in schema.warnings("anything")[0]


def test_types_are_found_by_id_by_real_type_and_by_the_old_default() -> None:
    entry = {"request": "a.json", "response": "b.json"}
    types = {
        "RootSoftwareInstance": {**entry, "title": "root", "serialisation": "xml"},
        "form-b": {**entry, "software-type": "db", "index": 2},
        "form-a": {**entry, "software-type": "db", "index": 1},
        "db-slave": {**entry, "software-type": "db", "shared": True},
    }
    schema = load(URL, Files({f"{URL}.json": {"software-type": types}}))
    found = {name: schema.find_type(name) for name in ("default", "db", "other")}
    assert {name: entry and entry.id for name, entry in found.items()} == {
        "default": "RootSoftwareInstance",
        "db": "form-a",
        "other": None,
    }
    shared = schema.find_type("db", shared=True)
    assert shared is not None and shared.id == "db-slave"
    assert schema.serialisation("default") == "xml"
    assert "other" in schema.warnings("other")[0]
    schema.validate("other", {"what": "ever"})


def test_the_response_schema_checks_what_is_published() -> None:
    with pytest.raises(InputError, match=r"\$\.url"):
        release(PORT).validate("default", wrapped({}), direction="response")


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))
VALUES = st.recursive(st.none() | st.booleans() | st.integers() | TEXTS, st.lists, max_leaves=5)


@given(VALUES)
def test_any_value_survives_encoding(value: Any) -> None:
    open_schema = release(True)
    assert open_schema.decode("default", encode(value, "json-in-xml")) == value
    open_schema.validate("default", encode(value, "json-in-xml"))
