"""Who may what, over TLS with real certificates: the basics of the matrix, and every door that must be closed."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from slapos.master.services import identities
from slapos.master.storage.database import open_storage
from slapos.model.errors import HyperopenxError, Refused, Unauthenticated
from slapos.model.objects import InstanceRequest
from slapos.model.principal import Principal
from slapos.model.states import PrincipalKind
from slapos.pki import files, keys, policy, renewal, requests
from slapos.pki.authority import Authority
from slapos.pki.certificates import describe
from slapos.slap.client import Client
from slapos.testing.master import MasterServer
from slapos.wire.messages import METHODS

DAY = 86400.0


@dataclass
class People:
    """One of each kind, and what they own."""

    clients: dict[str, Client]
    node: str
    instance: str


@pytest.fixture(scope="module")
def people(master: MasterServer, operator: Client, release: str) -> People:
    node, node_client = master.client_for_new_node("who", 5)
    _, stranger = master.client_for_new_node("stranger", 1)
    operator.supply(node, release)
    instance = operator.request(InstanceRequest("who", release, sla={"computer_guid": node}))
    other = operator.request(InstanceRequest("other", release, sla={"computer_guid": node}))
    _, user = master.enrol("user", "jane")
    clients = {
        "operator": operator,
        "user": user,
        "node": node_client,
        "other node": stranger,
        "instance": master.client_for_instance(instance.guid, node_client),
        "other instance": master.client_for_instance(other.guid, node_client),
        "anyone": master.client(),
    }
    return People(clients, node, instance.guid)


def _outcome(action: Callable[[], object]) -> str:
    try:
        action()
    except HyperopenxError as error:
        return str(error.status)
    return "ok"


#                                    operator user  node   other node instance other instance anyone
MATRIX = {
    "node_state": ("ok", "ok", "ok", "403", "403", "403", "401"),
    "node_report": ("ok", "403", "ok", "403", "403", "403", "401"),
    "node": ("ok", "ok", "ok", "403", "403", "403", "401"),
    "instance": ("ok", "ok", "ok", "403", "ok", "403", "401"),
    "connection": ("ok", "403", "403", "403", "ok", "403", "401"),
    "order": ("ok", "ok", "403", "403", "ok", "ok", "401"),
    "token": ("ok", "403", "403", "403", "403", "403", "401"),
    "supply": ("ok", "403", "403", "403", "403", "403", "401"),
    "certificate": ("ok", "403", "ok", "403", "ok", "403", "401"),
    "history": ("ok", "ok", "ok", "403", "ok", "403", "401"),
}


@pytest.mark.parametrize("action", MATRIX)
def test_matrix(people: People, release: str, action: str) -> None:
    node, guid = people.node, people.instance
    csr = requests.make_csr(keys.new_key(), "", "")
    actions: dict[str, Callable[[Client], object]] = {
        "node_state": lambda client: client.node_state(node),
        "node_report": lambda client: client.report(node),
        "node": lambda client: client.node(node),
        "instance": lambda client: client.instance(guid=guid),
        "connection": lambda client: client.publish(guid, {"a": "b"}),
        "order": lambda client: client.request(InstanceRequest("ordered", "http://127.0.0.1:9/x")),
        "token": lambda client: client.token("node"),
        "supply": lambda client: client.supply(node, release),
        "certificate": lambda client: client.certificate("instance", csr, guid),
        "history": lambda client: client.history(guid),
    }
    found = [_outcome(lambda client=client: actions[action](client)) for client in people.clients.values()]  # type: ignore[misc]
    assert dict(zip(people.clients, found, strict=True)) == dict(zip(people.clients, MATRIX[action], strict=True))


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_but_two_is_closed_to_anyone(master: MasterServer, name: str) -> None:
    """Who proved nothing gets no answer of any method; at most its message is found malformed first."""
    status, _ = _raw(master, f"POST /{name}", b"{}")
    if name in ("hyperopenx.post.v0.enrolment", "hyperopenx.post.v0.certificate_renewal"):
        assert status == 400
    else:
        assert status in (400, 401)
        assert METHODS[name].request["required"] or "oneOf" in METHODS[name].request or status == 401


def test_open_doors(master: MasterServer) -> None:
    anyone = master.client()
    assert json.loads(anyone.text("healthz"))["status"] == "ok"
    assert anyone.text("ca.pem") == Path(master.ca_file).read_text()
    assert "hyperopenx.post.v0.instance" in anyone.text("")
    assert json.loads(anyone.text("?method=slapos.get.v0.instance_tree"))["request"]["required"] == ["title"]
    with pytest.raises(Unauthenticated):
        anyone.text("events?subject=COMP-1")


def test_certificate_of_another_authority(master: MasterServer, tmp_path: Path) -> None:
    other = Authority(str(tmp_path / "ca"))
    other.create(time.time())
    client = _signed(master, other, tmp_path, PrincipalKind.OPERATOR, "admin", time.time())
    with pytest.raises(Unauthenticated) as caught:
        client.nodes()
    assert caught.value.reference == "certificate-refused"


def test_server_of_another_authority(master: MasterServer, tmp_path: Path) -> None:
    other = Authority(str(tmp_path / "ca"))
    other.create(time.time())
    client = Client(master_url=master.url, ca_file=other.certificate_path, patience=5)
    with pytest.raises(Refused) as caught:
        client.text("healthz")
    assert caught.value.reference == "server-not-trusted"


def test_our_authority_but_never_recorded(master: MasterServer, tmp_path: Path) -> None:
    authority = Authority(master.config.below("ca"))
    client = _signed(master, authority, tmp_path, PrincipalKind.OPERATOR, "admin", time.time())
    with pytest.raises(Unauthenticated) as caught:
        client.nodes()
    assert caught.value.reference == "certificate-unknown"


def test_revocation_acts_at_the_next_request_of_an_open_connection(master: MasterServer, operator: Client) -> None:
    node, client = master.client_for_new_node("revoked")
    pem = (master.directory / "clients" / f"{node}.pem").read_text()
    client.node_state(node)
    operator.revoke(certificate=pem)
    with pytest.raises(Unauthenticated) as caught:
        client.node_state(node)
    assert caught.value.reference == "certificate-revoked"
    key = files.load_key(str(master.directory / "clients" / f"{node}.key"))
    csr = requests.make_csr(keys.new_key(), "", "")
    with pytest.raises(Unauthenticated):
        master.client().renew(pem, csr, renewal.sign_possession(key, pem, csr))


@pytest.mark.parametrize(
    ("days", "expected"), [(0, "ok"), (20, "ok"), (40, "ok"), (390, "ok"), (400, "certificate-too-old")]
)
def test_renewal(master: MasterServer, operator: Client, days: int, expected: str) -> None:
    """A node that comes back after months, with the key that it still has."""
    node, _ = master.client_for_new_node(f"away {days} days")
    key = keys.new_key()
    pem = _recorded(master, key, node, time.time() - days * DAY)
    new = keys.new_key()
    csr = requests.make_csr(new, "", "")
    try:
        answer = master.client().renew(pem, csr, renewal.sign_possession(key, pem, csr))
    except HyperopenxError as error:
        assert error.reference == expected
        return
    assert expected == "ok"
    assert answer.reference == node
    assert describe(answer.certificate).not_after > time.time() + 29 * DAY
    key_path, path = str(master.directory / "new.key"), str(master.directory / "new.pem")
    files.write_pair(key_path, new, path, answer.certificate)
    assert master.client(path, key_path).node_state(node).complete


def test_expired_certificate_opens_no_connection(master: MasterServer) -> None:
    node, _ = master.client_for_new_node("expired")
    key = keys.new_key()
    pem = _recorded(master, key, node, time.time() - 40 * DAY)
    key_path, path = str(master.directory / "old.key"), str(master.directory / "old.pem")
    files.write_pair(key_path, key, path, pem)
    with pytest.raises(Unauthenticated) as caught:
        master.client(path, key_path).node_state(node)
    assert caught.value.reference == "certificate-refused"


def test_a_token_enrols_once(master: MasterServer, operator: Client) -> None:
    token = operator.token("node", name="once")
    anyone = master.client()
    with pytest.raises(HyperopenxError):
        anyone.enrol(token, "not a request")  # does not use it up
    first = anyone.enrol(token, requests.make_csr(keys.new_key(), "", ""))
    assert first.reference.startswith("COMP-")
    with pytest.raises(Refused) as caught:
        anyone.enrol(token, requests.make_csr(keys.new_key(), "", ""))
    assert caught.value.reference == "invalid-token"


def test_repeated_enrolment_with_its_key_gives_the_same_certificate(master: MasterServer, operator: Client) -> None:
    message = {"token": operator.token("node"), "csr": requests.make_csr(keys.new_key(), "", "")}
    anyone = master.client()
    first = anyone.call("hyperopenx.post.v0.enrolment", message, idempotency_key="same")
    assert anyone.call("hyperopenx.post.v0.enrolment", message, idempotency_key="same") == first


def test_names_of_a_service(master: MasterServer, people: People) -> None:
    instance = people.clients["instance"]
    addresses = [address.ip for address in instance.instance(guid=people.instance).addresses]
    csr = requests.make_csr(keys.new_key(), "", "", addresses, ["a.sites.example.org"])
    info = describe(instance.certificate("service", csr, people.instance).certificate)
    assert (info.kind, info.addresses, info.names) == ("service", tuple(addresses), ("a.sites.example.org",))
    for stolen in (["10.9.9.9"], ["www.example.org"]):
        csr = requests.make_csr(keys.new_key(), "", "", *([stolen] if stolen[0][0] == "1" else [[], stolen]))
        with pytest.raises(Refused) as caught:
            instance.certificate("service", csr, people.instance)
        assert caught.value.reference == "name-not-allowed"


def test_an_instance_that_is_gone(master: MasterServer, operator: Client, people: People) -> None:
    pending = operator.request(InstanceRequest("short", "http://127.0.0.1:9/y"))
    csr = requests.make_csr(key := keys.new_key(), "", "")
    answer = operator.certificate("instance", csr, pending.guid)
    client = master._client_of(pending.guid, key, answer.certificate)
    assert client.instance(guid=pending.guid).title == "short"
    operator.call(
        "hyperopenx.post.v0.instance", {"title": "short", "release": "http://127.0.0.1:9/y", "state": "destroyed"}
    )
    with pytest.raises(Unauthenticated) as caught:
        client.instance(guid=pending.guid)
    assert caught.value.reference == "principal-gone"


def test_old_tls_is_refused(master: MasterServer) -> None:
    context = ssl.create_default_context(cafile=master.ca_file)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    # Setting an old version warns, which is what this test is about.
    with pytest.warns(DeprecationWarning):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", master.config.port)) as raw, pytest.raises(OSError):
        context.wrap_socket(raw, server_hostname="127.0.0.1")


def _raw(master: MasterServer, line: str, body: bytes) -> tuple[int, bytes]:
    """One request of an anonymous client, byte by byte ours."""
    context = ssl.create_default_context(cafile=master.ca_file)
    head = f"{line} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
    with (
        socket.create_connection(("127.0.0.1", master.config.port), 10) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    head_bytes, _, rest = answer.partition(b"\r\n\r\n")
    return int(head_bytes.split()[1]), rest


def _signed(
    master: MasterServer, authority: Authority, where: Path, kind: PrincipalKind, reference: str, now: float
) -> Client:
    key = keys.new_key()
    csr = requests.make_csr(key, "", "")
    pem = authority.sign(csr, policy.decide(requests.read_csr(csr), kind, reference), now)
    files.write_pair(str(where / "c.key"), key, str(where / "c.pem"), pem)
    return master.client(str(where / "c.pem"), str(where / "c.key"), patience=5)


def _recorded(master: MasterServer, key: keys.PrivateKey, node: str, then: float) -> str:
    """A certificate that the master issued at ``then``."""
    authority = Authority(master.config.below("ca"))
    csr = requests.make_csr(key, "", "")
    pem = authority.sign(csr, policy.decide(requests.read_csr(csr), PrincipalKind.NODE, node), then)
    storage = open_storage(master.config.database)
    principal = Principal(PrincipalKind.NODE, node)
    storage.write(lambda tx: identities.record_certificate(tx, principal, describe(pem), then))
    storage.close()
    return pem
