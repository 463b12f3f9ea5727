"""What the authority signs: a pure decision, no key in sight.

The subject is never taken from the request: CN is the reference of the principal that proved itself, O its kind.
Alternative names are for services only, and only those that the caller allows: the addresses of the partition,
and names (``www.example.org``, or ``*.example.org`` for one label below).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from slapos.model.errors import InputError, Refused
from slapos.model.states import PrincipalKind
from slapos.pki.requests import RequestInfo

CLIENT_LIFETIME = timedelta(days=30)
SERVICE_LIFETIME = timedelta(days=90)
#: Of a certificate whose key we made: the tools that need this cannot renew.
LEGACY_LIFETIME = timedelta(days=365)
ALTERNATIVE_NAMES_LIMIT = 50


@dataclass(frozen=True)
class Allowed:
    """The alternative names that a service may have."""

    addresses: Collection[str] = ()
    names: Collection[str] = ()


@dataclass(frozen=True)
class Grant:
    """What will be signed."""

    kind: PrincipalKind
    reference: str
    addresses: tuple[str, ...]
    names: tuple[str, ...]
    lifetime: timedelta


NOTHING = Allowed()


def decide(request: RequestInfo, kind: PrincipalKind, reference: str, allowed: Allowed = NOTHING) -> Grant:
    """The grant for a proven principal, or :class:`Refused` with the name that is not its own."""
    if kind is PrincipalKind.ANYONE or not 1 <= len(reference) <= 64:  # RFC 5280 upper bound of a common name
        raise InputError(
            f"No certificate can be made for {kind} {reference!r}.",
            reference="invalid-holder",
            context={"field": "reference", "value": reference},
            hint="A reference has 1 to 64 characters.",
        )
    if kind is not PrincipalKind.SERVICE:
        if request.addresses or request.names:
            raise _refused((request.addresses + request.names)[0], reference)
        return Grant(kind, reference, (), (), CLIENT_LIFETIME)
    if len(request.addresses) + len(request.names) > ALTERNATIVE_NAMES_LIMIT:
        raise InputError(
            f"csr: more than {ALTERNATIVE_NAMES_LIMIT} alternative names.",
            reference="invalid-csr",
            context={"field": "csr"},
        )
    addresses = {ipaddress.ip_address(address) for address in allowed.addresses}
    for address in request.addresses:
        if ipaddress.ip_address(address) not in addresses:
            raise _refused(address, reference)
    for name in request.names:
        if not any(_matches(name, pattern) for pattern in allowed.names):
            raise _refused(name, reference)
    return Grant(kind, reference, request.addresses, request.names, SERVICE_LIFETIME)


def _matches(name: str, pattern: str) -> bool:
    name, pattern = name.lower(), pattern.lower()
    if pattern.startswith("*."):
        return name == pattern or name.partition(".")[2] == pattern[2:]
    return name == pattern


def _refused(name: str, reference: str) -> Refused:
    return Refused(
        f"{name} is not a name of {reference}; a certificate for it is not signed.",
        reference="name-not-allowed",
        context={"name": name, "reference": reference},
        hint="Ask for the addresses of the partition only, or have the name allowed by the operator.",
    )
