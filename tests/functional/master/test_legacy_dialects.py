"""JSON-RPC and HATEOAS on the insecure legacy listener: the same beliefs as in the XML dialect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from slapos.model.objects import InstanceRequest
from slapos.testing.master import MasterServer
from tests.functional.master.test_hateoas import NODES, SUPPLIES, TREES, Reader
from tests.functional.master.test_xml import document
from tests.functional.master.xml_caller import unproven

NAME = "berlin.example.org"


@pytest.fixture(scope="module")
def legacy(tmp_path_factory: pytest.TempPathFactory, releases: Path, release: str) -> Iterator[MasterServer]:
    """A master with a node on its listener, an instance there, and one of ours that stays out of sight."""
    directory = tmp_path_factory.mktemp("master")
    with MasterServer(directory, release_roots=[str(releases)], legacy=True) as server:
        ours, _ = server.client_for_new_node("ours", 1)
        server.operator.supply(ours, release)
        server.operator.request(InstanceRequest("ours", release))
        caller = unproven(server)
        caller.post("loadComputerConfigurationFromXML", xml=document(NAME))
        caller.post("supplySupply", url=release, computer_id=NAME)
        caller.request("theirs", release)
        caller.close()
        yield server


class Listener(Reader):
    """Reads from the listener, without a certificate."""

    def base(self) -> str:
        return self.get(f"{self.master.legacy_url}/getHateoasUrl")[1]


@pytest.fixture
def reader(legacy: MasterServer) -> Reader:
    return Listener(legacy)


def call(master: MasterServer, method: str, **message: Any) -> tuple[int, Any]:
    parts = urlsplit(master.legacy_url)
    connection = HTTPConnection(parts.netloc, timeout=30)
    try:
        body = json.dumps(message)
        connection.request("POST", f"/slapos.{method}", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_listings(reader: Reader, legacy: MasterServer, release: str) -> None:
    assert reader.base() == f"{legacy.legacy_url}/hateoas/"
    root = json.loads(reader.get(reader.base())[1])
    assert root["_links"]["me"]["href"] == "urn:jio:get:person_module/legacy"
    assert reader.search(TREES, "title", "url_string") == [{"title": "theirs", "url_string": release}]
    assert reader.search(f'{TREES} AND title:="ours"', "title") == []
    [row] = reader.search(f'{TREES} AND title:="theirs"', "relative_url")
    assert reader.fields(row["relative_url"])[1]["slap_state"] == "started"
    [node] = reader.search(NODES, "title", "reference")
    assert node["title"] == NAME
    for name in (NAME, node["reference"]):
        [row] = reader.search(f'{NODES} AND reference:="{name}"', "reference", "relative_url")
        assert row["reference"] == name
        assert reader.fields(row["relative_url"])[1]["title"] == NAME
        [supply] = reader.search(f'{SUPPLIES} AND default_aggregate_reference:="{name}"', "url_string")
        assert supply == {"url_string": release}


def test_what_is_not_theirs(reader: Reader, legacy: MasterServer) -> None:
    ours = legacy.operator.instance(title="ours")
    for path in (f"instance_tree_module/{ours.guid}", f"compute_node_module/{ours.node}", "person_module/admin"):
        assert reader.get(reader.expand("traverse", relative_url=path, view="v"))[0] == 404
    assert reader.search(f'{NODES} AND reference:="{ours.node}"', "reference") == []
    assert reader.get(f"{reader.base()}computer_module/Base_getComputerToken")[0] == 403
    assert reader.get(f"{reader.base()}?mode=search&query={quote(TREES)}")[0] == 200
    refused: dict[str, dict[str, Any]] = {
        "get.v0.software_instance": {"instance_guid": ours.guid},
        "put.v0.software_instance_title": {"instance_guid": ours.guid, "title": "taken"},
        "put.v0.software_instance_reported_state": {"instance_guid": ours.guid, "reported_state": "stopped"},
        "get.v0.software_instance_certificate": {"instance_guid": ours.guid},
        "allDocs.v0.compute_node_instance_list": {"computer_guid": ours.node},
        "put.v0.compute_node_format": {"computer_guid": ours.node, "compute_partition_list": []},
        "post.v0.compute_node_certificate": {"computer_guid": ours.node},
        "remove.v0.compute_node_certificate": {"computer_guid": ours.node},
    }
    for method, message in refused.items():
        assert call(legacy, method, **message)[0] == 403, method
    assert legacy.operator.instance(ours.guid) == ours


def test_methods(legacy: MasterServer, release: str) -> None:
    assert call(legacy, "get.v0.hateoas_url") == (200, {"hateoas_url": f"{legacy.legacy_url}/hateoas/"})
    assert call(legacy, "allDocs.v0.instance_tree_list") == (200, {"result_list": [{"title": "theirs"}]})
    [node] = call(legacy, "allDocs.WIP.compute_node_list")[1]["result_list"]
    reference = node["computer_guid"]
    for name in (NAME, reference):
        of_node = {"computer_guid": name}
        supply = {**of_node, "software_release_uri": release}
        assert call(legacy, "post.v0.software_installation", **supply)[0] == 200
        reported = {**supply, "reported_state": "available"}
        assert call(legacy, "put.v0.software_installation_reported_state", **reported)[0] == 200
        assert call(legacy, "get.v0.compute_node_status", **of_node)[1]["text"].startswith("#access")
        [there] = call(legacy, "allDocs.v0.compute_node_instance_list", **of_node)[1]["result_list"]
        assert there["title"] == "theirs"
        place = {**of_node, "compute_partition_id": there["compute_partition_id"]}
        assert call(legacy, "get.v0.compute_partition", **place)[1]["computer_guid"] == reference
        order = {"title": f"at {name}", "software_release_uri": release, "software_type": "default"}
        status, made = call(legacy, "post.v0.software_instance", **order, sla_parameters=of_node)
        assert (status, made["computer_guid"]) == (200, reference)
        destroyed = {"state": "destroyed", "sla_parameters": of_node}
        assert call(legacy, "post.v0.software_instance", **order, **destroyed)[0] == 200
        guid = {"instance_guid": made["instance_guid"]}
        gone = call(legacy, "put.v0.software_instance_reported_state", **guid, reported_state="destroyed")
        assert gone[0] == 200, gone
    assert call(legacy, "get.v0.compute_node_status", computer_guid="nobody")[1]["type"] == "COMPUTE-NODE-NOT-FOUND"
