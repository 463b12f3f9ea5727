"""Certificate signing requests: made where the private key lives, read by the authority."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from slapos.model.errors import InputError
from slapos.pki.keys import PrivateKey, PublicKey, check_public_key

PEM_LIMIT = 64 * 1024  # characters; a request of ours has about 600


@dataclass(frozen=True)
class RequestInfo:
    """What a valid signing request asks for.  The subject is only a wish: the authority decides it."""

    public_key: PublicKey
    common_name: str
    kind: str
    addresses: tuple[str, ...]
    names: tuple[str, ...]


def alternative_names(addresses: Iterable[str], names: Iterable[str]) -> list[x509.GeneralName]:
    """Addresses and DNS names as X.509 names, in the given order."""
    found: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    return found + [x509.DNSName(name) for name in names]


def subject(common_name: str, kind: str) -> x509.Name:
    """CN = reference of the principal, O = its kind."""
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
    if kind:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, kind))
    return x509.Name(attributes)


def make_csr(
    key: PrivateKey, common_name: str, kind: str, addresses: Iterable[str] = (), names: Iterable[str] = ()
) -> str:
    """A PEM request for ``key``; addresses (IPs) and names (DNS) become its alternative names."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject(common_name, kind))
    wanted = alternative_names(addresses, names)
    if wanted:
        builder = builder.add_extension(x509.SubjectAlternativeName(wanted), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode("ascii")


def load_csr(pem: str) -> x509.CertificateSigningRequest:
    """The parsed request, its signature checked; :class:`InputError` ``invalid-csr`` otherwise."""
    if len(pem) > PEM_LIMIT:
        raise _invalid(f"it has {len(pem)} characters, more than {PEM_LIMIT}")
    try:
        request = x509.load_pem_x509_csr(pem.encode("ascii"))
        if not request.is_signature_valid:
            raise _invalid("its signature is wrong")
    except (ValueError, UnicodeEncodeError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise _invalid("it is not a PEM signing request") from error
    return request


def read_csr(pem: str) -> RequestInfo:
    """What the request asks for; other alternative names than IPs and DNS names are refused."""
    request = load_csr(pem)
    addresses: list[str] = []
    names: list[str] = []
    try:
        asked: Iterable[x509.GeneralName] = request.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
    except x509.ExtensionNotFound:
        asked = ()
    except ValueError as error:
        raise _invalid("its extensions cannot be read") from error
    for name in asked:
        if isinstance(name, x509.IPAddress):
            addresses.append(str(name.value))
        elif isinstance(name, x509.DNSName):
            names.append(name.value)
        else:
            raise _invalid("only IP addresses and DNS names may be alternative names")
    return RequestInfo(
        public_key=check_public_key(request.public_key(), "csr"),
        common_name=_first(request.subject, NameOID.COMMON_NAME),
        kind=_first(request.subject, NameOID.ORGANIZATION_NAME),
        addresses=tuple(addresses),
        names=tuple(names),
    )


def _first(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    found = name.get_attributes_for_oid(oid)
    return str(found[0].value) if found else ""


def _invalid(reason: str) -> InputError:
    return InputError(
        f"csr: {reason}.",
        reference="invalid-csr",
        context={"field": "csr"},
        hint="Make a PEM request with an EC P-256 key, for example: openssl req -new -key key.pem -subj /CN=name",
    )
