"""Objects of the field's XML from objects of the model, and a node's document."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from slapos.model.errors import InputError
from slapos.model.objects import Address, Instance, NodeFormat, Partition, SharedInstance, Supply
from slapos.model.states import Health, InstanceState, SupplyState
from slapos.wire import field_documents, marshal
from slapos.wire.marshal import FieldObject

SHARED = SharedInstance("SOFTINST-9", "guest", "default", {"a": "1"}, {"a": "2", "slave_title": "no"}, timestamp=7)
INSTANCE = Instance(
    guid="SOFTINST-2",
    title="db",
    root_guid="SOFTINST-1",
    root_title="web",
    project="main",
    release="https://example.org/software.cfg",
    software_type="default",
    state=InstanceState.STARTED,
    parameters={"size": "3", "timestamp": "mine"},
    sla={"retention_delay": "7"},
    connection={"url": "x"},
    node="COMP-1",
    partition="slappart0",
    addresses=(Address("tap", "10.0.0.1"),),
    shared_instances=(SHARED, replace(SHARED, guid="SOFTINST-10", state=InstanceState.STOPPED)),
    timestamp=1_800_000_000,
    health=Health.OK,
    reported_state="started",
    sentence="All is well.",
)


def test_a_computer_can_be_written_and_is_always_the_same() -> None:
    supply = Supply(INSTANCE.release, "COMP-1", SupplyState.DESTROYED)
    free = field_documents.partition("COMP-1", "slappart1", None)
    busy = field_documents.partition("COMP-1", "slappart0", INSTANCE)
    found = field_documents.computer("COMP-1", [free, busy], [supply])
    assert [each.arguments[1] for each in found.state["_computer_partition_list"]] == ["slappart1", "slappart0"]
    assert found.state["_software_release_list"][0].state["_requested_state"] == "destroyed"
    written = marshal.dumps(found)
    assert marshal.loads(written) == found
    assert written == marshal.dumps(field_documents.computer("COMP-1", [free, busy], [supply]))
    again = [marshal.written(free), marshal.written(busy)]
    assert written == marshal.dumps(field_documents.computer("COMP-1", again, [supply]))


def test_shared_instances_are_one_flat_level_of_the_started_ones() -> None:
    assert field_documents.parameters(INSTANCE)["slave_instance_list"] == [
        {
            "a": "1",
            "slave_title": "guest",
            "slave_reference": "SOFTINST-9",
            "slap_software_type": "default",
            "timestamp": 7,
        }
    ]


def test_reserved_keys_win_and_the_rest_stays() -> None:
    found = field_documents.parameters(INSTANCE)
    assert (found["timestamp"], found["size"]) == ("1800000000", "3")


def test_what_another_master_serves_is_a_partition_of_it() -> None:
    own = field_documents.requested(INSTANCE, "https://here/")
    other = field_documents.requested(replace(INSTANCE, master="http://there/"), "https://here/")
    assert (own.kind, own.arguments) == ("SoftwareInstance", ())
    assert (other.kind, other.arguments) == ("ComputerPartition", ("COMP-1", "slappart0", None))
    assert other.state["_master_url"] == "http://there/"
    assert other.state["_connection_dict"] == own.state["_connection_dict"]


@pytest.mark.parametrize(("text", "wanted"), [("RootSoftwareInstance", "default"), ("", "default"), ("web", "web")])
def test_software_types(text: str, wanted: str) -> None:
    assert field_documents.software_type(text) == wanted


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("é", "é"),
        (1, "1"),
        (1.5, "1.5"),
        (True, "True"),
        (None, "None"),
        ({"b": [1, None]}, '{"b": [1, null]}'),
        ((1, "a"), '[1, "a"]'),
    ],
)
def test_parameters_are_texts(value: Any, text: str) -> None:
    assert field_documents.flat({"key": value}, "x") == {"key": text}


@pytest.mark.parametrize(
    "values", [[], "text", {1: "a"}, {"a": {1, 2}}, {"a": FieldObject("Computer")}, {"a": [{1}]}, {"a": {(1,): 2}}]
)
def test_what_is_no_parameters(values: Any) -> None:
    with pytest.raises(InputError) as caught:
        field_documents.flat(values, "filter_xml")
    assert caught.value.context["field"].startswith("filter_xml")


def test_a_format() -> None:
    partition = {
        "reference": "slappart0",
        "address_list": [{"addr": "10.0.0.1", "netmask": "255.255.255.255"}, {"addr": "::1"}],
        "tap": {"name": "slaptap0"},
        "capability_list": ["ssd"],
    }
    plain = {"reference": "slappart1", "address_list": None, "tap": {"name": ""}}
    document = {"reference": "COMP-1", "os_type": "[]", "partition_list": [partition, plain], "unknown": [1]}
    assert field_documents.node_format(document) == NodeFormat(
        (
            Partition("slappart0", (Address("slaptap0", "10.0.0.1"), Address("slaptap0", "::1")), ("ssd",)),
            Partition("slappart1"),
        ),
        details={"os": "[]"},
    )


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ([], "xml"),
        ({}, "xml.partition_list"),
        ({"partition_list": {}}, "xml.partition_list"),
        ({"partition_list": ["a"]}, "xml.partition_list[0]"),
        ({"partition_list": [{"reference": 1}]}, "xml.partition_list[0].reference"),
        ({"partition_list": [{"reference": "a", "tap": "b"}]}, "xml.partition_list[0].tap"),
        ({"partition_list": [{"reference": "a", "address_list": [{}]}]}, "xml.partition_list[0].address_list[0].addr"),
        ({"partition_list": [{"reference": "a", "capability_list": [1]}]}, "xml.partition_list[0].capability_list"),
        ({"partition_list": [FieldObject("Computer")]}, "xml.partition_list[0]"),
    ],
)
def test_what_is_no_format(document: Any, field: str) -> None:
    with pytest.raises(InputError) as caught:
        field_documents.node_format(document)
    assert caught.value.context["field"] == field


def test_no_answer_needs_references() -> None:
    assert b"<reference" not in marshal.dumps(field_documents.requested(INSTANCE, "https://here/"))
