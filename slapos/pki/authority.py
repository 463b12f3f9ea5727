"""The certificate authority of a master: one key, one self-signed certificate, and what it signs.

::

    <directory>/ca.key   0600, EC P-256
    <directory>/ca.pem   0644, given to everybody
"""

from __future__ import annotations

import os
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from slapos.model.errors import MachineError
from slapos.model.states import PrincipalKind
from slapos.pki.certificates import certificate_to_pem, load_certificate, utc
from slapos.pki.keys import PrivateKey, PublicKey, key_from_pem, key_to_pem, new_key
from slapos.pki.policy import Grant
from slapos.pki.requests import alternative_names, read_csr, subject
from slapos.system.files import atomic_write

CA_LIFETIME = timedelta(days=20 * 365)
BACKDATED = timedelta(minutes=5)  # for verifiers whose clock is a little late


class Authority:
    """Signs with the key of ``directory``.  Knows nothing of who may ask: that is ``policy`` and the caller."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.key_path = os.path.join(directory, "ca.key")
        self.certificate_path = os.path.join(directory, "ca.pem")

    def create(self, now: float, name: str = "Hyper Open X") -> None:
        """Make what is missing: a creation killed half-way is continued, an existing authority is kept."""
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        if not os.path.exists(self.key_path):
            atomic_write(self.key_path, key_to_pem(new_key()), mode=0o600)
        if not os.path.exists(self.certificate_path):
            certificate = _self_signed(self._key(), name, now)
            atomic_write(self.certificate_path, certificate_to_pem(certificate).encode("ascii"), mode=0o644)

    @property
    def ca_pem(self) -> str:
        """The authority's certificate."""
        return self._read(self.certificate_path).decode("ascii")

    def sign(self, csr: str, grant: Grant, now: float) -> str:
        """A PEM certificate for the key of ``csr`` (PEM), everything else as ``grant`` says, from ``now`` on."""
        request = read_csr(csr)
        ca = load_certificate(self.ca_pem, self.certificate_path)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject(grant.reference, grant.kind))
            .issuer_name(ca.subject)
            .public_key(request.public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(utc(now) - BACKDATED)
            .not_valid_after(min(utc(now) + grant.lifetime, ca.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([_purpose(grant.kind)]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(request.public_key), critical=False)
            .add_extension(_authority_key_identifier(ca), critical=False)
        )
        names = alternative_names(grant.addresses, grant.names)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return certificate_to_pem(builder.sign(self._key(), hashes.SHA256()))

    def _key(self) -> PrivateKey:
        return key_from_pem(self._read(self.key_path), self.key_path)

    def _read(self, path: str) -> bytes:
        try:
            with open(path, "rb") as file:
                return file.read()
        except OSError as error:
            raise MachineError(
                f"{path}: the certificate authority cannot be read ({error.strerror}).",
                reference="authority-unreadable",
                context={"path": path},
                hint="Initialise the master, or restore its ca directory from a backup.",
            ) from error


def _self_signed(key: PrivateKey, name: str, now: float) -> x509.Certificate:
    public: PublicKey = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject(name, "authority"))
        .issuer_name(subject(name, "authority"))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(utc(now) - BACKDATED)
        .not_valid_after(utc(now) + CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )


def _authority_key_identifier(ca: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _purpose(kind: PrincipalKind) -> x509.ObjectIdentifier:
    return ExtendedKeyUsageOID.SERVER_AUTH if kind is PrincipalKind.SERVICE else ExtendedKeyUsageOID.CLIENT_AUTH


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
