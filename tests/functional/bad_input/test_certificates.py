"""No certificate, or one of somebody else, of another authority, revoked: each kind of call, and the commands."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from slapos.model.errors import HyperopenxError
from slapos.model.states import PrincipalKind
from slapos.pki import files, keys, policy, requests
from slapos.pki.authority import Authority
from slapos.slap.client import Client
from slapos.wire.messages import METHODS
from tests.functional.bad_input.harness import Bench, Person

OPEN = {"hyperopenx.post.v0.enrolment", "hyperopenx.post.v0.certificate_renewal"}
#: Methods that say something to any node or instance: of itself, nothing, or what everybody may know.
HARMLESS = {
    "slapos.get.v0.hateoas_url",
    "slapos.get.v0.instance_tree",
    "slapos.allDocs.v0.instance_tree_list",
    "slapos.allDocs.WIP.compute_node_list",
    "hyperopenx.allDocs.v0.instance_list",
    "hyperopenx.allDocs.v0.node_list",
    "hyperopenx.allDocs.v0.usage_list",
}
#: What an instance may order, in a tree of its own.
ORDERS = {"slapos.post.v0.software_instance", "hyperopenx.post.v0.instance"}


@dataclass
class Owned:
    """What the others must not touch, and the clients of those others."""

    messages: dict[str, dict[str, Any]]
    guid: str
    other_node: Client
    other_instance: Client


@pytest.fixture(scope="module")
def owned(bench: Bench) -> Owned:
    mine = bench.operator.request(bench.order("owned", state="stopped"))
    other = bench.operator.request(bench.order("other", state="stopped"))
    csr = requests.make_csr(keys.new_key(), "", "")
    values: dict[str, Any] = {
        "computer_guid": bench.node.reference, "instance_guid": mine.guid, "title": "owned", "csr": csr, "kind": "node",
        "compute_partition_id": mine.partition, "release": bench.hello, "software_release_uri": bench.hello,
        "software_type": "default", "compute_partition_list": [], "message": "m", "tioxml": "<journal/>",
        "reported_state": "destroyed", "connection_parameter_dict": {"a": "b"}, "connection": {"a": "b"}, "titles": [],
        "subject": mine.guid, "instances": [], "supplies": [], "format": {"partitions": []}, "identifier": "i",
        "document": "<consumption/>", "serial": "1", "token": "t", "certificate": "c", "signature": "s",
    }  # fmt: skip
    chosen = {
        "hyperopenx.get.v0.instance": ["instance_guid"],
        "hyperopenx.get.v0.tree": ["instance_guid"],
        "hyperopenx.post.v0.bang": ["instance_guid", "message"],
        "hyperopenx.post.v0.certificate_revocation": ["serial"],
    }
    messages = {
        name: {member: values[member] for member in chosen.get(name, method.request.get("required", ()))}
        for name, method in METHODS.items()
    }
    messages["hyperopenx.post.v0.certificate"] |= {"kind": "instance", "instance_guid": mine.guid}
    _, other_node = bench.master.client_for_new_node("somebody else's", 1)
    return Owned(messages, mine.guid, other_node, bench.master.client_for_instance(other.guid, bench.node_client))


def refusal(client: Client, method: str, message: dict[str, Any]) -> tuple[int, str]:
    """(status, reference); (200, "") when it was answered."""
    try:
        client.call(method, message)
    except HyperopenxError as error:
        assert error.hint or method.startswith("slapos."), f"{method}: {error.reference} does not say what to do"
        return error.status, error.reference
    return 200, ""


def written_in(bench: Bench, owned: Owned) -> object:
    """All that the others might have changed."""
    instance = bench.operator.instance(guid=owned.guid)
    node = bench.operator.node(bench.node.reference)
    return instance, node.partitions, [(supply.release, supply.state) for supply in node.supplies]


def test_without_a_certificate(bench: Bench, owned: Owned) -> None:
    before, anyone = written_in(bench, owned), bench.master.client()
    found = {name: refusal(anyone, name, message) for name, message in owned.messages.items()}
    assert {name: got for name, got in found.items() if got[0] != 401} == {
        "hyperopenx.post.v0.enrolment": (403, "invalid-token"),
        "hyperopenx.post.v0.certificate_renewal": (400, "invalid-certificate"),
    }
    assert written_in(bench, owned) == before


@pytest.mark.parametrize("kind", ["node", "user", "operator"])
def test_with_a_revoked_certificate(bench: Bench, owned: Owned, kind: str) -> None:
    reference, client = bench.master.enrol(kind, "" if kind == "node" else f"leaving-{kind}")
    pem = Path(bench.master.directory, "clients", f"{reference}.pem").read_text()
    assert refusal(client, "hyperopenx.allDocs.v0.instance_list", {}) == (200, "")
    bench.operator.revoke(certificate=pem)
    before = written_in(bench, owned)
    closed = {name: message for name, message in owned.messages.items() if name not in OPEN}
    found = {name: refusal(client, name, message) for name, message in closed.items()}
    expected = {name: (401, "certificate-revoked") for name in closed if not name.startswith("slapos.")}
    assert {name: got for name, got in found.items() if not name.startswith("slapos.")} == expected
    assert {got[0] for name, got in found.items() if name.startswith("slapos.")} == {401}
    assert written_in(bench, owned) == before


def test_with_the_certificate_of_another_node(bench: Bench, owned: Owned) -> None:
    before = written_in(bench, owned)
    for name, message in owned.messages.items():
        if name not in OPEN | HARMLESS:
            assert refusal(owned.other_node, name, message)[0] in (403, 404), name
    assert bench.operator.node(bench.node.reference).online
    assert written_in(bench, owned) == before


def test_with_the_certificate_of_another_instance(bench: Bench, owned: Owned) -> None:
    before = written_in(bench, owned)
    for name, message in owned.messages.items():
        if name not in OPEN | HARMLESS | ORDERS:
            assert refusal(owned.other_instance, name, message)[0] in (403, 404), name
    assert owned.other_instance.roots() == () or {item.title for item in owned.other_instance.roots()} == {"other"}
    assert written_in(bench, owned) == before


def person_with(bench: Bench, name: str, certificate: str = "", key: str = "", ca: str = "") -> Person:
    """Somebody at the command line with other files."""
    path = bench.directory / f"{name}.cfg"
    path.write_text(
        f"[slapos]\nmaster_url = {bench.master.url}\nmaster_ca_file = {ca or bench.master.ca_file}\n"
        f"[slapconsole]\ncert_file = {certificate}\nkey_file = {key}\n"
    )
    return Person(bench.directory, client_cfg=str(path))


def signed_by(authority: Authority, kind: PrincipalKind, reference: str, where: Path) -> tuple[str, str]:
    """Certificate and key files that ``authority`` gave."""
    authority.create(time.time())
    key = keys.new_key()
    csr = requests.make_csr(key, reference, kind)
    pem = authority.sign(csr, policy.decide(requests.read_csr(csr), kind, reference), time.time())
    files.write_pair(str(where / "c.key"), key, str(where / "c.pem"), pem)
    return str(where / "c.pem"), str(where / "c.key")


COMMANDS = (
    ("service", "list"),
    ("service", "info", "owned"),
    ("request", "owned", "/x/software.cfg"),
    ("supply", "https://example.org/software.cfg", "COMP-1"),
    ("remove", "https://example.org/software.cfg", "COMP-1"),
    ("computer", "list"),
    ("computer", "info", "COMP-1"),
    ("token", "node"),
)


@pytest.mark.parametrize("who", ["nobody", "another authority", "never recorded", "revoked", "not trusted"])
def test_commands_say_why_they_are_refused(bench: Bench, owned: Owned, tmp_path: Path, who: str) -> None:
    ours, foreign = Authority(bench.master.config.below("ca")), Authority(str(tmp_path / "ca"))
    if who == "revoked":
        reference, _ = bench.master.enrol("user", "gone")
        pair = tuple(str(Path(bench.master.directory, "clients", f"{reference}.{end}")) for end in ("pem", "key"))
        bench.operator.revoke(certificate=Path(pair[0]).read_text())
    else:
        authority = ours if who == "never recorded" else foreign
        pair = signed_by(authority, PrincipalKind.OPERATOR, "admin", tmp_path)
    made = {
        "nobody": lambda: person_with(bench, "nobody"),
        "not trusted": lambda: person_with(bench, "untrusting", *pair, foreign.certificate_path),
    }.get(who, lambda: person_with(bench, "other", *pair))()
    expected = {
        "nobody": "unauthenticated",
        "another authority": "certificate-refused",
        "never recorded": "certificate-unknown",
        "revoked": "certificate-revoked",
        "not trusted": "server-not-trusted",
    }[who]
    for words in COMMANDS:
        said = made.json(*words)
        assert (said.code, said.error["reference"]) == (4, expected), words
        assert said.error["hint"]


def test_node_whose_certificate_is_revoked(bench: Bench, owned: Owned) -> None:
    token = bench.operator.token("node", name="fired")
    person = Person(bench.directory, client_cfg=bench.person.environment["SLAPOS_CLIENT_CONFIGURATION"])
    person.environment["HYPEROPENX_STATE"] = str(bench.directory / "fired")
    words = ["--master-url", bench.master.url, "--master-ca-file", bench.master.ca_file, "--token", token]
    assert person.slapos("node", "register", "fired", *words).code == 0
    directory = bench.directory / "fired" / "node" / "fired"
    person.environment["SLAPOS_CONFIGURATION"] = str(directory / "slapos.cfg")
    assert person.slapos("node", "plan").code == 0
    bench.operator.revoke(certificate=(directory / "node.pem").read_text())
    for kind in ("plan", "instance", "software", "report", "bang"):
        said = person.json("node", kind)
        assert (said.code, said.error["reference"]) == (4, "certificate-revoked"), kind
        assert "Enrol again" in said.error["hint"]


def test_the_good_ones_still_work(bench: Bench, owned: Owned) -> None:
    for title in ("owned", "other"):
        bench.operator.request(bench.order(title, state="destroyed"))
    assert bench.person.slapos("service", "list").code == 0
    bench.node_client.node_state(bench.node.reference)
