"""Joining with nothing but an address and a token, which says by what authority the master is known."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from slapos.cli.identity import join
from slapos.model.errors import InputError, Refused, Unavailable
from slapos.node.config import NodeConfig
from slapos.node.register import register, site_config
from slapos.pki.authority import Authority
from slapos.pki.tokens import secret_of, token_text
from slapos.slap.authority import unverified_authority
from slapos.slap.client import Client
from slapos.testing.master import MasterServer, free_port


def wished(directory: Path, master: MasterServer) -> NodeConfig:
    return site_config(str(directory), name="node", master_url=master.url, run_directory=str(directory / "run"))


def test_a_node_registers_without_a_file(master: MasterServer, operator: Client, tmp_path: Path) -> None:
    directory = tmp_path / "node"
    config = register(str(directory), wished(directory, master), operator.token("node", name="node"))
    assert Path(config.master_ca_file).read_text() == Path(master.ca_file).read_text()
    client = Client(
        master_url=master.url, cert_file=config.cert_file, key_file=config.key_file, ca_file=config.master_ca_file
    )
    assert client.node_state(config.computer_id) is not None
    client.close()


def test_a_person_joins_without_a_file(master: MasterServer, operator: Client, tmp_path: Path) -> None:
    config, reference = join(master.url, operator.token("user", reference="alice"), "", str(tmp_path))
    assert reference == "alice"
    client = Client.from_config(config)
    assert client.roots() == ()
    client.close()


def test_the_token_of_another_master_is_not_sent(master: MasterServer, operator: Client, tmp_path: Path) -> None:
    other = Authority(str(tmp_path / "ca"))
    other.create(time.time())
    secret = secret_of(operator.token("node"))
    directory = tmp_path / "node"
    with pytest.raises(Refused) as caught:
        register(str(directory), wished(directory, master), token_text(secret, other.ca_pem))
    assert caught.value.reference == "authority-mismatch"
    assert "ca.pem" not in os.listdir(directory)
    with pytest.raises(Refused) as caught:
        join(master.url, token_text(secret, other.ca_pem), "", str(tmp_path / "client"))
    assert caught.value.reference == "authority-mismatch"
    good = register(str(directory), wished(directory, master), token_text(secret, Path(master.ca_file).read_text()))
    assert good.computer_id.startswith("COMP-"), "the token was not used up"


def test_a_token_without_fingerprint_needs_the_file(master: MasterServer, operator: Client, tmp_path: Path) -> None:
    secret = secret_of(operator.token("user", reference="bob"))
    with pytest.raises(InputError) as caught:
        join(master.url, secret, "", str(tmp_path))
    assert caught.value.reference == "no-authority"
    assert join(master.url, secret, Path(master.ca_file).read_text(), str(tmp_path))[1] == "bob"


def test_no_master_there(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        unverified_authority(f"https://127.0.0.1:{free_port()}")
    for url in ("http://127.0.0.1:1", "master", "https://[", "https://h:port"):
        with pytest.raises(InputError):
            unverified_authority(url)
