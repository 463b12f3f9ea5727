"""The JSON methods of the field, asked in the same words of a real slapproxy and of our legacy listener.

Statuses, members and their types are equal; where ours differ, they differ as :data:`BETTER` says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from slapos.slap.field_client import FieldClient
from slapos.testing.master import MasterServer
from slapos.testing.peers import SlapProxy
from slapos.wire import marshal
from slapos.wire.field_methods import NOT_READY_DOCUMENT
from tests.functional.master.test_xml import document

NODE, JSON = "berlin", {"Content-Type": "application/json"}
#: What slapproxy accepts and should not, or cannot: (its status, ours).
BETTER = {
    "a node that nobody knows": (200, 403),
    "the status of a node that nobody knows": (200, 403),
    "no title": (403, 400),
    "usage that is no XML": (200, 400),
    "a release that is not wished there": (200, 403),
    "a bang on a node that nobody knows": (200, 403),
    "pending": (403, 200),
}
#: Answers with more members than those of slapproxy, as the specification allows.
RICHER = {"status", "shared list"}


@dataclass
class Peer:
    """One of the two masters."""

    url: str
    answers: dict[str, tuple[int, str, Any]] = field(default_factory=dict)

    def send(self, case: str, method: str, body: bytes, headers: dict[str, str], verb: str = "POST") -> Any:
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        try:
            connection.request(verb, f"/slapos.{method}", body or None, headers)
            answer = connection.getresponse()
            data, kind = answer.read(), (answer.headers["Content-Type"] or "").partition(";")[0]
        finally:
            connection.close()
        found = json.loads(data) if kind == "application/json" else None
        self.answers[case] = (answer.status, kind, found)
        return found

    def __call__(self, case: str, method: str, **message: Any) -> Any:
        return self.send(case, method, json.dumps(message).encode(), JSON)


def scenario(peer: Peer, release: str) -> None:
    """Everything that a panel asks, and everything that it should not."""
    node, supply = {"computer_guid": NODE}, {"computer_guid": NODE, "software_release_uri": release}
    peer("supply", "post.v0.software_installation", **supply)
    peer("supply again", "post.v0.software_installation", **supply, state="available")
    peer("a state that is none", "post.v0.software_installation", **supply, state="x")
    peer("a node that nobody knows", "post.v0.software_installation", **{**supply, "computer_guid": "nobody"})
    for state in ("building", "available"):
        peer(f"{state} reported", "put.v0.software_installation_reported_state", **supply, reported_state=state)
    order: dict[str, Any] = {"title": "one", "software_release_uri": release, "software_type": "default"}
    made = peer("order", "post.v0.software_instance", **order, parameters={"a": "1", "b": "é<&>"})
    peer("order again", "post.v0.software_instance", **order, parameters={"a": "1", "b": "é<&>"})
    guid = {"instance_guid": made["instance_guid"]}
    shared = peer("shared", "post.v0.software_instance", **{**order, "title": "guest"}, shared=True)
    assert shared["shared"] is True
    place = {**node, "compute_partition_id": made["compute_partition_id"]}
    _read(peer, node, guid, place)
    _report(peer, node, supply, guid)
    _refused(peer, order, supply)
    _bent(peer, order)
    elsewhere = {**order, "title": "elsewhere", "sla_parameters": {"computer_guid": "nobody"}}
    peer("pending", "post.v0.software_instance", **elsewhere)


def _read(peer: Peer, node: dict[str, str], guid: dict[str, str], place: dict[str, str]) -> None:
    peer("HATEOAS", "get.v0.hateoas_url")
    peer("instance", "get.v0.software_instance", **guid)
    peer("partition", "get.v0.compute_partition", **place)
    peer("tree", "get.v0.instance_tree", title="one")
    peer("status", "get.v0.compute_node_status", **node)
    for name in ("compute_node_instance_list", "compute_node_software_installation_list"):
        peer(name, f"allDocs.v0.{name}", **node)
    peer("trees", "allDocs.v0.instance_tree_list")
    peer("shared list", "allDocs.v0.instance_node_instance_list", **guid)
    peer("nodes", "allDocs.WIP.compute_node_list")


def _report(peer: Peer, node: dict[str, str], supply: dict[str, str], guid: dict[str, str]) -> None:
    peer("started", "put.v0.software_instance_reported_state", **guid, reported_state="started")
    peer("instance error", "put.v0.software_instance_error", **guid, message="broken")
    peer("published", "put.v0.software_instance_connection_parameter", **guid, connection_parameter_dict={"url": "x"})
    peer("instance after", "get.v0.software_instance", **guid)
    peer("bang", "put.v0.software_instance_bang", **guid, message="again")
    peer("node bang", "put.v0.compute_node_bang", **node, message="again")
    peer("usage", "post.v0.compute_node_usage", **node, tioxml="<journal/>")
    peer("installation error", "put.v0.software_installation_error", **supply, message="broken")


def _refused(peer: Peer, order: dict[str, Any], supply: dict[str, str]) -> None:
    asked, put = "get.v0.software_instance", "put.v0.software_installation_reported_state"
    place = {"computer_guid": NODE, "compute_partition_id": "slappart5"}
    other = {**supply, "software_release_uri": "/x", "reported_state": "available"}
    wrong: dict[str, tuple[str, dict[str, Any]]] = {
        "no type": ("post.v0.software_instance", {k: order[k] for k in ("title", "software_release_uri")}),
        "a long title": ("post.v0.software_instance", {**order, "title": "x" * 201}),
        "a member too much": ("post.v0.software_instance", {**order, "extra": 1}),
        "days in words": ("post.v0.software_instance", {**order, "sla_parameters": {"retention_delay": "x"}}),
        "a number in the SLA": ("post.v0.software_instance", {**order, "sla_parameters": {"other": 1}}),
        "parameters that are a list": ("post.v0.software_instance", {**order, "parameters": []}),
        "an instance that nobody knows": (asked, {"instance_guid": "nobody"}),
        "a guid that is a number": (asked, {"instance_guid": 1}),
        "a free partition": ("get.v0.compute_partition", place),
        "a partition that nobody knows": ("get.v0.compute_partition", {**place, "compute_partition_id": "x"}),
        "a tree that nobody knows": ("get.v0.instance_tree", {"title": "none"}),
        "no title": ("get.v0.instance_tree", {"title": ""}),
        "the status of a node that nobody knows": ("get.v0.compute_node_status", {"computer_guid": "nobody"}),
        "a list of a node that nobody knows": ("allDocs.v0.compute_node_instance_list", {"computer_guid": "nobody"}),
        "a host that nobody knows": ("allDocs.v0.instance_node_instance_list", {"instance_guid": "nobody"}),
        "usage that is no XML": ("post.v0.compute_node_usage", {"computer_guid": NODE, "tioxml": "<a"}),
        "a release that is not wished there": (put, other),
        "a bang on a node that nobody knows": ("put.v0.compute_node_bang", {"computer_guid": "nobody", "message": "x"}),
    }
    for case, (method, message) in wrong.items():
        peer(case, method, **message)


def _bent(peer: Peer, order: dict[str, Any]) -> None:
    """What is no call of a method at all."""
    asked = "get.v0.software_instance"
    no_json = {"half": b"{", "a list": b"[]", "nothing": b"", "not UTF-8": b'{"instance_guid": "\xff"}'}
    for case, body in no_json.items():
        peer.send(case, asked, body, JSON)
    good = b'{"instance_guid": "nobody"}'
    peer.send("GET", asked, b"", {}, "GET")
    peer.send("PUT", asked, good, JSON, "PUT")
    peer.send("text", asked, good, {"Content-Type": "text/plain"})
    peer.send("no type of content", asked, good, {})
    peer.send("only HTML", asked, good, {**JSON, "Accept": "text/html"})
    peer.send("everything", asked, good, {**JSON, "Accept": "*/*"})
    peer.send("no such method", "get.v0.nothing", b"{}", JSON)
    claim = {**JSON, "Authorization": f"X-SlapPartition computer_id={NODE}, computer_partition_id=none"}
    peer.send("a wrong claim", "post.v0.software_instance", json.dumps(order).encode(), claim)


def configuration() -> dict[str, Any]:
    """Of a node with six partitions, each with its tap, as slapproxy wants them."""
    found = document(NODE)
    for each in found["partition_list"]:
        each["tap"] = {"name": f"tap-{each['reference']}"}
    return found


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Peer, Peer]]:
    directory: Path = tmp_path_factory.mktemp("json")
    release = directory / "software.cfg"
    release.write_text("[buildout]\nparts =\n")
    ours = MasterServer(directory / "ours", release_roots=[str(directory)], legacy=True)
    with SlapProxy(computer_id=NODE) as proxy, ours:
        both = Peer(proxy.url), Peer(ours.legacy_url)
        for peer in both:
            client = FieldClient(master_url=peer.url)
            client.post("loadComputerConfigurationFromXML", {"xml": marshal.dumps(configuration()).decode("ascii")})
            client.close()
            scenario(peer, str(release))
        yield both


def test_statuses(peers: tuple[Peer, Peer]) -> None:
    theirs, ours = peers
    found = {case: (answer[0], ours.answers[case][0]) for case, answer in theirs.answers.items()}
    assert {case: pair for case, pair in found.items() if pair[0] != pair[1]} == BETTER
    assert len(found) > 50


def test_errors(peers: tuple[Peer, Peer]) -> None:
    """``type`` of ours is the standard phrase, or the code of the full master."""
    for peer in peers:
        for case, (status, kind, body) in peer.answers.items():
            if status == 200 or kind != "application/json":
                continue
            assert set(body) == {"status", "type", "title"}, case
            assert body["status"] == status
            assert body["type"] == HTTPStatus(status).phrase or body["type"].replace("-", "").replace("_", "").isupper()
            assert body["title"]
    assert {kind for _, kind, _ in peers[1].answers.values()} == {"application/json"}


def test_answers(peers: tuple[Peer, Peer]) -> None:
    theirs, ours = peers
    for case, (status, _, body) in theirs.answers.items():
        if status == 200 and case not in {*BETTER, *RICHER}:
            assert shape(ours.answers[case][2]) == shape(body), case
    assert ours.answers["pending"][2] == NOT_READY_DOCUMENT
    made, again = (ours.answers[case][2] for case in ("order", "order again"))
    assert made == again


def shape(value: Any) -> Any:
    """Members and types; of a list, those of its items; of free objects, their values too."""
    if isinstance(value, dict):
        free = ("parameters", "connection_parameters")
        return {name: member if name in free else shape(member) for name, member in sorted(value.items())}
    if isinstance(value, list):
        return sorted({json.dumps(shape(member)) for member in value})
    return type(value).__name__
