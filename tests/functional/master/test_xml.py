"""Every endpoint of spec/01 §3 over TLS, each by whom it is for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from slapos.master.field.table import ENDPOINTS
from slapos.slap.client import Client
from slapos.testing.master import MasterServer
from slapos.wire import marshal, parameter_document
from slapos.wire.marshal import FieldObject
from tests.functional.master.xml_caller import Reply, Xml, certified

CALLED: set[str] = {"getRunId"}  # tests/functional/master/test_forwarding.py
HERE = "slappart0"


@dataclass
class Site:
    """A node with some partitions, and who calls."""

    master: MasterServer
    operator: Xml
    node: Xml
    client: Client
    reference: str
    release: str

    def at(self, partition: str = HERE) -> dict[str, str]:
        return {"computer_id": self.reference, "computer_partition_id": partition}

    def information(self) -> dict[str, Any]:
        return self.node.get("getFullComputerInformation", computer_id=self.reference).state

    def partition(self, name: str) -> dict[str, Any]:
        found = self.information()["_computer_partition_list"]
        return next(each.state for each in found if each.state["_partition_id"] == name)

    def instance(self, title: str, **fields: Any) -> dict[str, Any]:
        return self.operator.request(title, self.release, **fields).state

    def of(self, guid: str) -> Xml:
        """With the certificate of an instance."""
        self.master.client_for_instance(guid, self.client)
        return Watched(certified(self.master, guid).connection)


class Watched(Xml):
    """Remembers which endpoints were called with success."""

    def send(self, verb: str, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        reply = super().send(verb, path, body, headers)
        if reply.status == 200:
            CALLED.add(path.partition("?")[0].removeprefix("/"))
        return reply


def document(reference: str, amount: int = 6, first: int = 0) -> dict[str, Any]:
    """As a node posts it (spec/05 §1.4)."""
    return {
        "reference": reference,
        "address": "10.0.0.1",
        "netmask": "255.255.255.255",
        "interface": None,
        "partition_has_ipv6_range": True,
        "os_type": '["Linux"]',
        "python_version": "3.13.5",
        "slapos_version": "1.26.1",
        "public_ipv4_address": None,
        "partition_list": [
            {
                "reference": f"slappart{i}",
                "path": f"/srv/slapgrid/slappart{i}",
                "user": {"name": f"slapuser{i}"},
                "address_list": [{"addr": f"10.0.1.{i}", "netmask": "x"}, {"addr": f"2001:db8::{i}", "netmask": "y"}],
                "tap": {"name": f"slaptap{i}", "ipv4_addr": ""} if i % 2 == 0 else None,
                "tun": None,
                "capability_list": [],
            }
            for i in range(first, first + amount)
        ],
    }


@pytest.fixture(scope="module")
def site(master: MasterServer, release: str) -> Iterator[Site]:
    reference, client = master.enrol("node", name="field")
    operator, node = Watched(certified(master, "").connection), Watched(certified(master, reference).connection)
    assert node.post("loadComputerConfigurationFromXML", xml=document(reference)).text == "Content properly posted."
    assert operator.post("supplySupply", url=release, computer_id=reference, state="available").text == "done"
    yield Site(master, operator, node, client, reference, release)
    operator.close()
    node.close()


def test_releases_on_a_node(site: Site) -> None:
    node, about = site.node, {"url": site.release, "computer_id": site.reference}
    found = site.information()["_software_release_list"]
    assert found == [
        FieldObject(
            "SoftwareRelease",
            (site.release, site.reference),
            {
                "_software_release": site.release,
                "_computer_guid": site.reference,
                "_software_instance_list": [],
                "_requested_state": "available",
            },
        )
    ]
    status = node.get("getSoftwareInstallationStatus", **about).value
    assert (status["no_data"], status["text"]) == (1, f"#error no data found for {site.reference} {site.release}")
    for endpoint, word in (("buildingSoftwareRelease", "#building"), ("softwareReleaseError", "#error")):
        more = {"error_log": "gcc: not found"} if "Error" in endpoint else {}
        assert node.post(endpoint, **about, **more).status == 200
        assert node.get("getSoftwareInstallationStatus", **about).value["text"].startswith(word)
    assert node.post("availableSoftwareRelease", **about).status == 200
    status = node.get("getSoftwareInstallationStatus", **about).value
    assert status["text"] == f"#access software release {site.release} available"
    assert "no_data" not in status
    assert site.master.operator.node(site.reference).supplies[0].reported == "available"
    assert node.post("destroyedSoftwareRelease", **about).status == 404, "nobody asked for it"


def test_a_removed_release_is_forgotten(site: Site) -> None:
    about = {"url": "https://example.org/other/software.cfg", "computer_id": site.reference}
    assert site.operator.post("supplySupply", **about).status == 200, "available is the default"
    assert site.operator.post("supplySupply", **about, state="destroyed").status == 200
    found = site.information()["_software_release_list"]
    states = {each.state["_software_release"]: each.state["_requested_state"] for each in found}
    assert states[about["url"]] == "destroyed"
    assert site.node.post("destroyedSoftwareRelease", **about).status == 200
    assert site.node.post("destroyedSoftwareRelease", **about).status == 404
    assert len(site.information()["_software_release_list"]) == 1


def test_free_partitions(site: Site) -> None:
    found = site.information()
    assert found["_computer_id"] == site.reference
    partitions = found["_computer_partition_list"]
    assert [each.arguments for each in partitions] == [(site.reference, f"slappart{i}", None) for i in range(6)]
    assert partitions[-1].state == {
        "_computer_id": site.reference,
        "_partition_id": "slappart5",
        "_request_dict": None,
        "_requested_state": "destroyed",
        "_need_modification": 0,
        "_software_release_document": None,
    }
    assert site.node.get("getComputerInformation", computer_id=site.reference).status == 200


def test_an_order_and_what_its_node_sees(site: Site) -> None:
    given = {"flat": "1 < 2 &amp; é", "_": '{"b": [1, null]}', "number": 2, "deep": {"b": 1}, "empty": "", "yes": True}
    asked = {"computer_guid": site.reference}
    made = site.instance("first", partition_parameter_xml=given, filter_xml=asked, software_type="RootSoftwareInstance")
    place = made["slap_computer_partition_id"]
    assert made["slap_computer_id"] == site.reference
    assert made["_requested_state"] == "started"
    assert made["_instance_guid"].startswith("SOFTINST-")
    assert made["slap_software_type"] == "default"
    assert made["slap_software_release_url"] == site.release
    assert made["slap_server_url"] == f"{site.master.url}/"
    assert made["timestamp"].isdecimal()
    number = int(place.removeprefix("slappart"))
    interface = f"slaptap{number}" if number % 2 == 0 else place
    texts = {**given, "number": "2", "deep": '{"b": 1}', "yes": "True"}
    seen = site.partition(place)
    assert seen["_parameter_dict"] == {
        **texts,
        "ip_list": [(interface, f"10.0.1.{number}"), (interface, f"2001:db8::{number}")],
        "full_ip_list": [],
        "slap_software_type": "default",
        "instance_title": "first",
        "root_instance_title": "first",
        "root_instance_short_title": made["_instance_guid"],
        "slap_computer_id": site.reference,
        "slap_computer_partition_id": place,
        "slap_software_release_url": site.release,
        "slave_instance_list": [],
        "timestamp": made["timestamp"],
    }
    assert made["_parameter_dict"] == seen["_parameter_dict"]
    assert seen["_software_release_document"].arguments == (site.release, site.reference)
    assert {key: seen[key] for key in ("_requested_state", "_need_modification", "_instance_guid", "_filter_dict")} == {
        "_requested_state": "started",
        "_need_modification": 1,
        "_instance_guid": made["_instance_guid"],
        "_filter_dict": asked,
    }
    again = site.operator.request("first", site.release, partition_parameter_xml=given, filter_xml=asked)
    assert again.state == made, "the same order changes nothing, not even a byte"


def test_reserved_keys_win(site: Site) -> None:
    given = {"timestamp": "mine", "slave_instance_list": "mine", "ip_list": "mine", "instance_title": "mine"}
    made = site.instance("reserved", partition_parameter_xml=given)
    found = made["_parameter_dict"]
    assert found["timestamp"].isdecimal()
    assert (found["slave_instance_list"], found["instance_title"]) == ([], "reserved")
    assert site.instance("reserved", partition_parameter_xml=given)["timestamp"] == made["timestamp"]
    site.operator.request("reserved", site.release, state="<marshal><string>destroyed</string></marshal>")
    assert site.node.post("destroyedComputerPartition", **site.at(made["slap_computer_partition_id"])).status == 200


def test_reports_of_a_partition(site: Site) -> None:
    made = site.instance("reports")
    here = site.at(made["slap_computer_partition_id"])
    own = site.of(made["_instance_guid"])
    assert site.node.get("getComputerPartitionStatus", **here).value["no_data"] == 1
    for word in ("started", "stopped"):
        assert site.node.post(f"{word}ComputerPartition", **here).status == 200
        status = own.get("getComputerPartitionStatus", **here).value
        assert (status["text"], status["state"]) == (f"#access Instance correctly {word}", word)
    assert site.node.post("softwareInstanceError", **here, error_log="it fell over").status == 200
    seen = site.partition(here["computer_partition_id"])
    assert seen["_access_status"] == "#error it fell over"
    assert seen["_parameter_dict"]["timestamp"] == made["timestamp"], "reports are nothing to process"
    assert own.post("softwareInstanceError", **here, error_log="I say so").status == 200
    for word in ("started", "destroyed"):
        assert own.post(f"{word}ComputerPartition", **here).status == 403, "an instance does not report as its node"
    assert own.post("softwareInstanceBang", **here, message="again").text == "OK"
    seen = site.partition(here["computer_partition_id"])
    assert int(seen["_parameter_dict"]["timestamp"]) > int(made["timestamp"])
    assert own.post("softwareInstanceRename", **here, new_name="renamed").status == 200
    assert site.partition(here["computer_partition_id"])["_parameter_dict"]["instance_title"] == "renamed"
    assert site.node.post("destroyedComputerPartition", **here).status == 409, "nobody asked for it"
    own.close()


def test_publishing_reaches_the_requester(site: Site) -> None:
    root = site.instance("root")
    mother = site.of(root["_instance_guid"])
    at_root = site.at(root["slap_computer_partition_id"])
    child = mother.request("child", site.release, **at_root).state
    at_child = site.at(child["slap_computer_partition_id"])
    assert child["root_instance_title"] == "root"
    before = site.partition(at_root["computer_partition_id"])["_parameter_dict"]["timestamp"]
    own = site.of(child["_instance_guid"])
    values = {"url": "http://[::1]:80/?a=1&b=<2>", "_": '{"a": 1}', "port": 80, "none": None}
    published = own.post("setComputerPartitionConnectionXml", **at_child, connection_xml=values, slave_reference="None")
    assert published.text == "done"
    texts = {**values, "port": "80", "none": "None"}
    again = mother.request("child", site.release, **at_root).state
    assert again["_connection_dict"] == texts
    assert parameter_document.loads(again["connection_xml"]) == texts
    assert again["timestamp"] == child["timestamp"], "publishing is nothing for the one who publishes"
    after = site.partition(at_root["computer_partition_id"])["_parameter_dict"]["timestamp"]
    assert int(after) > int(before)
    own.post("setComputerPartitionConnectionXml", **at_child, connection_xml=values)
    assert site.partition(at_root["computer_partition_id"])["_parameter_dict"]["timestamp"] == after
    registered = mother.get(
        "registerComputerPartition",
        computer_reference=site.reference,
        computer_partition_reference=at_child["computer_partition_id"],
    ).state
    assert (registered["_connection_dict"], registered["_requested_state"]) == (texts, "started")
    addresses = site.node.get("getHostingSubscriptionIpList", **at_child).value
    assert len(addresses) == 4
    assert all(isinstance(pair, tuple) and len(pair) == 2 for pair in addresses)
    titles = mother.post("updateComputerPartitionRelatedInstanceList", **at_root, instance_reference_xml=[])
    assert titles.status == 200
    assert site.master.operator.instance(child["_instance_guid"]).orphan
    mother.post("updateComputerPartitionRelatedInstanceList", **at_root, instance_reference_xml=["child"])
    assert not site.master.operator.instance(child["_instance_guid"]).orphan
    mother.close()
    own.close()
    _destroy_tree(site, [at_root, at_child])


def _destroy_tree(site: Site, places: list[dict[str, str]]) -> None:
    """A root that its node reports destroyed is free, also while its children are not."""
    done = site.operator.request("root", site.release, state=marshal.dumps("destroyed").decode()).state
    assert done["_requested_state"] == "destroyed"
    for place in places:
        assert site.partition(place["computer_partition_id"])["_requested_state"] == "destroyed"
    for place in places:
        assert site.node.post("destroyedComputerPartition", **place).status == 200
        assert site.partition(place["computer_partition_id"])["_need_modification"] == 0
    assert site.node.post("destroyedComputerPartition", **places[0]).status == 404


def test_shared_instances(site: Site) -> None:
    host = site.instance("host")
    own, here = site.of(host["_instance_guid"]), site.at(host["slap_computer_partition_id"])
    served = {"instance_guid": host["_instance_guid"]}
    guest = site.instance(
        "guest", shared_xml=True, filter_xml=served, partition_parameter_xml={"_": '{"q": 1}', "slave_title": "no"}
    )
    guid = guest["_instance_guid"]
    assert guid != host["_instance_guid"]
    assert guest["_requested_state"] == "started"
    assert guest["_parameter_dict"]["_"] == '{"q": 1}'
    assert guest["_connection_dict"] == {}
    assert guest["slap_computer_partition_id"] == here["computer_partition_id"]
    seen = site.partition(here["computer_partition_id"])
    [item] = seen["_parameter_dict"]["slave_instance_list"]
    assert item.pop("timestamp") == int(guest["timestamp"])
    assert item == {"slave_title": "guest", "slave_reference": guid, "slap_software_type": "default", "_": '{"q": 1}'}
    assert int(seen["_parameter_dict"]["timestamp"]) > int(host["timestamp"])
    mine = {**here, "slave_reference": guid}
    assert own.post("setComputerPartitionConnectionXml", **mine, connection_xml={"u": "1", "_": "{}"}).status == 200
    [item] = site.partition(here["computer_partition_id"])["_parameter_dict"]["slave_instance_list"]
    assert (item["u"], item["_"]) == ("1", '{"q": 1}')
    assert own.post("softwareInstanceError", **mine, error_log="q is odd").status == 200
    assert site.master.operator.instance(guid).sentence == "q is odd"
    assert own.post("softwareInstanceRename", **mine, new_name="visitor").status == 200
    again = site.instance("visitor", shared_xml=True, filter_xml=served, partition_parameter_xml={"_": '{"q": 1}'})
    assert (again["_instance_guid"], again["_connection_dict"]) == (guid, {"u": "1", "_": "{}"})
    gone = site.operator.request("visitor", site.release, shared_xml=True, state=marshal.dumps("destroyed").decode())
    assert gone.status == 408
    assert site.partition(here["computer_partition_id"])["_parameter_dict"]["slave_instance_list"] == []
    own.close()


def test_states_of_an_order(site: Site) -> None:
    def order(state: str | None) -> Reply:
        return site.operator.request("states", site.release, state=marshal.dumps(state).decode())

    assert order("destroyed").status == 404, "what never was is not made in order to be destroyed"
    assert order("sleeping").status == 400
    assert order("stopped").state["_requested_state"] == "stopped"
    assert order(None).state["_requested_state"] == "stopped"
    place = order("started").state["slap_computer_partition_id"]
    assert order("destroyed").state["_requested_state"] == "destroyed"
    assert order("started").status == 408, "its title is free again when it is gone"
    assert site.node.post("destroyedComputerPartition", **site.at(place)).status == 200
    assert order("destroyed").status == 408
    assert site.partition(place)["_need_modification"] == 0


def test_the_project_of_an_order(site: Site) -> None:
    assert site.operator.request("in main", site.release, project_reference="main").status == 200
    assert site.master.operator.instance(title="in main").project == "main"
    assert site.operator.request("nowhere", site.release, project_reference="unknown").status == 400


def test_pending_is_408_and_kept(site: Site) -> None:
    nowhere = "https://example.org/nowhere/software.cfg"
    reply = site.operator.request("pending", nowhere)
    assert (reply.status, reply.text) == (408, "Software Instance Not Ready\n")
    assert site.master.operator.instance(title="pending").reasons


def test_a_whole_node(site: Site) -> None:
    status = site.operator.get("getComputerStatus", computer_id=site.reference).value
    assert status["text"].startswith(f"#access {site.reference}")
    assert (status["no_data_since_15_minutes"], status["reference"]) == (0, site.reference)
    before = site.information()["_computer_partition_list"]
    assert site.node.post("computerBang", computer_id=site.reference, message="all again").text == "OK"
    after = site.information()["_computer_partition_list"]
    for old, new in zip(before, after, strict=True):
        if old.state["_need_modification"]:
            assert int(new.state["_parameter_dict"]["timestamp"]) > int(old.state["_parameter_dict"]["timestamp"])
    journal = "<?xml version='1.0' encoding='utf-8'?><journal><transaction/></journal>"
    assert site.node.post("useComputer", computer_id=site.reference, use_string=journal).text == "OK"
    assert site.node.post("useComputer", computer_id=site.reference, use_string="<journal>").status == 400


def test_a_new_node_and_its_certificates(site: Site) -> None:
    made = site.operator.post("requestComputer", computer_title="new one").value
    assert (made.kind, made.arguments) == ("Computer", (made.state["_computer_id"],))
    assert site.operator.post("requestComputer", computer_title="new one").value == made
    assert site.master.operator.node(made.arguments[0]).name == "new one"
    answer = site.operator.post("generateComputerCertificate", computer_id=made.arguments[0]).value
    assert set(answer) == {"certificate", "key"}
    reference, client = site.master.enrol("node")
    assert client.node(reference).reference == reference
    assert site.operator.post("revokeComputerCertificate", computer_id=reference).status == 200
    assert certified(site.master, reference).get("getFullComputerInformation", computer_id=reference).status == 401
    place = next(each for each in site.information()["_computer_partition_list"] if each.state["_need_modification"])
    reply = site.node.get("getComputerPartitionCertificate", **site.at(place.arguments[1]))
    assert reply.value == {"certificate": "", "key": ""}
    assert (reply.headers["cache-control"], "etag" in reply.headers) == ("no-store", False)


def test_products(site: Site) -> None:
    for arguments in ({"software_product_reference": "unknown"}, {"software_release_url": "https://example.org/x"}):
        assert site.operator.get("getSoftwareReleaseListFromSoftwareProduct", **arguments).value == []


def test_answers_can_be_kept(site: Site) -> None:
    first = site.node.get("getFullComputerInformation", computer_id=site.reference)
    assert first.headers["cache-control"] == "private, max-age=1, stale-if-error=604800"
    known = {"If-None-Match": first.headers["etag"]}
    second = site.node.get("getFullComputerInformation", known, computer_id=site.reference)
    assert (second.status, second.body) == (304, b"")
    site.node.post("computerBang", computer_id=site.reference, message="")
    assert site.node.get("getFullComputerInformation", known, computer_id=site.reference).status == 200


def test_every_endpoint_was_called() -> None:
    assert set(ENDPOINTS) - CALLED == set()
