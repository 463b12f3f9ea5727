"""XML as nobody well-meaning sends it, and callers who are not who they say: the specified status, nothing changed."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from slapos.slap.client import Client
from slapos.testing.master import MasterServer
from slapos.wire import marshal
from slapos.wire.marshal import FieldObject
from tests.functional.master.test_xml import document
from tests.functional.master.xml_caller import FORM, Reply, Xml, certified

OBJECT = '<object id="i2" module="{}" class="{}"><tuple/><dictionary id="i3"/></object>'
DOCUMENTS = {
    "no XML": "title",
    "cut off": "<marshal><dictionary><string>a</string>",
    "two values": "<marshal><dictionary/><dictionary/></marshal>",
    "another root": "<dictionary/>",
    "entities": '<!DOCTYPE a [<!ENTITY b "b"><!ENTITY c "&b;&b;&b;&b;">]><marshal><string>&c;</string></marshal>',
    "a file": '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><marshal><string>&b;</string></marshal>',
    "parameter entities": '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd"><marshal><dictionary/></marshal>',
    "unknown entity": "<marshal><string>&nbsp;</string></marshal>",
    "deep": "<marshal>" + "<list>" * 200 + "</list>" * 200 + "</marshal>",
    "very deep": "<marshal>" + "<list>" * 100_000,
    "references": "<marshal><list>"
    + '<list id="x0"><string>xxxxxxxxxx</string></list>'
    + "".join(f'<list id="x{i}"><reference id="x{i - 1}"/><reference id="x{i - 1}"/></list>' for i in range(1, 50))
    + "</list></marshal>",
    "unknown class": f"<marshal>{OBJECT.format('os', 'system')}</marshal>",
    "another class of slap": f"<marshal>{OBJECT.format('slapos.slap.slap', 'slap')}</marshal>",
    "an object for a dictionary": f"<marshal>{OBJECT.format('slapos.slap.slap', 'Computer')}</marshal>",
    "a list": "<marshal><list/></marshal>",
    "a text": "<marshal><string>{}</string></marshal>",
    "none": "<marshal><none/></marshal>",
    "number keys": "<marshal><dictionary><int>1</int><string>a</string></dictionary></marshal>",
    "an object inside": "<marshal><dictionary><string>a</string>"
    + OBJECT.format("slapos.slap.slap", "Computer")
    + "</dictionary></marshal>",
    "a set inside": "<marshal><dictionary><string>a</string><set/></dictionary></marshal>",
    "a key twice": "<marshal><dictionary><int>1</int><none/><int>1</int><none/></dictionary></marshal>",
    "half a pair": "<marshal><dictionary><string>a</string></dictionary></marshal>",
    "a huge number": f"<marshal><dictionary><string>a</string><int>{'9' * 50_000}</int></dictionary></marshal>",
    "no number": "<marshal><dictionary><string>a</string><float>nan</float></dictionary></marshal>",
    "a control character": "<marshal><dictionary><string>a</string><string>&#7;</string></dictionary></marshal>",
}
HOSTILE = ["a\x00b", "a\x1bb", "\ufffe"]
HERMITS = [
    "${slap:x}",
    "a\nb\r\nc",
    "\U0001f600",
    "%(x)s",
    "{{ x }}",
    "'; DROP TABLE instances; --",
    " lead",
    "x" * 10**6,
]


class Site:
    """A node, an instance on it, and a picture of the master's state."""

    def __init__(self, master: MasterServer, release: str) -> None:
        self.master, self.release = master, release
        self.callers: dict[str, Xml] = {}
        self.operator = self.caller("")
        self.reference, self.client = master.client_for_new_node("bad input", partitions=3)
        self.node = self.caller(self.reference)
        master.operator.supply(self.reference, release)
        made = self.operator.request("victim", release, filter_xml={"computer_guid": self.reference}).state
        self.guid, self.partition = made["_instance_guid"], made["slap_computer_partition_id"]
        self.here = {"computer_id": self.reference, "computer_partition_id": self.partition}

    def caller(self, name: str) -> Xml:
        """With that certificate; one connection each."""
        if name not in self.callers:
            self.callers[name] = certified(self.master, name)
        return self.callers[name]

    def picture(self) -> Any:
        operator = self.master.operator
        return (
            self.node.get("getFullComputerInformation", computer_id=self.reference).body,
            operator.roots(),
            [each.reference for each in operator.nodes()],
            operator.history(self.guid),
            operator.history(self.reference),
        )


@pytest.fixture(scope="module")
def site(master: MasterServer, release: str) -> Iterator[Site]:
    made = Site(master, release)
    yield made
    for caller in made.callers.values():
        caller.close()


