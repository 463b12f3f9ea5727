"""Private keys: EC P-256 of our own; what else an authority of ours is willing to certify."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from slapos.model.errors import InputError

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

RSA_BITS = range(2048, 4097)


def new_key() -> ec.EllipticCurvePrivateKey:
    """A fresh EC P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_to_pem(key: PrivateKey) -> bytes:
    """PKCS#8 PEM, not encrypted: its file is what protects it (mode 0600)."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def key_from_pem(pem: bytes, where: str = "key") -> PrivateKey:
    """The key of a PEM text; :class:`InputError` ``invalid-key`` names ``where`` it came from."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError(
            f"{where}: no private key can be read from it.",
            reference="invalid-key",
            context={"field": where, "reason": str(error)},
            hint="Give an unencrypted PEM private key.",
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise InputError(f"{where}: only EC and RSA keys are used.", reference="invalid-key", context={"field": where})
    return key


def check_public_key(key: object, where: str) -> PublicKey:
    """``key`` when it is strong enough for a certificate of ours: EC P-256 or P-384, RSA of 2048 to 4096 bits."""
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
        return key
    if isinstance(key, rsa.RSAPublicKey) and key.key_size in RSA_BITS:
        return key
    raise InputError(
        f"{where}: the key must be EC P-256, EC P-384 or RSA of 2048 to 4096 bits.",
        reference="weak-key",
        context={"field": where, "key": type(key).__name__},
        hint="Make an EC P-256 key.",
    )


def public_bytes(key: PublicKey) -> bytes:
    """The public key as DER: equal keys give equal bytes."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
