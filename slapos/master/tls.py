"""The server's side of TLS: its context, and its own certificate, which renews itself from half-life."""

from __future__ import annotations

import ssl

from slapos.master.config import MasterConfig, server_names
from slapos.model.states import PrincipalKind
from slapos.pki import files
from slapos.pki.authority import Authority
from slapos.pki.certificates import describe, issued_by
from slapos.pki.keys import new_key
from slapos.pki.policy import Allowed, decide
from slapos.pki.renewal import renewal_due
from slapos.pki.requests import make_csr, read_csr

SERVER_REFERENCE = "master"


def authority_of(config: MasterConfig) -> Authority:
    """The authority of a master."""
    return Authority(config.below("ca"))


def ensure_server_certificate(config: MasterConfig, now: float) -> bool:
    """Make or renew the server's key and certificate when that is due; whether it was.

    Due: missing, half its life over, of another authority, or without a name that the server has now.
    """
    key_path, certificate_path = config.below("server.key"), config.below("server.pem")
    authority = authority_of(config)
    wanted = server_names(config)
    if files.recover_pair(key_path, certificate_path):
        pem = files.load_text(certificate_path)
        info = describe(pem)
        complete = set(wanted.addresses) <= set(info.addresses) and set(wanted.names) <= set(info.names)
        if complete and not renewal_due(info, now) and issued_by(pem, authority.ca_pem):
            return False
    key = new_key()
    csr = make_csr(key, SERVER_REFERENCE, PrincipalKind.SERVICE, wanted.addresses, wanted.names)
    allowed = Allowed(wanted.addresses, wanted.names)
    grant = decide(read_csr(csr), PrincipalKind.SERVICE, SERVER_REFERENCE, allowed)
    files.write_pair(key_path, key, certificate_path, authority.sign(csr, grant, now))
    return True


def server_context(config: MasterConfig) -> ssl.SSLContext:
    """TLS 1.2 or later; a client certificate is optional, but one that is shown must be of our authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(authority_of(config).certificate_path)
    load_server_certificate(context, config)
    return context


def load_server_certificate(context: ssl.SSLContext, config: MasterConfig) -> None:
    """Take the files as they are now: for connections made from now on."""
    context.load_cert_chain(config.below("server.pem"), config.below("server.key"))