@pytest.fixture
def unchanged(site: Site) -> Iterator[None]:
    before = site.picture()
    yield
    assert site.picture() == before


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents(site: Site, name: str) -> None:
    text = DOCUMENTS[name]
    order = {"software_release": site.release, "partition_reference": "bad"}
    replies = {
        "partition_parameter_xml": site.operator.post(
            "requestComputerPartition", **order, partition_parameter_xml=text
        ),
        "filter_xml": site.operator.post("requestComputerPartition", **order, filter_xml=text),
        "connection_xml": certified_instance(site).post(
            "setComputerPartitionConnectionXml", **site.here, connection_xml=text
        ),
        "xml": site.node.post("loadComputerConfigurationFromXML", xml=text),
    }
    for field, reply in replies.items():
        assert reply.status in (400, 413), (field, reply)
        assert field in reply.text


@pytest.mark.usefixtures("unchanged")
def test_a_required_field_that_is_empty(site: Site) -> None:
    own = certified_instance(site)
    for text in ("", " "):
        assert own.post("setComputerPartitionConnectionXml", **site.here, connection_xml=text).status == 400
        assert site.node.post("loadComputerConfigurationFromXML", xml=text).status == 400


def certified_instance(site: Site) -> Xml:
    path = site.master.directory / "clients" / f"{site.guid}.pem"
    if not path.exists():
        site.master.client_for_instance(site.guid, site.client)
    return site.caller(site.guid)


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("shared_xml", 1),
        ("shared_xml", "true"),
        ("state", 1),
        ("state", ["started"]),
        ("filter_xml", {"computer_guid": {1}}),
        ("software_release", marshal.dumps("")[:0].decode()),
        ("partition_reference", ""),
        ("partition_reference", "x" * 201),
        ("partition_reference", "a\nb"),
        ("software_type", "x" * 500),
        ("software_release", "x" * 5_000),
    ],
)
def test_fields_of_an_order(site: Site, field: str, value: Any) -> None:
    text = value if field in ("software_release", "partition_reference", "software_type") else marshal.dumps(value)
    wanted = text if isinstance(text, str) else text.decode()
    reply = site.operator.request("bad", site.release, **{field: wanted})
    assert (reply.status, field in reply.text or "title" in reply.text or "release" in reply.text) == (400, True)


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    ("endpoint", "field"),
    [
        ("softwareInstanceRename", "new_name"),
        ("softwareInstanceError", "error_log"),
        ("softwareInstanceBang", "message"),
        ("startedComputerPartition", "computer_id"),
        ("startedComputerPartition", "computer_partition_id"),
        ("requestComputer", "computer_title"),
        ("supplySupply", "url"),
        ("useComputer", "use_string"),
    ],
)
def test_characters_that_cannot_travel(site: Site, endpoint: str, field: str, text: str) -> None:
    fields = {**site.here, "url": site.release, "message": "", "error_log": ""}
    reply = site.operator.post(endpoint, **{**fields, field: text})
    assert (reply.status, field in reply.text) == (400, True)


@pytest.mark.parametrize("text", HERMITS)
def test_characters_that_do_travel(site: Site, text: str) -> None:
    """Whatever they mean elsewhere: they come back as they were, and mean nothing."""
    own = certified_instance(site)
    values = {"plain": text, "_": marshal.dumps(text).decode(), f"key {text[:100]}": "x"}
    assert own.post("setComputerPartitionConnectionXml", **site.here, connection_xml=values).status == 200
    order = {"partition_parameter_xml": values, "filter_xml": {"computer_guid": site.reference}}
    found = site.operator.request("victim", site.release, **order).state
    assert found["_connection_dict"] == values
    assert {key: found["_parameter_dict"][key] for key in values} == values
    assert own.post("softwareInstanceError", **site.here, error_log=text).status == 200


def raw(site: Site, body: bytes, endpoint: str = "softwareInstanceBang", **headers: str) -> Reply:
    return site.operator.send("POST", f"/{endpoint}", body, {**FORM, **headers})


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"computer_id",
        b"\xff\xfe",
        b"computer_id=%ff&computer_partition_id=x&message=",
        "computer_id=é".encode(),
        b"&".join(b"field%d=1" % number for number in range(10_000)),
        b"computer_id=a&computer_id=b&computer_partition_id=c&message=",
        b"<marshal><none/></marshal>",
        b'{"computer_id": "COMP-1"}',
        b"computer_id=COMP-1&computer_partition_id=%00&message=",
    ],
)
def test_what_is_no_form(site: Site, body: bytes) -> None:
    assert raw(site, body).status == 400


