"""The HATEOAS dialect of a real master, read as clients of the field read it (spec/03)."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from slapos.model.errors import Refused
from slapos.model.objects import InstanceReport, InstanceRequest, SupplyStatus
from slapos.model.states import Health, SupplyReport
from slapos.slap.client import Client
from slapos.testing.master import MasterServer
from slapos.wire import parameter_document

TREES = 'portal_type:"Instance Tree" AND validation_state:validated'
NODES = 'portal_type:"Compute Node" AND validation_state:validated'
MEMBERS = 'portal_type:("Software Instance", "Slave Instance") AND validation_state:validated'
SUPPLIES = 'portal_type:"Software Installation" AND validation_state:validated'
HUGE = ("COMP-" + "9" * 30, "SOFTINST-" + "9" * 30, "x" * 5_000, "é/../..")
FIELDS = {"StringField", "EmailField", "IntegerField", "FloatField", "TextAreaField"}


@dataclass
class Reader:
    """What such a client does, with a certificate or without."""

    master: MasterServer
    certificate: tuple[str, str] | None = None

    def get(self, url: str, **headers: str) -> tuple[int, str]:
        parts = urlsplit(url)
        context = ssl.create_default_context(cafile=self.master.ca_file)
        if self.certificate:
            context.load_cert_chain(*self.certificate)
        assert parts.hostname and parts.port
        connection: HTTPConnection = (
            HTTPSConnection(parts.hostname, parts.port, context=context, timeout=30)
            if parts.scheme == "https"
            else HTTPConnection(parts.hostname, parts.port, timeout=30)
        )
        try:
            connection.request("GET", url.partition(parts.netloc)[2], headers={"Accept": "*/*", **headers})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def base(self) -> str:
        status, text = self.get(f"{self.master.url}/getHateoasUrl")
        assert status == 200
        return text

    def expand(self, name: str, **values: str) -> str:
        url: str = json.loads(self.get(self.base())[1])["_links"][name]["href"]
        for key, value in values.items():
            url = url.replace("{" + key + "}", quote(value, safe=""))
        return url

    def search(self, query: str, *columns: str) -> Any:
        status, text = self.get(self.expand("raw_search", query=query, select_list=",".join(columns)))
        assert status == 200, text
        return json.loads(text)["_embedded"]["contents"]

    def fields(self, relative_url: str) -> tuple[str, dict[str, Any]]:
        url = self.expand("traverse", relative_url=relative_url, view="slaposjs_view")
        status, text = self.get(url)
        assert status == 200, text
        document = json.loads(text)
        view = document["_embedded"]["_view"]
        assert view["form_id"]["key"] and view["form_id"]["default"]
        mine = {name[3:]: field for name, field in view.items() if name.startswith("my_")}
        assert {field["type"] for field in mine.values()} <= FIELDS
        assert all(field["key"] for field in mine.values())
        return document["_links"]["type"]["name"], {name: field["default"] for name, field in mine.items()}


@dataclass
class Scene:
    """A node with a release, a tree with parameters, a root shared instance."""

    node: str
    guid: str
    release: str
    node_client: Client


@pytest.fixture(scope="module")
def scene(master: MasterServer, release: str) -> Scene:
    node, client = master.client_for_new_node("rack 1", 4)
    master.operator.supply(node, release)
    client.report(node, supplies=[SupplyStatus(release, SupplyReport.AVAILABLE)])
    order = InstanceRequest('a "title" é', release, "kind", {"_": '{"a": [1]}', "empty": "", "b": "<&>"})
    made = master.operator.request(order)
    master.client_for_instance(made.guid, client).publish(made.guid, {"url": "http://[::1]/?a&b", "x": "1"})
    shared = InstanceRequest("guest", release, "kind", {"k": "v"}, {"instance_guid": made.guid}, shared=True)
    master.operator.request(shared)
    now = master.operator.instance(made.guid)
    client.report(node, instances=[InstanceReport(made.guid, Health.OK, "It runs.", "started", now.timestamp)])
    return Scene(node, made.guid, release, client)


@pytest.fixture
def reader(master: MasterServer, scene: Scene) -> Iterator[Reader]:
    assert master.files is not None
    yield Reader(master, (master.files.certificate_path, master.files.key_path))


def test_first_document(reader: Reader, master: MasterServer) -> None:
    base = reader.base()
    assert base == f"{master.url}/hateoas/"
    for url in (base, base.rstrip("/")):
        status, text = reader.get(url)
        links = json.loads(text)["_links"]
        assert status == 200
        assert links["me"]["href"] == "urn:jio:get:person_module/admin"
        assert links["self"]["href"] == base.rstrip("/")
        assert "{query}" in links["raw_search"]["href"] and "{select_list}" in links["raw_search"]["href"]
        assert "{relative_url}" in links["traverse"]["href"] and "{view}" in links["traverse"]["href"]


def test_where_the_client_called(reader: Reader, master: MasterServer) -> None:
    """By another name of the same master, the address has that name; a wrong name leads nowhere else."""
    url = f"{master.url}/getHateoasUrl"
    assert reader.get(url, Host="cloud.example.org")[1] == "https://cloud.example.org/hateoas/"
    for wrong in ("evil.example/x?", "a b", "user@evil", "", "[::1", 'x"'):
        assert reader.get(url, Host=wrong)[1] == f"{master.url}/hateoas/"
    assert master.operator.call("slapos.get.v0.hateoas_url", {}) == {"hateoas_url": f"{master.url}/hateoas/"}


def test_listing_trees(reader: Reader, scene: Scene) -> None:
    assert reader.search(TREES, "title", "url_string") == [
        {"title": 'a "title" é', "url_string": scene.release},
        {"title": "guest", "url_string": scene.release},
    ]
    one = reader.search(f'{TREES} AND title:="a "title" é"', "title", "relative_url")
    assert [row["title"] for row in one] == ['a "title" é']
    assert reader.search(f'{TREES} AND title:="a"', "title", "relative_url") == []


def test_a_tree(reader: Reader, scene: Scene) -> None:
    [row] = reader.search(f'{TREES} AND title:="a "title" é"', "title", "relative_url")
    kind, fields = reader.fields(row["relative_url"])
    assert kind == "Instance Tree"
    assert (fields["title"], fields["reference"]) == ('a "title" é', scene.guid)
    assert (fields["slap_state"], fields["source_reference"], fields["root_slave"]) == ("started", "kind", 0)
    assert fields["url_string"] == scene.release
    assert parameter_document.loads(fields["text_content"]) == {"_": '{"a": [1]}', "empty": None, "b": "<&>"}
    assert fields["connection_parameter_list"] == [
        {"connection_key": "url", "connection_value": "http://[::1]/?a&b"},
        {"connection_key": "x", "connection_value": "1"},
    ]
    assert [line["text"] for line in fields["news"]["instance"]] == ["#access It runs."]


def test_a_shared_root(reader: Reader, scene: Scene) -> None:
    [row] = reader.search(f'{TREES} AND title:="guest"', "title", "relative_url")
    kind, fields = reader.fields(row["relative_url"])
    assert (kind, fields["root_slave"], fields["source_reference"]) == ("Instance Tree", 1, "kind")
    assert parameter_document.loads(fields["text_content"]) == {"k": "v"}


def test_members_of_a_tree(reader: Reader, scene: Scene) -> None:
    columns = ("uid", "title", "portal_type", "text_content", "getConnectionXmlAsDict", "SoftwareInstance_getNewsDict")
    [row] = reader.search(f'{MEMBERS} AND default_specialise_title:="a "title" é"', *columns, "relative_url")
    assert set(row) == {*columns, "relative_url"}
    assert (row["portal_type"], row["getConnectionXmlAsDict"]["x"]) == ("Software Instance", "1")
    assert row["SoftwareInstance_getNewsDict"]["text"] == "#access It runs."
    assert reader.fields(row["relative_url"])[1]["reference"] == scene.guid
    assert reader.search(f'{MEMBERS} AND default_specialise_title:="none"', "uid") == []


def test_nodes(reader: Reader, scene: Scene) -> None:
    assert {"title": "rack 1", "reference": scene.node} in reader.search(NODES, "title", "reference")
    [row] = reader.search(f'{NODES} AND reference:="{scene.node}"', "reference", "relative_url")
    kind, fields = reader.fields(row["relative_url"])
    assert (kind, fields["reference"], fields["title"]) == ("Compute Node", scene.node, "rack 1")
    assert fields["news"]["computer"]["text"].startswith("#access")
    assert [line["text"] for line in fields["news"]["partition"].values()] == ["#access It runs."]
    for nobody in ("COMP-999", "local_computer", ""):
        assert reader.search(f'{NODES} AND reference:="{nobody}"', "reference") == []


def test_installations(reader: Reader, scene: Scene) -> None:
    columns = ("uid", "relative_url", "url_string", "SoftwareInstallation_getNewsDict")
    [row] = reader.search(f'{SUPPLIES} AND default_aggregate_reference:="{scene.node}"', *columns)
    assert row["url_string"] == scene.release
    text = row["SoftwareInstallation_getNewsDict"]["text"]
    assert text == f"#access software release {scene.release} available"
    assert reader.fields(row["relative_url"])[1]["url_string"] == scene.release


def test_me(reader: Reader, scene: Scene, master: MasterServer) -> None:
    assert reader.fields("person_module/admin") == ("Person", {"title": "admin", "reference": "admin"})


def test_what_is_not_known(reader: Reader) -> None:
    base = reader.base()
    wrong = {"?mode=search&query=everything": 400, "?mode=search": 400, "?mode=drop": 400, "nothing": 404}
    wrong |= {"?mode=search&query=%00": 400, "?mode=traverse&relative_url=instance_tree_module/%00": 400}
    wrong |= {f"?mode=search&query={quote(TREES + ' AND title:=')}%22%00%22": 400}
    paths = ["", "x", "instance_tree_module/SOFTINST-999", "instance_tree_module/x", "compute_node_module/COMP-999"]
    paths += ["person_module/else", "software_installation_module/COMP-999-1", "software_installation_module/x"]
    paths += [f"{module}/{name}" for module in ("compute_node_module", "instance_tree_module") for name in HUGE]
    wrong |= {f"?mode=traverse&relative_url={quote(path)}": 404 for path in paths}
    for path, status in wrong.items():
        assert reader.get(base + path)[0] == status, path


def test_who_may_see_it(reader: Reader, master: MasterServer, scene: Scene) -> None:
    anonymous = Reader(master)
    assert anonymous.base() == reader.base()
    assert anonymous.get(reader.base())[0] == 401
    login = master.enrol("user", "jane")[0]
    files = master.directory / "clients"
    member = Reader(master, (str(files / f"{login}.pem"), str(files / f"{login}.key")))
    assert [row["title"] for row in member.search(TREES, "title")] == ['a "title" é', "guest"]
    assert member.get(member.expand("traverse", relative_url="person_module/admin"))[0] == 404
    node = Reader(master, (str(files / f"{scene.node}.pem"), str(files / f"{scene.node}.key")))
    assert node.search(TREES, "title") == []
    stranger, _ = master.client_for_new_node("stranger")
    other = Reader(master, (str(files / f"{stranger}.pem"), str(files / f"{stranger}.key")))
    assert other.get(other.expand("traverse", relative_url=f"instance_tree_module/{scene.guid}"))[0] == 403
    assert other.get(other.expand("traverse", relative_url=f"compute_node_module/{scene.node}"))[0] == 403
    with pytest.raises(Refused):
        master.operator.call("slapos.get.v0.software_instance", {"instance_guid": "SOFTINST-999"})
