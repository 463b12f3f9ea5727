"""Keys that the master makes, as tools of the field ask for them."""

from __future__ import annotations

import json
import os
import ssl
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from slapos.model.errors import HyperopenxError, InputError
from slapos.model.objects import InstanceRequest
from slapos.pki.certificates import describe
from slapos.slap.client import Client
from slapos.slap.field_client import FieldClient
from slapos.system.processes import Launch, run
from slapos.testing.master import MasterServer, node_format

NODE, PERSON = "Person_requestComputer", "Person_getCertificate"


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory, releases: Path) -> Iterator[MasterServer]:
    with MasterServer(tmp_path_factory.mktemp("master"), release_roots=[str(releases)], legacy=True) as server:
        yield server


@dataclass
class Tool:
    """`slapos node register` and `slapos configure client` of the field; they verify nothing."""

    master: MasterServer

    def __call__(
        self, name: str, token: str | None, form: str = "", *, legacy: bool = False, verb: str = "POST"
    ) -> tuple[int, Any]:
        listener = self.master.config.insecure_legacy_listener
        assert listener is not None
        connection: HTTPConnection = (
            HTTPConnection(listener.host, listener.port, timeout=30)
            if legacy
            else HTTPSConnection("127.0.0.1", self.master.config.port, timeout=30, context=_unverified())
        )
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if token is not None:
            headers["X-Access-Token"] = token
        try:
            connection.request(verb, f"/{name}", form, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@pytest.fixture(scope="module")
def tool(master: MasterServer) -> Tool:
    return Tool(master)


def client_of(master: MasterServer, directory: Path, pair: dict[str, str]) -> Client:
    """The tool writes the two texts to files, as they are."""
    paths = [str(directory / name) for name in ("certificate", "key")]
    for path, name in zip(paths, ("certificate", "key"), strict=True):
        Path(path).write_text(pair[name])
    return master.client(*paths)


def registered(tool: Tool, master: MasterServer, directory: Path, title: str) -> tuple[str, Client, dict[str, str]]:
    token = master.operator.token("node", legacy_keys=True)
    status, pair = tool(NODE, token, urlencode({"title": title}))
    assert status == 200, pair
    text = pair["certificate"]
    start = text.find("COMP-")
    return text[start : text.find("/email", start)], client_of(master, directory, pair), pair


def test_a_node_of_the_field_registers(master: MasterServer, tool: Tool, tmp_path: Path) -> None:
    reference, client, pair = registered(tool, master, tmp_path, "rack é 1")
    info = describe(pair["certificate"])
    assert (info.reference, info.kind) == (reference, "node")
    assert info.not_after - info.not_before > 360 * 86_400, "such a node does not renew"
    client.format(reference, node_format(1))
    view = master.operator.node(reference)
    assert (view.name, view.partitions) == ("rack é 1", 1)
    warnings = [event.sentence for event in master.operator.history(reference) if event.kind == "warning"]
    assert len(warnings) == 1
    assert f"made the key of {reference}" in warnings[0]


def test_its_instances_get_a_new_pair_each_time(master: MasterServer, tool: Tool, release: str, tmp_path: Path) -> None:
    reference, client, _ = registered(tool, master, tmp_path, "second")
    client.format(reference, node_format(1))
    master.operator.supply(reference, release)
    guid = master.operator.request(InstanceRequest("of the field", release, sla={"computer_guid": reference})).guid
    asked = {"instance_guid": guid}
    pairs = [client.call("slapos.get.v0.software_instance_certificate", asked) for _ in range(3)]
    assert len({pair["key"] for pair in pairs}) == len({pair["certificate"] for pair in pairs}) == 3
    (tmp_path / "instance").mkdir()
    own = client_of(master, tmp_path / "instance", pairs[1])
    assert own.instance(guid).guid == guid
    with pytest.raises(HyperopenxError):
        own.node(reference)
    warnings = [event for event in master.operator.history(guid) if event.kind == "warning"]
    assert len(warnings) == 1
    place = {"computer_id": reference, "computer_partition_id": "slappart0"}
    key, certificate = str(tmp_path / "key"), str(tmp_path / "certificate")
    field = FieldClient(master_url=master.url, ca_file=master.ca_file, key_file=key, cert_file=certificate)
    by_xml = field.read("getComputerPartitionCertificate", **place)
    field.close()
    (tmp_path / "xml").mkdir()
    assert client_of(master, tmp_path / "xml", by_xml).instance(guid).guid == guid
    node_pair = master.operator.call("slapos.post.v0.compute_node_certificate", {"computer_guid": reference})
    (tmp_path / "again").mkdir()
    assert client_of(master, tmp_path / "again", node_pair).node(reference).reference == reference
    with pytest.raises(HyperopenxError):
        client.call("slapos.post.v0.compute_node_certificate", {"computer_guid": reference})


def test_others_get_no_key(master: MasterServer, release: str) -> None:
    reference, client = master.client_for_new_node("ours", 1)
    master.operator.supply(reference, release)
    guid = master.operator.request(InstanceRequest("ours", release, sla={"computer_guid": reference})).guid
    empty = {"key": "", "certificate": ""}
    assert client.call("slapos.get.v0.software_instance_certificate", {"instance_guid": guid}) == empty
    assert master.operator.call("slapos.post.v0.compute_node_certificate", {"computer_guid": reference}) == empty


def test_an_enrolment_without_keys_ends_them(master: MasterServer, tool: Tool, tmp_path: Path) -> None:
    """The node was replaced by one of ours under the same reference."""
    reference, _, _ = registered(tool, master, tmp_path, "third")
    again, _ = master.enrol("node", reference)
    assert again == reference
    answer = master.operator.call("slapos.post.v0.compute_node_certificate", {"computer_guid": reference})
    assert answer == {"key": "", "certificate": ""}


def test_a_person_of_the_field(master: MasterServer, tool: Tool, tmp_path: Path) -> None:
    token = master.operator.token("user", reference="jane", legacy_keys=True)
    status, pair = tool(PERSON, token)
    assert status == 200
    client = client_of(master, tmp_path, pair)
    assert client.roots() is not None
    assert describe(pair["certificate"]).reference == "jane"
    assert tool(PERSON, token)[0] == 403, "a token enrols once"


@pytest.mark.parametrize("name", [NODE, PERSON])
def test_wrong_tokens(master: MasterServer, tool: Tool, name: str) -> None:
    for token in (None, "", "nonsense", "a.b", "x" * 10_000):
        assert tool(name, token)[0] == 403
    plain = master.operator.token("node" if name == NODE else "user", reference="" if name == NODE else "joe")
    status, problem = tool(name, plain)
    assert (status, problem["reference"]) == (403, "token-without-key")
    other = master.operator.token("node", legacy_keys=True)
    if name == PERSON:
        assert tool(name, other)[1]["reference"] == "token-without-key"
        assert tool(NODE, other)[0] == 200, "the refusal did not use it up"
    assert tool(name, "x", verb="GET")[0] in (404, 405)


def test_wrong_forms(master: MasterServer, tool: Tool) -> None:
    token = master.operator.token("node", legacy_keys=True)
    for form in ("title", "title=%ff", "&".join(["a=1"] * 50), "title=%00", "title=" + "x" * 300):
        assert tool(NODE, token, form)[0] == 400, form
    assert tool(NODE, token, "title=good&other=1")[0] == 200


def test_no_key_in_the_clear(master: MasterServer, tool: Tool) -> None:
    token = master.operator.token("node", legacy_keys=True)
    status, problem = tool(NODE, token, legacy=True)
    assert (status, problem["reference"]) == (403, "key-in-the-clear")
    assert tool(NODE, token)[0] == 200


def test_no_operator_of_the_field(master: MasterServer) -> None:
    with pytest.raises(InputError) as caught:
        master.operator.token("operator", reference="root", legacy_keys=True)
    assert caught.value.context["field"] == "legacy_keys"


def test_keys_are_kept_nowhere(master: MasterServer, tool: Tool, tmp_path: Path) -> None:
    _, _, pair = registered(tool, master, tmp_path, "last")
    body = "".join(pair["key"].splitlines()[1:-1])[30:80]
    for path in Path(master.config.state_directory).rglob("*"):
        if path.is_file():
            assert body.encode() not in path.read_bytes(), path
    assert body not in (master.directory / "master.log").read_text()


def test_tokens_by_command(master: MasterServer, tool: Tool) -> None:
    """And a node that exists enrols again under its reference."""
    assert master.files is not None
    program = os.path.join(os.path.dirname(sys.executable), "slapos")
    environment = {"PATH": os.environ["PATH"], "SLAPOS_CLIENT_CONFIGURATION": master.files.config_path}

    def token(*words: str) -> str:
        done = run([program, "token", *words], launch=Launch(environment=environment), timeout=60)
        assert done.code == 0, done
        return done.output.decode().strip()

    first = tool(NODE, token("node", "--legacy-keys"))[1]["certificate"]
    reference = describe(first).reference
    again = tool(NODE, token("node", "--legacy-keys", "--reference", reference))[1]["certificate"]
    assert describe(again).reference == reference
    assert tool(NODE, token("node"))[0] == 403
    assert tool(PERSON, token("user", "by-command", "--legacy-keys"))[0] == 200
