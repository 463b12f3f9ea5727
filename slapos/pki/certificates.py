"""What a certificate says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from slapos.model.errors import InputError
from slapos.pki.keys import check_public_key, public_bytes
from slapos.pki.requests import PEM_LIMIT


@dataclass(frozen=True)
class CertificateInfo:
    """Facts of one certificate.  ``serial`` is lower-case hexadecimal; times are UTC epoch seconds."""

    serial: str
    kind: str
    reference: str
    not_before: float
    not_after: float
    addresses: tuple[str, ...]
    names: tuple[str, ...]
    fingerprint: str  # SHA-256 of the DER form, hexadecimal
    public_key: bytes  # DER


def load_certificate(pem: str, where: str = "certificate") -> x509.Certificate:
    """The first certificate of a PEM text; :class:`InputError` ``invalid-certificate`` names ``where``."""
    try:
        if len(pem) > PEM_LIMIT:
            raise ValueError(f"{len(pem)} characters, more than {PEM_LIMIT}")
        return x509.load_pem_x509_certificate(pem.encode("ascii"))
    except (ValueError, UnicodeEncodeError, UnsupportedAlgorithm) as error:
        raise InputError(
            f"{where}: no certificate can be read from it.",
            reference="invalid-certificate",
            context={"field": where, "reason": str(error)},
            hint="Give a PEM certificate.",
        ) from error


def describe(pem: str, where: str = "certificate") -> CertificateInfo:
    """The facts of a PEM certificate."""
    return describe_parsed(load_certificate(pem, where))


def describe_der(der: bytes) -> CertificateInfo:
    """The facts of a DER certificate, as a TLS peer hands it over."""
    return describe_parsed(x509.load_der_x509_certificate(der))


def describe_parsed(certificate: x509.Certificate) -> CertificateInfo:
    """The facts of a parsed certificate."""
    addresses: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        addresses = tuple(str(address) for address in found.get_values_for_type(x509.IPAddress))
        names = tuple(found.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        pass
    return CertificateInfo(
        serial=format(certificate.serial_number, "x"),
        kind=_first(certificate.subject, NameOID.ORGANIZATION_NAME),
        reference=_first(certificate.subject, NameOID.COMMON_NAME),
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
        addresses=addresses,
        names=names,
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        public_key=public_bytes(check_public_key(certificate.public_key(), "certificate")),
    )


def issued_by(pem: str, ca_pem: str) -> bool:
    """Whether the authority of ``ca_pem`` signed ``pem``; says nothing of its dates."""
    try:
        load_certificate(pem).verify_directly_issued_by(load_certificate(ca_pem, "ca"))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def certificate_to_pem(certificate: x509.Certificate) -> str:
    """PEM text of a parsed certificate."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def utc(seconds: float) -> datetime:
    """Epoch seconds as the aware UTC time that X.509 builders take."""
    return datetime.fromtimestamp(seconds, UTC)


def _first(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    found = name.get_attributes_for_oid(oid)
    return str(found[0].value) if found else ""