@pytest.mark.usefixtures("unchanged")
def test_how_it_is_sent(site: Site) -> None:
    form = urlencode({**site.here, "message": "m"}).encode()
    for kind in ("application/json", "multipart/form-data; boundary=x", "text/xml"):
        assert raw(site, form, **{"Content-Type": kind}).status == 415
    for verb in ("PUT", "DELETE", "PATCH", "OPTIONS", "GET"):
        refused = site.operator.send(verb, "/softwareInstanceBang", form, FORM)
        assert (refused.status, refused.headers["allow"]) == (405, "POST")
    refused = site.operator.send("POST", "/getFullComputerInformation", form, FORM)
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")
    assert site.operator.send("GET", "/getfullcomputerinformation", b"", {}).status == 404
    assert site.operator.get("getFullComputerInformation").status == 400
    head = site.operator.send("HEAD", f"/getFullComputerInformation?computer_id={site.reference}", b"", {})
    assert (head.status, head.body) == (200, b"")


@pytest.mark.usefixtures("unchanged")
def test_too_large(site: Site) -> None:
    body = b"message=" + b"x" * (10 * 1024 * 1024)
    assert raw(site, body).status == 413
    site.operator.close()
    long = site.operator.send("GET", f"/getFullComputerInformation?computer_id={'x' * 30_000}", b"", {})
    assert long.status in (400, 404, 414)


