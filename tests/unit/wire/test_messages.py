"""The methods of spec/02 and ours: what they take, and the field that is named when they do not."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from slapos.model.errors import InputError, InternalError
from slapos.model.objects import Address, Instance
from slapos.model.states import Health, InstanceState
from slapos.wire import field_codec, messages
from slapos.wire.field_methods import FIELD_METHODS
from slapos.wire.messages import METHODS, check_answer, check_request

ORDER = {"title": "t", "software_release_uri": "/r", "software_type": ""}
INSTANCE = Instance(
    guid="SOFTINST-1",
    title="t",
    root_guid="SOFTINST-1",
    root_title="t",
    project="main",
    release="/r",
    software_type="default",
    state=InstanceState.STARTED,
    parameters={"a": "1"},
    sla={},
    connection={},
    node="COMP-1",
    partition="slappart0",
    addresses=(Address("lo", "127.1.1.1"), Address("lo", "::1")),
    timestamp=7,
)


def test_there_are_24_stable_methods_and_one_experimental() -> None:
    versions = [name.split(".")[2] for name in FIELD_METHODS]
    assert versions.count("v0") == 24
    assert versions.count("WIP") == 1


@pytest.mark.parametrize("name", sorted(METHODS))
def test_each_schema_is_one_and_refuses_unknown_members(name: str) -> None:
    method = METHODS[name]
    jsonschema.Draft7Validator.check_schema(method.request)
    jsonschema.Draft7Validator.check_schema(method.answer)
    with pytest.raises(InputError):
        check_request(method, {"no such member": 1})
    assert method.request["additionalProperties"] is False


def test_names_follow_the_pattern() -> None:
    for name in METHODS:
        prefix, verb, version, _ = name.split(".")
        assert prefix in ("slapos", "hyperopenx")
        assert verb in ("get", "post", "put", "remove", "allDocs")
        assert version in ("v0", "WIP")


def test_only_reading_verbs_do_not_write() -> None:
    assert not METHODS["slapos.allDocs.v0.instance_tree_list"].writes
    assert not METHODS["hyperopenx.get.v0.node_state"].writes
    assert METHODS["slapos.remove.v0.compute_node_certificate"].writes


@pytest.mark.parametrize(
    ("name", "message", "field", "rule"),
    [
        ("slapos.post.v0.software_instance", {}, "title", "required"),
        ("slapos.post.v0.software_instance", {**ORDER, "titel": "x"}, "titel", "additionalProperties"),
        ("slapos.post.v0.software_instance", {**ORDER, "title": "x" * 201}, "title", "maxLength"),
        ("slapos.post.v0.software_instance", {**ORDER, "state": "up"}, "state", "enum"),
        ("slapos.post.v0.software_instance", {**ORDER, "shared": "no"}, "shared", "type"),
        ("slapos.post.v0.software_instance", {**ORDER, "parameters": []}, "parameters", "type"),
        ("slapos.post.v0.software_instance", {**ORDER, "sla_parameters": {"x": 1}}, "sla_parameters.x", "type"),
        (
            "hyperopenx.post.v0.instance",
            {"title": "t", "release": "/r", "parameters": {"a": 1}},
            "parameters.a",
            "type",
        ),
        ("hyperopenx.get.v0.instance", {}, "message", "oneOf"),
        ("hyperopenx.get.v0.instance", {"title": "t", "instance_guid": "g"}, "message", "oneOf"),
        (
            "hyperopenx.put.v0.node_report",
            {"computer_guid": "COMP-1", "instances": [{"guid": "g", "health": "x", "sentence": ""}], "supplies": []},
            "instances[0].health",
            "enum",
        ),
        (
            "slapos.put.v0.compute_node_format",
            {"computer_guid": "COMP-1", "compute_partition_list": [{"ip_list": []}]},
            "compute_partition_list[0].partition_id",
            "required",
        ),
    ],
)
def test_the_field_is_named(name: str, message: dict[str, Any], field: str, rule: str) -> None:
    with pytest.raises(InputError) as caught:
        check_request(METHODS[name], message)
    assert caught.value.context["field"] == field
    assert caught.value.context["rule"] == rule
    assert len(caught.value.message) < 400


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\ud800", "\ufffe"])
@pytest.mark.parametrize("name", ["slapos.post.v0.software_instance", "slapos.put.v0.software_instance_bang"])
def test_a_character_that_cannot_travel_is_refused_alike(name: str, character: str) -> None:
    if "bang" in name:
        message: dict[str, Any] = {"instance_guid": "g", "message": f"a{character}"}
    else:
        message = {**ORDER, "parameters": {"a": {"deep": [f"x{character}"]}}}
    with pytest.raises(InputError) as caught:
        check_request(METHODS[name], message)
    assert caught.value.reference == "invalid-text"
    assert caught.value.context["field"] in ("message", "parameters.a.deep[0]")


@pytest.mark.parametrize("node", ["COMP-1", ""])
def test_documents_of_the_field_keep_their_schema(node: str) -> None:
    instance = Instance(**{**vars(INSTANCE), "node": node})
    answer = field_codec.instance_or_not_ready(instance)
    check_answer(METHODS["slapos.post.v0.software_instance"], answer)
    check_answer(METHODS["slapos.get.v0.instance_tree"], answer)
    assert answer.get("status") == (None if node else 102)


def test_a_wrong_answer_is_our_defect() -> None:
    answer = {**field_codec.instance_document(INSTANCE), "extra": 1}
    with pytest.raises(InternalError) as caught:
        check_answer(METHODS["slapos.get.v0.software_instance"], answer)
    assert caught.value.context["field"] == "extra"


def test_values_that_are_no_texts_become_the_same_texts_as_in_xml() -> None:
    order = field_codec.order_of({**ORDER, "parameters": {"n": 2, "t": "2", "d": {"b": 1, "a": None}, "f": True}})
    assert order.parameters == {"n": "2", "t": "2", "d": '{"a": null, "b": 1}', "f": "True"}
    assert order.software_type == "default"


@pytest.mark.parametrize(
    ("health", "reported", "expected"),
    [(Health.PENDING, "", ""), (Health.OK, "started", "#access ok"), (Health.ERROR, "", "#error ok")],
)
def test_access_status(health: Health, reported: str, expected: str) -> None:
    instance = Instance(**{**vars(INSTANCE), "health": health, "reported_state": reported, "sentence": "ok"})
    assert field_codec.access_status(instance) == expected


def test_order_of_the_instance_document() -> None:
    required = messages.METHODS["slapos.get.v0.software_instance"].answer["required"]
    assert list(field_codec.instance_document(INSTANCE)) == required
