"""The OpenAPI document is true: every method is called, and every answer, errors too, is what the document says."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass, field
from http.client import HTTPSConnection
from typing import Any

import pytest
from jsonschema import Draft7Validator

from slapos.master.endpoints import ROUTES
from slapos.pki import keys, requests
from slapos.pki.renewal import sign_possession
from slapos.testing.master import MasterServer
from slapos.wire import messages
from slapos.wire.field_methods import NOT_READY_DOCUMENT
from slapos.wire.openapi import NAMED, REFERENCE

FORMAT = {"partitions": [{"reference": f"p{i}", "addresses": [{"interface": "lo", "ip": "::1"}]} for i in range(9)]}


def resolved(schema: Any) -> Any:
    """The schema with its references replaced by what they name."""
    if isinstance(schema, dict) and "$ref" in schema:
        return resolved(NAMED[schema["$ref"].removeprefix(REFERENCE)])
    if isinstance(schema, dict):
        return {key: resolved(value) for key, value in schema.items()}
    return [resolved(value) for value in schema] if isinstance(schema, list | tuple) else schema


@dataclass
class Reader:
    """Reads the document once, then checks each answer against it."""

    master: MasterServer
    files: dict[str, tuple[str, str]]
    document: dict[str, Any] = field(default_factory=dict)
    seen: set[tuple[str, int]] = field(default_factory=set)

    def send(self, verb: str, path: str, body: bytes, headers: dict[str, str], who: str) -> tuple[int, str, Any]:
        context = ssl.create_default_context(cafile=self.master.ca_file)
        if who:
            context.load_cert_chain(*self.files[who])
        connection = HTTPSConnection("127.0.0.1", self.master.config.port, context=context, timeout=30)
        try:
            connection.request(verb, path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers["Content-Type"], json.loads(answer.read())
        finally:
            connection.close()

    def checked(self, method: str, verb: str, body: bytes, headers: dict[str, str], who: str) -> tuple[int, Any]:
        status, kind, answer = self.send(verb, f"/{method}", body, headers, who)
        said = self.document["paths"][f"/{method}"]["post"]["responses"]
        assert str(status) in said, f"{method} answered {status}, which the document does not say: {answer}"
        assert [kind] == list(said[str(status)]["content"]), (method, status)
        schema = said[str(status)]["content"][kind]["schema"]
        problems = Draft7Validator({**schema, "components": self.document["components"]}).iter_errors(answer)
        assert [(method, status, error.message) for error in problems] == []
        self.seen.add((method, status))
        return status, answer

    def __call__(self, method: str, who: str = "operator", status: int = 200, **message: Any) -> Any:
        headers = {"Content-Type": "application/json"}
        got, answer = self.checked(method, "POST", json.dumps(message).encode(), headers, who)
        assert got == status, answer
        return answer


@pytest.fixture(scope="module")
def reader(master: MasterServer) -> Reader:
    assert master.files is not None
    found = Reader(master, {"operator": (master.files.certificate_path, master.files.key_path)})
    status, kind, found.document = found.send("GET", "/openapi.json", b"", {}, "")
    assert (status, kind) == (200, "application/json")
    return found


def test_it_names_every_method_with_its_own_schemas(reader: Reader, master: MasterServer) -> None:
    document = reader.document
    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": master.url}]
    assert {path.removeprefix("/") for path in document["paths"]} == set(messages.METHODS) == set(ROUTES)
    for name, method in messages.METHODS.items():
        operation = document["paths"][f"/{name}"]["post"]
        plain = json.loads(json.dumps({"request": method.request, "answer": method.answer}))
        assert resolved(operation["requestBody"]["content"]["application/json"]["schema"]) == plain["request"]
        assert resolved(operation["responses"]["200"]["content"]["application/json"]["schema"]) == plain["answer"]
        assert operation["summary"].endswith(".")
        assert (operation["security"] == []) == ROUTES[name].anonymous
    for name, schema in NAMED.items():
        assert resolved(document["components"]["schemas"][name]) == json.loads(json.dumps(resolved(schema)))


def _files(master: MasterServer, reference: str) -> tuple[str, str]:
    directory = master.directory / "clients"
    return str(directory / f"{reference}.pem"), str(directory / f"{reference}.key")


def test_every_answer_is_as_said(reader: Reader, master: MasterServer, release: str) -> None:
    token = reader("hyperopenx.post.v0.enrolment_token", kind="node", name="described")["token"]
    key = keys.new_key()
    enrolled = reader("hyperopenx.post.v0.enrolment", "", token=token, csr=requests.make_csr(key, "x", "node"))
    node = enrolled["reference"]
    directory = master.directory / "described"
    directory.mkdir()
    pem, key_file = directory / "node.pem", directory / "node.key"
    pem.write_text(enrolled["certificate"])
    key_file.write_bytes(keys.key_to_pem(key))
    reader.files["node"] = (str(pem), str(key_file))
    _own_methods(reader, node, release)
    _field_methods(reader, node, release)
    _certificates(reader, master, enrolled["certificate"], key)
    missing = {name for name in messages.METHODS if (name, 200) not in reader.seen}
    assert missing == set()
    assert ("hyperopenx.post.v0.instance", 202) in reader.seen


def _own_methods(reader: Reader, node: str, release: str) -> None:
    of_node: dict[str, Any] = {"computer_guid": node}
    reader("hyperopenx.put.v0.node_format", "node", **of_node, format=FORMAT)
    pending = reader("hyperopenx.post.v0.instance", status=202, title="waits", release=release)
    assert pending["reasons"]
    reader("hyperopenx.post.v0.supply", **of_node, release=release)
    supplies = [{"release": release, "reported": "available", "sentence": "Built."}]
    reader("hyperopenx.put.v0.node_report", "node", **of_node, instances=[], supplies=supplies, plan={"a": 1})
    made = reader("hyperopenx.post.v0.instance", title="described", release=release, parameters={"a": "1"})
    guid = made["guid"]
    result = {"name": "p", "ok": True, "message": "fine", "date": 1, "seconds": 0.5}
    report = {"guid": guid, "health": "ok", "sentence": "It runs.", "reported_state": "started", "promises": [result]}
    report["timestamp"] = made["timestamp"]
    reader("hyperopenx.put.v0.node_report", "node", **of_node, instances=[report], supplies=[])
    reader("hyperopenx.get.v0.instance", instance_guid=guid)
    reader("hyperopenx.get.v0.instance", title="described")
    reader("hyperopenx.get.v0.tree", instance_guid=guid)
    reader("hyperopenx.allDocs.v0.instance_list")
    reader("hyperopenx.put.v0.requested_children", "node", instance_guid=guid, titles=[])
    reader("hyperopenx.put.v0.connection", instance_guid=guid, connection={"url": "x"})
    reader("hyperopenx.put.v0.title", instance_guid=guid, title="renamed")
    reader("hyperopenx.post.v0.bang", instance_guid=guid, message="again")
    reader("hyperopenx.allDocs.v0.event_list", subject=guid)
    reader("hyperopenx.get.v0.node_state", "node", **of_node)
    reader("hyperopenx.get.v0.node", **of_node)
    reader("hyperopenx.allDocs.v0.node_list")
    reader("hyperopenx.get.v0.plan", **of_node)
    reader("hyperopenx.post.v0.usage", "node", **of_node, identifier="1", document="<journal/>")
    reader("hyperopenx.allDocs.v0.usage_list")
    reader("hyperopenx.get.v0.instance", status=404, instance_guid="SOFTINST-999")
    reader("hyperopenx.post.v0.supply", status=409, **of_node, release=release, state="destroyed")


def _field_methods(reader: Reader, node: str, release: str) -> None:
    of_node: dict[str, Any] = {"computer_guid": node}
    supply: dict[str, Any] = {**of_node, "software_release_uri": release}
    reader("slapos.get.v0.hateoas_url")
    nobody = reader("slapos.get.v0.hateoas_url", "", status=401)
    assert (nobody["status"], nobody["type"]) == (401, "Unauthorized")
    partitions = [{"partition_id": f"p{i}", "ip_list": [{"ip-address": "::1", "x": 1}], "y": 2} for i in range(9)]
    reader("slapos.put.v0.compute_node_format", "node", **of_node, compute_partition_list=partitions)
    reader("slapos.post.v0.software_installation", **supply)
    for state in ("building", "available"):
        reader("slapos.put.v0.software_installation_reported_state", "node", **supply, reported_state=state)
    order: dict[str, Any] = {"title": "of the field", "software_release_uri": release, "software_type": ""}
    made = reader("slapos.post.v0.software_instance", **order, sla_parameters={"computer_guid": node})
    guid: dict[str, Any] = {"instance_guid": made["instance_guid"]}
    nowhere: dict[str, Any] = {**order, "title": "waits for a network", "sla_parameters": {"network_guid": "nowhere"}}
    assert reader("slapos.post.v0.software_instance", **nowhere) == NOT_READY_DOCUMENT
    reader("slapos.get.v0.software_instance", **guid)
    reader("slapos.get.v0.compute_partition", "node", **of_node, compute_partition_id=made["compute_partition_id"])
    reader("slapos.get.v0.instance_tree", title="of the field")
    reader("slapos.get.v0.software_instance_certificate", "node", **guid)
    reader("slapos.get.v0.compute_node_status", **of_node)
    for name in ("compute_node_instance_list", "compute_node_software_installation_list"):
        reader(f"slapos.allDocs.v0.{name}", **of_node)
    reader("slapos.allDocs.v0.instance_node_instance_list", **guid)
    reader("slapos.allDocs.v0.instance_tree_list")
    reader("slapos.allDocs.WIP.compute_node_list")
    reader("slapos.put.v0.software_instance_reported_state", "node", **guid, reported_state="started")
    reader("slapos.put.v0.software_instance_error", "node", **guid, message="broken")
    reader("slapos.put.v0.software_instance_bang", **guid, message="again")
    reader("slapos.put.v0.software_instance_title", **guid, title="renamed of the field")
    published = "slapos.put.v0.software_instance_connection_parameter"
    reader(published, "node", status=403, **guid, connection_parameter_dict={})
    reader(published, **guid, connection_parameter_dict={"a": {"b": 1}})
    reader("slapos.put.v0.compute_node_bang", **of_node, message="again")
    reader("slapos.post.v0.compute_node_usage", "node", **of_node, tioxml="<journal/>")
    reader("slapos.put.v0.software_installation_error", "node", **supply, message="broken")
    reader("slapos.post.v0.compute_node_certificate", **of_node)
    for wrong in ("slapos.get.v0.software_instance", "slapos.allDocs.v0.instance_node_instance_list"):
        reader(wrong, status=403, instance_guid="SOFTINST-999")


def _certificates(reader: Reader, master: MasterServer, certificate: str, key: keys.PrivateKey) -> None:
    node_guid = reader("hyperopenx.get.v0.instance", title="renamed")["guid"]
    csr = requests.make_csr(keys.new_key(), node_guid, "instance")
    reader("hyperopenx.post.v0.certificate", "node", kind="instance", csr=csr, instance_guid=node_guid)
    again = requests.make_csr(keys.new_key(), "x", "node")
    proof: dict[str, Any] = {
        "certificate": certificate,
        "csr": again,
        "signature": sign_possession(key, certificate, again),
    }
    renewed = reader("hyperopenx.post.v0.certificate_renewal", "", **proof)
    reader("hyperopenx.post.v0.certificate_revocation", certificate=renewed["certificate"])
    reader("slapos.remove.v0.compute_node_certificate", computer_guid=renewed["reference"])
    reader("hyperopenx.get.v0.node", "node", status=401, computer_guid=renewed["reference"])


@pytest.mark.parametrize("method", sorted(messages.METHODS))
def test_every_refusal_is_as_said(reader: Reader, method: str) -> None:
    json_type = {"Content-Type": "application/json"}
    cases: list[tuple[str, bytes, dict[str, str], str, int]] = [
        ("GET", b"", {}, "operator", 405),
        ("PUT", b"{}", json_type, "operator", 405),
        ("POST", b"{}", {"Content-Type": "text/plain"}, "operator", 415),
        ("POST", b"", {}, "operator", 415),
        ("POST", b"{}", {**json_type, "Accept": "text/html, application/json;q=0"}, "operator", 406),
        ("POST", b"[]", json_type, "operator", 400),
        ("POST", b'{"a": 1e999}', json_type, "operator", 400),
        ("POST", b"{", json_type, "operator", 400),
        ("POST", b'{"no such member": 1}', json_type, "operator", 400),
    ]
    for verb, body, headers, who, expected in cases:
        status, answer = reader.checked(method, verb, body, headers, who)
        assert status == expected, (verb, body, headers, answer)
        if method.startswith("slapos."):
            phrases = {400: "Bad Request", 405: "Method Not Allowed", 406: "Not Acceptable"}
            phrases[415] = "Unsupported Media Type"
            assert answer == {"status": status, "type": phrases[status], "title": answer["title"]}
