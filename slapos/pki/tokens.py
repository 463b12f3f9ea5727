"""What an enrolment token says besides its secret: whose authority the master must have.

``<secret>.<first 32 hexadecimal digits of the SHA-256 of the authority's certificate in DER>``: who has the token can
verify the master at the first connection, without a file that somebody carried.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from slapos.model.errors import InputError, Refused
from slapos.pki.certificates import certificate_to_pem, describe, load_certificate

_FORM = re.compile(r"(?P<secret>[^.]*)\.(?P<fingerprint>[0-9a-f]{32})")


def authority_fingerprint(ca_pem: str) -> str:
    """32 hexadecimal digits that name a certificate."""
    return describe(ca_pem, "ca").fingerprint[:32]


def token_text(secret: str, ca_pem: str) -> str:
    """The token that a person is given."""
    return f"{secret}.{authority_fingerprint(ca_pem)}"


def secret_of(token: str) -> str:
    """The part that the master knows."""
    found = _FORM.fullmatch(token.strip())
    return found["secret"] if found else token


def fingerprint_of(token: str) -> str:
    """The part that names the authority; empty when the token does not say."""
    found = _FORM.fullmatch(token.strip())
    return found["fingerprint"] if found else ""


def authority_for(token: str, master_url: str, fetch: Callable[[str], str]) -> str:
    """PEM of the authority that ``token`` names, from the master; empty when the token names none.

    ``fetch`` reads it from the master's URL without verifying.  Only the one certificate with the fingerprint is
    returned, whatever else came; :class:`Refused` ``authority-mismatch`` when there is none.
    """
    expected = fingerprint_of(token)
    if not expected:
        return ""
    pem = ""
    try:
        pem = certificate_to_pem(load_certificate(fetch(master_url), "ca.pem"))
        got = authority_fingerprint(pem)
    except InputError:
        got = "no certificate"
    if got != expected:
        raise Refused(
            f"{master_url} is not the master that made this token: its authority is another. The token was not sent.",
            reference="authority-mismatch",
            context={"address": master_url, "expected": expected, "got": got},
            hint="Check the address and that the token was copied whole; otherwise somebody stands in between.",
        )
    return pem
