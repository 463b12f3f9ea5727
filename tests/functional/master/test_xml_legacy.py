"""The XML dialect on the insecure legacy listener: everybody is what he says, in the project of legacy nodes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slapos.testing.master import MasterServer
from slapos.wire import marshal
from tests.functional.master.test_xml import document
from tests.functional.master.xml_caller import Xml, certified, unproven

NAME = "old_computer"  # as an existing node calls itself
PRODUCT = "https://example.org/website/{}/software.cfg"


@pytest.fixture(scope="module")
def legacy(tmp_path_factory: pytest.TempPathFactory, releases: Path) -> Iterator[MasterServer]:
    """A master with the listener, a product, and little room for messages."""
    server = MasterServer(tmp_path_factory.mktemp("master"), release_roots=[str(releases)], legacy=True)
    products = (("website", PRODUCT.format(2)), ("website", PRODUCT.format(1)), ("wiki", PRODUCT.format("wiki")))
    server.config = replace(server.config, products=products, message_limit=128 * 1024)
    with server:
        yield server


@pytest.fixture(scope="module")
def xml(legacy: MasterServer) -> Iterator[Xml]:
    caller = unproven(legacy)
    yield caller
    caller.close()


@pytest.fixture(scope="module")
def reference(xml: Xml, release: str) -> str:
    """A node that named itself, as with slapproxy, with a release."""
    assert xml.post("loadComputerConfigurationFromXML", xml=document(NAME)).status == 200
    assert xml.post("supplySupply", url=release, computer_id=NAME).status == 200
    found: str = xml.get("getFullComputerInformation", computer_id=NAME).state["_computer_id"]
    return found


def _at(partition: str, node: str = NAME) -> dict[str, str]:
    return {"computer_id": node, "computer_partition_id": partition}


def test_a_node_that_named_itself(xml: Xml, reference: str, release: str, legacy: MasterServer) -> None:
    assert reference.startswith("COMP-")
    assert legacy.operator.node(reference).project == "legacy"
    assert legacy.operator.node(reference).name == NAME
    xml.post("loadComputerConfigurationFromXML", xml=document(reference))
    again = xml.get("getFullComputerInformation", computer_id=reference).state
    assert len(again["_computer_partition_list"]) == 6
    assert again["_software_release_list"][0].arguments == (release, reference)
    assert xml.post("availableSoftwareRelease", url=release, computer_id=NAME).status == 200


def test_the_same_order_again_does_not_wait_for_writers(
    xml: Xml, reference: str, release: str, legacy: MasterServer
) -> None:
    first = xml.request("repeated", release, partition_parameter_xml={"a": "b"}).state
    writer = sqlite3.connect(legacy.config.database.removeprefix("sqlite:///"), isolation_level=None)
    try:
        writer.execute("BEGIN IMMEDIATE")
        assert xml.request("repeated", release, partition_parameter_xml={"a": "b"}).state == first
    finally:
        writer.close()
    assert xml.request("repeated", release, partition_parameter_xml={"a": "c"}).state != first
    assert xml.request("repeated", release, state=marshal.dumps("destroyed").decode()).status == 200
    xml.post("destroyedComputerPartition", **_at(first["slap_computer_partition_id"]))


def test_the_life_of_a_tree(xml: Xml, reference: str, release: str) -> None:
    root = xml.request("root", release, filter_xml={"computer_guid": reference}).state
    at_root = (NAME, root["slap_computer_partition_id"])
    child = xml.request("child", release, **_at(at_root[1])).state
    assert child["root_instance_title"] == "root"
    by_header = xml.post(
        "requestComputerPartition", at_root, software_release=release, partition_reference="child"
    ).state
    assert by_header["_instance_guid"] == child["_instance_guid"], "the header says the same"
    here = _at(child["slap_computer_partition_id"], reference)
    seen = xml.get(
        "registerComputerPartition",
        computer_reference=NAME,
        computer_partition_reference=child["slap_computer_partition_id"],
    ).state
    assert seen["_parameter_dict"] == child["_parameter_dict"]
    assert xml.post("setComputerPartitionConnectionXml", **here, connection_xml={"a": "1"}).text == "done"
    assert (
        xml.post("startedComputerPartition", (here["computer_id"], here["computer_partition_id"]), **here).status == 200
    )
    assert xml.post("softwareInstanceBang", **here, message="m").text == "OK"
    assert xml.post("softwareInstanceRename", **here, new_name="kid").status == 200
    assert xml.post("softwareInstanceError", **here, error_log="e").status == 200
    again = xml.request("kid", release, **_at(at_root[1])).state
    assert again["_connection_dict"] == {"a": "1"}
    assert xml.request("root", release, state=marshal.dumps("destroyed").decode()).status == 200
    for partition in (here["computer_partition_id"], at_root[1]):
        assert xml.post("destroyedComputerPartition", **_at(partition)).status == 200
    found = xml.get("getFullComputerInformation", computer_id=NAME).state["_computer_partition_list"]
    assert [each.state["_need_modification"] for each in found] == [0] * 6


def test_two_names_of_one_node_in_an_sla(xml: Xml, reference: str, release: str) -> None:
    found = xml.request("by name", release, filter_xml={"computer_guid": NAME}).state
    assert found["slap_computer_id"] == reference
    assert found["_filter_dict"] == {"computer_guid": reference}


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("X-SlapPartition computer_id=COMP-999, computer_partition_id=slappart0", 400),
        ("X-SlapPartition computer_id=old_computer, computer_partition_id=slappart99", 400),
        ("x-slappartition computer_id=old_computer,computer_partition_id=slappart5", 400),  # free
        ("X-SlapPartition computer_id=old_computer", 400),
        ("X-SlapPartition computer_id=, computer_partition_id=", 400),
        ("X-SlapPartition nothing", 400),
        ("X-SlapPartition a=b, computer_id=c, computer_partition_id=d", 400),
        ("Basic b2xk", 200),
    ],
)
def test_claims(xml: Xml, reference: str, release: str, header: str, status: int) -> None:
    form = b"software_release=" + release.encode() + b"&partition_reference=claims"
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": header}
    assert xml.send("POST", "/requestComputerPartition", form, headers).status == status


@pytest.mark.parametrize(
    ("endpoint", "fields"),
    [
        ("startedComputerPartition", _at("slappart0", "COMP-999")),
        ("startedComputerPartition", _at("slappart0", "unknown")),
        ("startedComputerPartition", _at("slappart99")),
        ("startedComputerPartition", _at("slappart5")),
        ("softwareInstanceBang", {**_at("slappart5"), "message": ""}),
        ("requestComputerPartition", {**_at("slappart5"), "software_release": "x", "partition_reference": "y"}),
        ("supplySupply", {"url": "x", "computer_id": "unknown"}),
        ("computerBang", {"computer_id": "unknown", "message": ""}),
        ("useComputer", {"computer_id": "COMP-999", "use_string": "<a/>"}),
        ("buildingSoftwareRelease", {"url": "https://example.org/unknown", "computer_id": NAME}),
    ],
)
def test_what_does_not_exist_is_404(xml: Xml, reference: str, endpoint: str, fields: dict[str, Any]) -> None:
    assert xml.post(endpoint, **fields).status == 404


@pytest.mark.parametrize(
    ("endpoint", "arguments"),
    [
        ("getFullComputerInformation", {"computer_id": "unknown"}),
        ("getFullComputerInformation", {"computer_id": "COMP-999"}),
        ("registerComputerPartition", {"computer_reference": NAME, "computer_partition_reference": "slappart5"}),
        ("registerComputerPartition", {"computer_reference": "unknown", "computer_partition_reference": "slappart5"}),
        ("getComputerPartitionCertificate", _at("slappart99")),
    ],
)
def test_what_does_not_exist_cannot_be_read(xml: Xml, reference: str, endpoint: str, arguments: dict[str, str]) -> None:
    assert xml.get(endpoint, **arguments).status == 404


def test_only_the_legacy_project_is_theirs(xml: Xml, legacy: MasterServer, release: str) -> None:
    """Nodes and instances that prove who they are do not exist for those who do not."""
    other, client = legacy.client_for_new_node("proven", partitions=2)
    legacy.operator.supply(other, release)
    proven = legacy.operator.instance(
        certified(legacy, "").request("proven", release, filter_xml={"project_guid": "main"}).state["_instance_guid"]
    )
    there = _at(proven.partition, other)
    assert xml.get("getFullComputerInformation", computer_id=other).status == 404
    for endpoint in ("startedComputerPartition", "destroyedComputerPartition"):
        assert xml.post(endpoint, **there).status == 404
    assert xml.post("setComputerPartitionConnectionXml", **there, connection_xml={}).status == 404
    assert xml.post("loadComputerConfigurationFromXML", xml=document(other)).status == 404
    assert xml.request("child", release, **there).status == 404
    assert xml.request("mine", release, filter_xml={"project_guid": "main"}).status == 403
    before = legacy.operator.instance(proven.guid)
    shared = xml.request("thief", release, shared_xml=True, filter_xml={"instance_guid": proven.guid})
    assert shared.status == 408
    assert legacy.operator.instance(proven.guid) == before
    assert client.node(other).reference == other


def test_a_node_cannot_take_a_name_that_the_master_gives(xml: Xml) -> None:
    assert xml.post("loadComputerConfigurationFromXML", xml=document("COMP-77")).status == 404
    for name in ("../etc", "a b", "", "x" * 200):
        assert xml.post("loadComputerConfigurationFromXML", xml=document(name)).status == 400


def test_a_node_asked_for_by_title(xml: Xml) -> None:
    made = xml.post("requestComputer", computer_title="by title").value.arguments[0]
    assert xml.post("loadComputerConfigurationFromXML", xml=document(made, 2)).status == 200
    assert len(xml.get("getFullComputerInformation", computer_id=made).state["_computer_partition_list"]) == 2


def test_products(xml: Xml) -> None:
    def releases(**arguments: str) -> Any:
        return xml.get("getSoftwareReleaseListFromSoftwareProduct", **arguments).value

    both = [PRODUCT.format(2), PRODUCT.format(1)]
    assert releases(software_product_reference="website") == both
    assert releases(software_release_url=both[1]) == both
    assert releases(software_product_reference="nothing") == []
    assert releases(software_release_url="https://example.org/nothing") == []
    assert xml.get("getSoftwareReleaseListFromSoftwareProduct").status == 400


def test_the_limit_of_a_message_is_configured(xml: Xml, release: str) -> None:
    assert xml.request("large", release, partition_parameter_xml={"a": "x" * 100_000}).status == 200
    assert xml.request("large", release, partition_parameter_xml={"a": "x" * 200_000}).status == 413
    json = {"Content-Type": "application/json"}
    for size, status in ((100_000, 403), (200_000, 413)):
        body = b'{"instance_guid": "%s"}' % (b"x" * size)
        assert xml.send("POST", "/slapos.get.v0.software_instance", body, json).status == status


def test_no_defect(legacy: MasterServer) -> None:
    """Last on purpose."""
    assert "Traceback" not in Path(legacy.directory, "master.log").read_text()
