"""Making a master: authority, server certificate, database, first operator.  Each step is kept when it is done.

A killed initialisation is continued by the next one; a finished one takes milliseconds.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from slapos.master.config import MasterConfig, load_config, write_config
from slapos.master.services import identities
from slapos.master.storage.database import open_storage
from slapos.master.storage.transaction import Transaction
from slapos.master.tls import authority_of, ensure_server_certificate
from slapos.model.client import ClientConfig, client_config_text
from slapos.model.states import PrincipalKind
from slapos.pki import files
from slapos.pki.authority import Authority
from slapos.pki.certificates import describe, issued_by
from slapos.pki.keys import new_key
from slapos.pki.policy import decide
from slapos.pki.renewal import renewal_due
from slapos.pki.requests import make_csr, read_csr
from slapos.system.files import write_if_changed


@dataclass(frozen=True)
class OperatorFiles:
    """What the first operator uses: the client configuration and the files that it names."""

    config_path: str
    certificate_path: str
    key_path: str
    ca_path: str
    url: str


def initialise(config: MasterConfig, operator: str = "admin") -> OperatorFiles:
    """Bring everything about for ``config`` and give the files of ``operator``."""
    now = time.time()
    os.makedirs(config.state_directory, mode=0o700, exist_ok=True)
    for name in ("backups", "log"):
        os.makedirs(config.below(name), exist_ok=True)
    if not _is_written(config):
        write_config(config)
    authority = authority_of(config)
    authority.create(now)
    ensure_server_certificate(config, now)
    found = _operator_files(config)
    os.makedirs(config.client, mode=0o700, exist_ok=True)
    write_if_changed(found.ca_path, authority.ca_pem, 0o644)
    if not _usable(found, authority, now):
        _enrol_operator(config, found, operator, now)
    client = ClientConfig(config.url, found.certificate_path, found.key_path, found.ca_path)
    write_if_changed(found.config_path, client_config_text(client), 0o600)
    return found


def _enrol_operator(config: MasterConfig, found: OperatorFiles, operator: str, now: float) -> None:
    """Locally what ``enrolment`` does over the network; whoever can read the authority's key may do it."""
    authority = authority_of(config)
    key = new_key()
    csr = make_csr(key, operator, PrincipalKind.OPERATOR)

    def enrol(tx: Transaction) -> str:
        principal = identities.ensure_operator(tx, operator, now)
        certificate = authority.sign(csr, decide(read_csr(csr), principal.kind, principal.reference), now)
        identities.record_certificate(tx, principal, describe(certificate), now)
        return certificate

    storage = open_storage(config.database, backup_directory=config.below("backups"))
    try:
        certificate = storage.write(enrol)
    finally:
        storage.close()
    files.write_pair(found.key_path, key, found.certificate_path, certificate)


def _operator_files(config: MasterConfig) -> OperatorFiles:
    directory = config.client
    return OperatorFiles(
        config_path=os.path.join(directory, "slapos-client.cfg"),
        certificate_path=os.path.join(directory, "user.pem"),
        key_path=os.path.join(directory, "user.key"),
        ca_path=os.path.join(directory, "ca.pem"),
        url=config.url,
    )


def _usable(found: OperatorFiles, authority: Authority, now: float) -> bool:
    if not files.recover_pair(found.key_path, found.certificate_path):
        return False
    pem = files.load_text(found.certificate_path)
    return issued_by(pem, authority.ca_pem) and not renewal_due(describe(pem), now)


def _is_written(config: MasterConfig) -> bool:
    if not os.path.exists(config.path):
        return False
    return load_config(config.path) == config
