"""The authority signs what policy grants, and a real TLS library accepts it."""

from __future__ import annotations

import os
import socket
import ssl
import stat
import threading
import time
from pathlib import Path

import pytest

from slapos.model.errors import InputError, MachineError
from slapos.model.states import PrincipalKind
from slapos.pki import certificates, files, keys, policy, requests
from slapos.pki.authority import Authority

NOW = float(int(time.time()))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    authority = Authority(str(tmp_path / "ca"))
    authority.create(NOW)
    return authority


def _sign(authority: Authority, csr: str, kind: PrincipalKind, reference: str, allowed: policy.Allowed) -> str:
    return authority.sign(csr, policy.decide(requests.read_csr(csr), kind, reference, allowed), NOW)


def test_key_of_the_authority_is_private(authority: Authority) -> None:
    assert stat.S_IMODE(os.stat(authority.key_path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(authority.directory).st_mode) == 0o700


def test_create_again_keeps_it(authority: Authority) -> None:
    before = authority.ca_pem
    authority.create(NOW + 10)
    assert authority.ca_pem == before


def test_killed_creation_is_continued_with_the_same_key(authority: Authority) -> None:
    key = Path(authority.key_path).read_bytes()
    os.unlink(authority.certificate_path)
    authority.create(NOW)
    assert Path(authority.key_path).read_bytes() == key
    assert certificates.issued_by(authority.ca_pem, authority.ca_pem)


def test_missing_authority_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(MachineError) as caught:
        _ = Authority(str(tmp_path / "none")).ca_pem
    assert caught.value.reference == "authority-unreadable"


def test_subject_comes_from_the_grant_not_from_the_request(authority: Authority) -> None:
    csr = requests.make_csr(keys.new_key(), "admin", "operator")
    info = certificates.describe(_sign(authority, csr, PrincipalKind.NODE, "COMP-7", policy.NOTHING))
    assert (info.kind, info.reference) == ("node", "COMP-7")
    assert info.not_after - NOW == 30 * 86400


def test_serials_differ(authority: Authority) -> None:
    csr = requests.make_csr(keys.new_key(), "", "")
    serials = {
        certificates.describe(_sign(authority, csr, PrincipalKind.USER, "a", policy.NOTHING)).serial for _ in "123"
    }
    assert len(serials) == 3


def test_foreign_certificate_is_not_ours(authority: Authority, tmp_path: Path) -> None:
    other = Authority(str(tmp_path / "other"))
    other.create(NOW)
    csr = requests.make_csr(keys.new_key(), "", "")
    pem = _sign(other, csr, PrincipalKind.USER, "a", policy.NOTHING)
    assert certificates.issued_by(pem, other.ca_pem)
    assert not certificates.issued_by(pem, authority.ca_pem)  # although both authorities have the same name


@pytest.mark.parametrize(
    "csr", ["", "x", "-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n", "é"]
)
def test_broken_request(csr: str) -> None:
    with pytest.raises(InputError) as caught:
        requests.read_csr(csr)
    assert caught.value.reference == "invalid-csr"


def test_huge_request() -> None:
    with pytest.raises(InputError):
        requests.read_csr("x" * 100_000)


def test_tls_handshake_with_both_sides_verified(authority: Authority, tmp_path: Path) -> None:
    server = _context(authority, tmp_path, ssl.PROTOCOL_TLS_SERVER, PrincipalKind.SERVICE)
    client = _context(authority, tmp_path, ssl.PROTOCOL_TLS_CLIENT, PrincipalKind.USER)
    assert _peer(server, client) == ("user", "who")


def test_service_certificate_does_not_open_a_client_connection(authority: Authority, tmp_path: Path) -> None:
    server = _context(authority, tmp_path, ssl.PROTOCOL_TLS_SERVER, PrincipalKind.SERVICE)
    client = _context(authority, tmp_path, ssl.PROTOCOL_TLS_CLIENT, PrincipalKind.SERVICE)
    with pytest.raises(ssl.SSLError):
        _peer(server, client)


def _context(authority: Authority, where: Path, protocol: int, kind: PrincipalKind) -> ssl.SSLContext:
    key_path, certificate_path = str(where / f"{kind}.key"), str(where / f"{kind}.pem")
    key = keys.new_key()
    allowed = policy.Allowed(addresses=["127.0.0.1"])
    csr = requests.make_csr(key, "", "", addresses=["127.0.0.1"] if kind is PrincipalKind.SERVICE else [])
    files.write_pair(key_path, key, certificate_path, _sign(authority, csr, kind, "who", allowed))
    context = ssl.SSLContext(protocol)
    context.load_verify_locations(authority.certificate_path)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_cert_chain(certificate_path, key_path)
    return context


def _peer(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[str, str]:
    """Kind and reference of the client as the server saw them."""
    left, right = socket.socketpair()
    seen: list[bytes | ssl.SSLError] = []

    def serve() -> None:
        try:
            with server.wrap_socket(left, server_side=True) as connection:
                seen.append(connection.getpeercert(binary_form=True) or b"")
                connection.send(b"x")
        except ssl.SSLError as error:
            seen.append(error)
            left.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(right, server_hostname="127.0.0.1") as connection:
            connection.recv(1)
    except OSError:
        right.close()
    thread.join(10)
    if isinstance(seen[0], ssl.SSLError):
        raise seen[0]
    info = certificates.describe_der(seen[0])
    return info.kind, info.reference
