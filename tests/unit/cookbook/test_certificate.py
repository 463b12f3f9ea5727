"""Certificates from a real authority; the key never leaves the partition."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slapos.model.errors import ProfileError, Unavailable
from slapos.model.objects import Address
from slapos.model.states import PrincipalKind
from slapos.pki.authority import Authority
from slapos.pki.certificates import describe, issued_by
from slapos.pki.policy import Allowed, decide
from slapos.pki.requests import read_csr
from tests.unit.cookbook.engine import GUID, Master, Partition, connection_section, write_document

METHOD = "hyperopenx.post.v0.certificate"
PROFILE = "[buildout]\nparts = tls\n[tls]\nrecipe = hyperopenx:certificate\n"
ADDRESSES = (Address("lo", "127.0.1.1"), Address("lo", "::1"))
DAY = 86400.0

Run = Callable[..., Path]


@pytest.fixture(name="authority")
def make_authority(master: Master, tmp_path: Path) -> Authority:
    """An authority behind the master; ``tmp_path/age`` says how many days ago it signs."""
    authority = Authority(str(tmp_path / "ca"))
    authority.create(time.time() - 400 * DAY)

    def sign(message: dict[str, Any]) -> dict[str, Any]:
        age = tmp_path / "age"
        signed = time.time() - (float(age.read_text()) * DAY if age.exists() else 0)
        allowed = Allowed([address.ip for address in ADDRESSES], ["www.example.org"])
        grant = decide(read_csr(message["csr"]), PrincipalKind(message["kind"]), message["instance_guid"], allowed)
        return {"certificate": authority.sign(message["csr"], grant, signed), "ca": authority.ca_pem, "reference": GUID}

    master.answers[METHOD] = sign
    return authority


@pytest.fixture(name="run")
def make_run(partition: Partition, master: Master, tmp_path: Path, authority: Authority) -> Run:
    def run(extra: str = "") -> Path:
        document = write_document(tmp_path / "instance.json", addresses=ADDRESSES)
        partition.done(PROFILE + extra, slap__connection=connection_section(document, master.url))
        return partition.directory / "etc/ssl"

    return run


def test_a_server_can_use_the_files_and_the_key_stays(run: Run, authority: Authority, master: Master) -> None:
    directory = run("names = www.example.org\n")
    key, certificate = directory / "tls.key", (directory / "tls.crt").read_text()
    assert key.stat().st_mode & 0o777 == 0o600
    info = describe(certificate)
    assert (info.kind, info.reference, info.names) == ("service", GUID, ("www.example.org",))
    assert set(info.addresses) == {"127.0.1.1", "::1"}
    assert issued_by(certificate, authority.ca_pem)
    assert (directory / "tls.ca.crt").read_text() == authority.ca_pem
    assert (directory / "tls.chain.crt").read_text() == certificate + authority.ca_pem
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(directory / "tls.chain.crt", key)
    assert "PRIVATE" not in json.dumps(master.calls)


def test_nothing_is_done_before_half_of_the_life(
    run: Run, partition: Partition, master: Master, tmp_path: Path
) -> None:
    (tmp_path / "age").write_text("44")
    run()
    before = partition.snapshot()
    run()
    assert partition.snapshot() == before
    assert len(master.calls) == 1


def test_renewed_from_half_life_on_with_the_same_key(run: Run, master: Master, tmp_path: Path) -> None:
    (tmp_path / "age").write_text("46")
    directory = run()
    key, old = (directory / "tls.key").read_bytes(), (directory / "tls.crt").read_bytes()
    (tmp_path / "age").write_text("0")
    run()
    assert (directory / "tls.key").read_bytes() == key
    assert (directory / "tls.crt").read_bytes() != old
    assert (directory / "tls.chain.crt").read_bytes().startswith((directory / "tls.crt").read_bytes())
    assert len(master.calls) == 2


def test_without_a_master_a_valid_certificate_stays_in_use(
    run: Run, master: Master, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slapos.cookbook.connection._PATIENCE", 0.1)
    (tmp_path / "age").write_text("46")
    directory = run()
    old = (directory / "tls.crt").read_bytes()
    master.answers[METHOD] = (503, {"title": "away"})
    run()
    assert (directory / "tls.crt").read_bytes() == old
    (directory / "tls.crt").unlink()
    with pytest.raises(Unavailable):
        run()


@pytest.mark.parametrize("name", ["tls.crt", "tls.ca.crt", "tls.chain.crt", "tls.key"])
def test_a_damaged_file_is_repaired(run: Run, name: str) -> None:
    directory = run()
    (directory / name).write_text("" if name != "tls.key" else "not a key")
    if name == "tls.key":
        (directory / name).unlink()
    run()
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(directory / "tls.chain.crt", directory / "tls.key")
    assert (directory / "tls.chain.crt").read_text().startswith((directory / "tls.crt").read_text())


def test_other_names_need_another_certificate(run: Run) -> None:
    directory = run("addresses = 127.0.1.1\n")
    assert describe((directory / "tls.crt").read_text()).addresses == ("127.0.1.1",)
    run("addresses = 127.0.1.1 ::1\n")
    assert len(describe((directory / "tls.crt").read_text()).addresses) == 2


@pytest.mark.parametrize("extra", ["names = a_b", "names = x\0", "addresses = here", "key-path = ../../key"])
def test_wrong_names_are_refused(run: Run, extra: str) -> None:
    with pytest.raises(ProfileError):
        run(extra + "\n")
