"""Half-life, the year of grace, proof of possession."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from slapos.model.errors import HyperopenxError, InputError, Unauthenticated
from slapos.model.states import PrincipalKind
from slapos.pki import certificates, keys, policy, renewal, requests
from slapos.pki.authority import Authority

NOW = 1_800_000_000.0
DAY = 86400.0


def _certificate(where: Path, key: keys.PrivateKey) -> str:
    authority = Authority(str(where / "ca"))
    authority.create(NOW)
    csr = requests.make_csr(key, "", "")
    return authority.sign(csr, policy.decide(requests.read_csr(csr), PrincipalKind.NODE, "COMP-1"), NOW)


def test_due_from_half_life(tmp_path: Path) -> None:
    info = certificates.describe(_certificate(tmp_path, keys.new_key()))
    assert not renewal.renewal_due(info, NOW)
    assert not renewal.renewal_due(info, NOW + 14 * DAY)
    assert renewal.renewal_due(info, NOW + 15 * DAY)
    assert renewal.renewal_due(info, NOW + 40 * DAY)


def test_a_year_of_grace(tmp_path: Path) -> None:
    info = certificates.describe(_certificate(tmp_path, keys.new_key()))
    renewal.check_renewable(info, NOW + (30 + 365) * DAY)
    with pytest.raises(Unauthenticated) as caught:
        renewal.check_renewable(info, NOW + (30 + 365) * DAY + 1)
    assert caught.value.reference == "certificate-too-old"


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_possession(tmp_path: Path, kind: str) -> None:
    old: keys.PrivateKey = keys.new_key() if kind == "ec" else rsa.generate_private_key(65537, 2048)
    certificate = _certificate(tmp_path, old)
    csr = requests.make_csr(keys.new_key(), "", "")
    renewal.check_possession(certificate, csr, renewal.sign_possession(old, certificate, csr))


def test_another_key_does_not_possess(tmp_path: Path) -> None:
    certificate = _certificate(tmp_path, keys.new_key())
    thief = keys.new_key()
    csr = requests.make_csr(thief, "", "")
    with pytest.raises(Unauthenticated):
        renewal.check_possession(certificate, csr, renewal.sign_possession(thief, certificate, csr))


def test_signature_is_for_one_request_only(tmp_path: Path) -> None:
    old = keys.new_key()
    certificate = _certificate(tmp_path, old)
    mine, other = (requests.make_csr(keys.new_key(), "", "") for _ in "12")
    with pytest.raises(Unauthenticated):
        renewal.check_possession(certificate, other, renewal.sign_possession(old, certificate, mine))


@pytest.mark.parametrize("signature", ["", "%%%", base64.b64encode(b"x" * 64).decode()])
def test_garbage_signature(tmp_path: Path, signature: str) -> None:
    certificate = _certificate(tmp_path, keys.new_key())
    with pytest.raises((InputError, Unauthenticated)) as caught:
        renewal.check_possession(certificate, requests.make_csr(keys.new_key(), "", ""), signature)
    assert isinstance(caught.value, HyperopenxError)


def test_garbage_certificate() -> None:
    with pytest.raises(InputError) as caught:
        renewal.check_possession("no", requests.make_csr(keys.new_key(), "", ""), "")
    assert caught.value.context["field"] == "certificate"
