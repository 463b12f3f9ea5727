"""Keys that the master makes: for tools of the field, which cannot make a signing request.

Only for who enrolled with a token of ``--legacy-keys``.  A key is sent once and kept nowhere; each time there is a
new one, with a certificate of its own, and the history says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from slapos.master.services import history, identities
from slapos.master.storage.transaction import Transaction
from slapos.model.principal import Principal
from slapos.model.states import PrincipalKind
from slapos.pki.authority import Authority
from slapos.pki.certificates import CertificateInfo, describe
from slapos.pki.keys import key_to_pem, new_key
from slapos.pki.policy import LEGACY_LIFETIME, decide
from slapos.pki.requests import make_csr, read_csr


@dataclass(frozen=True)
class Pair:
    """A private key and its certificate, both PEM."""

    key: str
    certificate: str
    info: CertificateInfo


def hand_out(tx: Transaction, authority: Authority, holder: Principal, project: str, now: float) -> Pair:
    """A new pair for ``holder``, recorded, and told in the history.  Rights, and that it is wished, were checked."""
    pair = make_pair(authority, holder, now)
    identities.record_certificate(tx, holder, pair.info, now)
    sentence = f"The master made the key of {holder.reference} and sent it: the enrolment asked for it (--legacy-keys)."
    if not history.said_lately(tx, holder.reference, sentence):
        history.record(tx, (project, holder.reference), "warning", sentence, by="master", now=now)
    return pair


def make_pair(authority: Authority, holder: Principal, now: float) -> Pair:
    """The pair; instances ask for theirs again and again, nodes and persons of the field never do."""
    key = new_key()
    csr = make_csr(key, holder.reference, holder.kind.value)
    grant = decide(read_csr(csr), holder.kind, holder.reference)
    if holder.kind is not PrincipalKind.INSTANCE:
        grant = replace(grant, lifetime=LEGACY_LIFETIME)
    certificate = authority.sign(csr, grant, now)
    return Pair(key_to_pem(key).decode("ascii"), certificate, describe(certificate))


def with_dump(pair: Pair) -> str:
    """The certificate after a text of what it says, in which `slapos node register` of SlapOS finds ``COMP-<n>``.

    It takes what stands before ``/email``; the certificate itself has no such attribute.
    """
    info = pair.info
    ends = datetime.fromtimestamp(info.not_after, UTC).strftime("%Y-%m-%d %H:%M UTC")
    text = [
        "Certificate:",
        f"    Serial Number: {info.serial}",
        f"    Not After: {ends}",
        f"    Subject: O={info.kind}/CN={info.reference}/emailAddress=",
    ]
    return "\n".join([*text, pair.certificate])