@pytest.mark.usefixtures("unchanged")
def test_a_body_that_ends_too_early_harms_nobody(site: Site) -> None:
    assert site.master.files is not None
    context = ssl.create_default_context(cafile=site.master.ca_file)
    context.load_cert_chain(site.master.files.certificate_path, site.master.files.key_path)
    with (
        socket.create_connection(("127.0.0.1", site.master.config.port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        head = "POST /softwareInstanceBang HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
        connection.sendall(f"{head}Content-Type: application/x-www-form-urlencoded\r\n\r\ncomputer_id=".encode())
    assert site.operator.get("getFullComputerInformation", computer_id=site.reference).status == 200


class Others:
    """People, nodes and instances who are somebody else."""

    def __init__(self, site: Site) -> None:
        master = site.master
        self.reference, client = master.client_for_new_node("other", partitions=2)
        master.operator.supply(self.reference, site.release)
        made = site.operator.request("other", site.release, filter_xml={"computer_guid": self.reference}).state
        self.guid, self.partition = made["_instance_guid"], made["slap_computer_partition_id"]
        master.client_for_instance(self.guid, client)
        self.node, self.instance = site.caller(self.reference), site.caller(self.guid)
        self.nobody = site.caller("-")


@pytest.fixture(scope="module")
def others(site: Site) -> Others:
    return Others(site)


CALLS: list[tuple[str, dict[str, Any]]] = [
    ("startedComputerPartition", {}),
    ("stoppedComputerPartition", {}),
    ("destroyedComputerPartition", {}),
    ("softwareInstanceError", {"error_log": "x"}),
    ("softwareInstanceBang", {"message": "x"}),
    ("softwareInstanceRename", {"new_name": "x"}),
    ("setComputerPartitionConnectionXml", {"connection_xml": {"a": "stolen"}}),
    ("updateComputerPartitionRelatedInstanceList", {"instance_reference_xml": []}),
    ("computerBang", {"message": "x"}),
    ("useComputer", {"use_string": "<x/>"}),
    ("buildingSoftwareRelease", {"url": "release"}),
    ("destroyedSoftwareRelease", {"url": "release"}),
    ("generateComputerCertificate", {}),
    ("revokeComputerCertificate", {}),
    ("supplySupply", {"url": "release", "state": "destroyed"}),
    ("requestComputerPartition", {"software_release": "release", "partition_reference": "child"}),
]


@pytest.mark.parametrize(("endpoint", "fields"), CALLS)
def test_the_certificate_of_somebody_else(site: Site, others: Others, endpoint: str, fields: dict[str, Any]) -> None:
    before = site.picture()
    values = {name: site.release if value == "release" else value for name, value in fields.items()}
    for caller in (others.node, others.instance):
        assert caller.post(endpoint, **site.here, **values).status in (403, 404), endpoint
        claimed = caller.post(endpoint, (site.reference, site.partition), **site.here, **values)
        assert claimed.status == 403, "a claim does not help"
    assert others.nobody.post(endpoint, **site.here, **values).status == 401
    assert others.nobody.post(endpoint, (site.reference, site.partition), **site.here, **values).status == 401
    assert site.picture() == before


@pytest.mark.parametrize(
    ("endpoint", "arguments"),
    [
        ("getFullComputerInformation", ("computer_id",)),
        ("getComputerStatus", ("computer_id",)),
        ("registerComputerPartition", ("computer_reference", "computer_partition_reference")),
        ("getComputerPartitionCertificate", ("computer_id", "computer_partition_id")),
        ("getComputerPartitionStatus", ("computer_id", "computer_partition_id")),
        ("getHostingSubscriptionIpList", ("computer_id", "computer_partition_id")),
    ],
)
def test_others_do_not_read(site: Site, others: Others, endpoint: str, arguments: tuple[str, ...]) -> None:
    values = dict(zip(arguments, (site.reference, site.partition), strict=False))
    for caller in (others.node, others.instance):
        assert caller.get(endpoint, **values).status in (403, 404)
    assert others.nobody.get(endpoint, **values).status == 401


def test_the_format_of_somebody_else(site: Site, others: Others) -> None:
    before = site.picture()
    for caller in (others.node, others.instance):
        assert caller.post("loadComputerConfigurationFromXML", xml=document(site.reference)).status == 403
    assert site.picture() == before


def test_a_person_is_neither_node_nor_instance(site: Site) -> None:
    site.master.enrol("user", "member")
    member = site.caller("member")
    before = site.picture()
    for claim in (None, (site.reference, site.partition)):
        for endpoint in ("startedComputerPartition", "stoppedComputerPartition", "destroyedComputerPartition"):
            assert member.post(endpoint, claim, **site.here).status == 403
        assert member.post("setComputerPartitionConnectionXml", claim, **site.here, connection_xml={}).status == 403
        assert member.post("softwareInstanceError", claim, **site.here, error_log="x").status == 403
        assert member.post("supplySupply", claim, url=site.release, computer_id=site.reference).status == 403
        assert member.post("requestComputer", claim, computer_title="mine").status == 403
        child = member.post(
            "requestComputerPartition",
            claim,
            **site.here,
            software_release=site.release,
            partition_reference="child by a member",
        )
        assert child.status == 403
    assert member.get("getFullComputerInformation", computer_id=site.reference).status == 200
    assert site.picture() == before


def test_only_the_end_of_a_log_is_kept(site: Site) -> None:
    log = "x" * 100_000 + "the reason"
    assert site.node.post("softwareInstanceError", **site.here, error_log=log).status == 200
    about = {"url": site.release, "computer_id": site.reference}
    assert site.node.post("softwareReleaseError", **about, error_log=log).status == 200
    told = [
        site.master.operator.instance(site.guid).sentence,
        site.master.operator.node(site.reference).supplies[0].sentence,
    ]
    assert all(len(each) == 2_000 and each.endswith("the reason") for each in told)


def test_a_claim_that_is_true(site: Site, others: Others) -> None:
    """A node speaks for the instance in its own partition, as it does where instances have no certificates."""
    here = (others.reference, others.partition)
    child = others.node.post(
        "requestComputerPartition", here, software_release=site.release, partition_reference="child of other"
    )
    assert child.state["root_instance_title"] == "other"
    same = others.instance.post(
        "requestComputerPartition", here, software_release=site.release, partition_reference="child of other"
    )
    assert same.state["_instance_guid"] == child.state["_instance_guid"]


def test_one_guest_cannot_speak_for_another(site: Site, others: Others) -> None:
    """``slave_reference`` of a shared instance that is served by another host."""
    guest = site.operator.request(
        "guest of victim", site.release, shared_xml=True, filter_xml={"instance_guid": site.guid}
    ).state["_instance_guid"]
    there = {"computer_id": others.reference, "computer_partition_id": others.partition, "slave_reference": guest}
    assert others.instance.post("setComputerPartitionConnectionXml", **there, connection_xml={"a": "b"}).status == 403
    assert others.instance.post("softwareInstanceRename", **there, new_name="b").status == 403
    assert others.instance.post("softwareInstanceError", **there, error_log="b").status == 403
    assert others.node.post("softwareInstanceError", **there, error_log="b").status == 403
    assert site.master.operator.instance(guest).connection == {}


def test_arguments_that_look_like_more(site: Site) -> None:
    for text in ("COMP-1' OR '1'='1", "COMP-1\n", "../COMP-1", "COMP-01", "COMP-99999999999999999999", "None"):
        path = f"/getFullComputerInformation?computer_id={quote(text)}"
        assert site.operator.send("GET", path, b"", {}).status == 404


def test_objects_are_data(site: Site) -> None:
    """Even those of the protocol are never made from what is sent."""
    forged = FieldObject("SoftwareInstance", ("a",), {"__class__": "x", "_requested_state": "destroyed"})
    order = {"software_release": site.release, "partition_reference": "forged"}
    for field in ("partition_parameter_xml", "filter_xml", "shared_xml", "state"):
        assert site.operator.post("requestComputerPartition", **order, **{field: forged}).status == 400


def test_no_defect(master: MasterServer, operator: Client) -> None:
    """Last on purpose: the master served all that without a defect, and serves on."""
    assert "Traceback" not in Path(master.directory, "master.log").read_text()
    assert operator.nodes()
