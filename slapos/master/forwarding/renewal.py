"""Renewing the certificates with which other masters of ours are asked, as their persons would by hand."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable

from slapos.master.forwarding.plan import OtherMaster
from slapos.model.errors import HyperopenxError
from slapos.pki.certificates import describe
from slapos.pki.files import load_key, load_text, recover_pair, write_certificate, write_pair
from slapos.pki.keys import new_key
from slapos.pki.renewal import renewal_due, sign_possession
from slapos.pki.requests import make_csr
from slapos.slap.client import Client

logger = logging.getLogger("slapos.master.forwarding")
PATIENCE_SECONDS = 2.0


def renew_due(others: Iterable[OtherMaster], now: float) -> list[str]:
    """Renews from half-life on; the masters at which that was done.  A failure is logged, and tried again."""
    renewed = []
    for other in others:
        try:
            if other.cert and renew(other, now):
                renewed.append(other.url)
        except HyperopenxError as error:
            logger.warning("The certificate %s for %s was not renewed: %s", other.cert, other.name, error.message)
    return renewed


def renew(other: OtherMaster, now: float) -> bool:
    """Whether there is a new certificate; masters that are not ours do not renew, so an operator replaces the files."""
    recover_pair(other.key, other.cert)
    old = load_text(other.cert)
    info = describe(old)
    if not renewal_due(info, now) or not os.access(os.path.dirname(other.cert), os.W_OK):
        return False
    key = new_key()
    csr = make_csr(key, info.reference, info.kind)
    client = Client(master_url=other.name, ca_file=other.ca, patience=PATIENCE_SECONDS)
    try:
        answer = client.renew(old, csr, sign_possession(load_key(other.key), old, csr))
    finally:
        client.close()
    write_pair(other.key, key, other.cert, answer.certificate)
    if other.ca:
        write_certificate(other.ca, answer.ca)
    logger.info("The certificate for %s was renewed.", other.name)
    return True
