"""When a certificate is renewed, and how its holder proves to be the holder.

Renewed from half-life on.  An expired certificate can still be renewed for a year, so that a node comes back after
months: such a certificate opens no TLS connection any more, so the proof is a signature by its key over the request.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding

from slapos.model.errors import InputError, Unauthenticated
from slapos.pki.certificates import CertificateInfo, load_certificate
from slapos.pki.keys import PrivateKey, check_public_key
from slapos.pki.requests import load_csr

GRACE_SECONDS = 365 * 86400.0
_PURPOSE = b"hyperopenx certificate renewal 1\n"


def renewal_due(info: CertificateInfo, now: float) -> bool:
    """Whether half of the life is over."""
    return now >= renewal_time(info)


def renewal_time(info: CertificateInfo) -> float:
    """The epoch second of half-life."""
    return info.not_before + (info.not_after - info.not_before) / 2


def check_renewable(info: CertificateInfo, now: float) -> None:
    """:class:`Unauthenticated` ``certificate-too-old`` when it expired more than a year ago."""
    if now > info.not_after + GRACE_SECONDS:
        raise Unauthenticated(
            f"The certificate of {info.reference} expired more than a year ago.",
            reference="certificate-too-old",
            context={"reference": info.reference, "serial": info.serial},
            hint="Enrol again with a new token.",
        )


def sign_possession(key: PrivateKey, certificate: str, csr: str) -> str:
    """Base64 signature by the key of the old ``certificate`` (PEM) over it and the new ``csr`` (PEM)."""
    payload = _payload(certificate, csr)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        signature = key.sign(payload, ec.ECDSA(hashes.SHA256()))
    else:
        signature = key.sign(payload, _rsa_padding(), hashes.SHA256())
    return base64.b64encode(signature).decode("ascii")


def check_possession(certificate: str, csr: str, signature: str) -> None:
    """:class:`Unauthenticated` ``wrong-signature`` unless the key of ``certificate`` made ``signature``."""
    key = check_public_key(load_certificate(certificate).public_key(), "certificate")
    try:
        raw = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(
            "signature: it is not base64.", reference="invalid-signature", context={"field": "signature"}
        ) from error
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(raw, _payload(certificate, csr), ec.ECDSA(hashes.SHA256()))
        else:
            key.verify(raw, _payload(certificate, csr), _rsa_padding(), hashes.SHA256())
    except InvalidSignature as error:
        raise Unauthenticated(
            "The signature was not made with the key of the certificate.",
            reference="wrong-signature",
            hint="Sign with the private key that belongs to the certificate to be renewed.",
        ) from error


def _payload(certificate: str, csr: str) -> bytes:
    der = serialization.Encoding.DER
    parts = (load_certificate(certificate).public_bytes(der), load_csr(csr).public_bytes(der))
    return _PURPOSE + b"".join(hashlib.sha256(part).digest() for part in parts)


def _rsa_padding() -> padding.PSS:
    return padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)
