"""The identity of a person towards a master: joining with a token, and renewing before it ends."""

from __future__ import annotations

import os
import time

from slapos.model.errors import HyperopenxError, InputError
from slapos.pki.certificates import describe
from slapos.pki.files import (
    forget_request,
    load_key,
    load_or_create_request,
    load_text,
    recover_pair,
    write_certificate,
    write_pair,
)
from slapos.pki.keys import new_key
from slapos.pki.renewal import renewal_due, sign_possession
from slapos.pki.requests import make_csr
from slapos.pki.tokens import authority_for
from slapos.slap.authority import unverified_authority
from slapos.slap.client import Client
from slapos.slap.config import ClientConfig, client_config_text
from slapos.system.files import atomic_write, make_directory

CONFIG_NAME = "slapos-client.cfg"


def join(master_url: str, token: str, ca_pem: str, directory: str) -> tuple[ClientConfig, str]:
    """Redeem ``token``; write key, certificate and configuration to ``directory``.

    ``ca_pem`` verifies the master; empty: the fingerprint in the token does.  Returns the configuration and the
    reference that the master gave.  The key is made here and stays here; it is kept when the master cannot be
    reached, so that the same command can be tried again.
    """
    ca_pem = ca_pem or authority_for(token, master_url, unverified_authority)
    if not ca_pem:
        raise InputError(
            "This token does not say which authority the master must have.",
            reference="no-authority",
            context={"field": "ca-file", "address": master_url},
            hint="Copy the token whole, or give --ca-file: ca.pem of the master, from somebody you trust.",
        )
    make_directory(directory, 0o700)
    config = ClientConfig(
        master_url=master_url.rstrip("/"),
        cert_file=os.path.join(directory, "user.pem"),
        key_file=os.path.join(directory, "user.key"),
        ca_file=os.path.join(directory, "ca.pem"),
        path=os.path.join(directory, CONFIG_NAME),
    )
    write_certificate(config.ca_file, ca_pem)
    csr = load_or_create_request(config.key_file, "user", "user")
    client = Client(master_url=config.master_url, ca_file=config.ca_file)
    try:
        answer = client.enrol(token, csr)
    finally:
        client.close()
    write_certificate(config.cert_file, answer.certificate)
    write_client_config(config)
    forget_request(config.key_file)
    return config, answer.reference


def write_client_config(config: ClientConfig) -> None:
    """Write ``config`` where it says it lies."""
    atomic_write(config.path, client_config_text(config), mode=0o600)


def renew_if_due(config: ClientConfig, now: float | None = None) -> bool:
    """Replace the certificate of ``config`` from its half-life on; whether that was done.

    While it is still valid a failure is left for the next time; an expired one raises what went wrong.
    """
    if not (config.cert_file and config.key_file and os.path.exists(config.cert_file)):
        return False
    now = time.time() if now is None else now
    recover_pair(config.key_file, config.cert_file)
    old = load_text(config.cert_file)
    info = describe(old)
    if not renewal_due(info, now) or not os.access(os.path.dirname(config.cert_file), os.W_OK):
        return False
    try:
        _renew(config, old)
    except HyperopenxError:
        if info.not_after <= now:
            raise
        return False
    return True


def _renew(config: ClientConfig, old: str) -> None:
    info = describe(old)
    key = new_key()
    csr = make_csr(key, info.reference, info.kind)
    client = Client(master_url=config.master_url, ca_file=config.ca_file, patience=2.0)
    try:
        answer = client.renew(old, csr, sign_possession(load_key(config.key_file), old, csr))
    finally:
        client.close()
    write_pair(config.key_file, key, config.cert_file, answer.certificate)
    write_certificate(config.ca_file, answer.ca)


def read_ca(path: str) -> str:
    """The certificate of the authority that a person was given."""
    if not os.path.exists(path):
        raise InputError(
            f"{path}: there is no such file.",
            reference="no-such-file",
            context={"file": path},
            hint="Ask the operator for ca.pem of the master: no secret, but it must come from somebody you trust.",
        )
    return load_text(path)
