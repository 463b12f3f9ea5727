"""Who gets which names: the pure table."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from slapos.model.errors import InputError, Refused
from slapos.model.states import PrincipalKind
from slapos.pki.keys import check_public_key, new_key
from slapos.pki.policy import CLIENT_LIFETIME, SERVICE_LIFETIME, Allowed, decide
from slapos.pki.requests import RequestInfo, make_csr, read_csr

ALLOWED = Allowed(addresses=("127.1.1.1", "fd00:0::1"), names=("www.example.org", "*.sites.example.org"))


def _request(addresses: tuple[str, ...] = (), names: tuple[str, ...] = ()) -> RequestInfo:
    return read_csr(make_csr(new_key(), "", "", addresses, names))


@pytest.mark.parametrize(
    "kind", [PrincipalKind.OPERATOR, PrincipalKind.USER, PrincipalKind.NODE, PrincipalKind.INSTANCE]
)
def test_clients_have_no_names(kind: PrincipalKind) -> None:
    assert decide(_request(), kind, "x").lifetime == CLIENT_LIFETIME
    with pytest.raises(Refused) as caught:
        decide(_request(("127.1.1.1",)), kind, "x", ALLOWED)
    assert caught.value.reference == "name-not-allowed"


@pytest.mark.parametrize(
    ("addresses", "names"),
    [(("127.1.1.1",), ()), (("fd00::1",), ("WWW.example.org",)), ((), ("a.sites.example.org", "*.sites.example.org"))],
)
def test_services_have_their_own_names(addresses: tuple[str, ...], names: tuple[str, ...]) -> None:
    grant = decide(_request(addresses, names), PrincipalKind.SERVICE, "SOFTINST-1", ALLOWED)
    assert (grant.addresses, grant.names, grant.lifetime) == (addresses, names, SERVICE_LIFETIME)


@pytest.mark.parametrize(
    ("addresses", "names"),
    [
        (("127.1.1.2",), ()),
        ((), ("example.org",)),
        ((), ("a.b.sites.example.org",)),
        ((), ("sites.example.org",)),
        ((), ("evilsites.example.org",)),
        (("127.1.1.1", "10.0.0.1"), ("www.example.org",)),
    ],
)
def test_services_have_no_other_names(addresses: tuple[str, ...], names: tuple[str, ...]) -> None:
    with pytest.raises(Refused) as caught:
        decide(_request(addresses, names), PrincipalKind.SERVICE, "SOFTINST-1", ALLOWED)
    assert caught.value.context["reference"] == "SOFTINST-1"


@pytest.mark.parametrize(
    ("kind", "reference"), [(PrincipalKind.ANYONE, "x"), (PrincipalKind.USER, ""), (PrincipalKind.USER, "x" * 65)]
)
def test_no_certificate_for_nobody(kind: PrincipalKind, reference: str) -> None:
    with pytest.raises(InputError):
        decide(_request(), kind, reference)


def test_too_many_names() -> None:
    names = tuple(f"n{i}.sites.example.org" for i in range(51))
    with pytest.raises(InputError):
        decide(_request((), names), PrincipalKind.SERVICE, "x", ALLOWED)


def test_weak_keys_are_refused() -> None:
    for key in (rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP256K1())):
        with pytest.raises(InputError) as caught:
            check_public_key(key.public_key(), "csr")
        assert caught.value.reference == "weak-key"
    check_public_key(rsa.generate_private_key(65537, 2048).public_key(), "csr")
