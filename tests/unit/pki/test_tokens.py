"""Tokens that name the authority of the master."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from slapos.model.errors import Refused
from slapos.pki.authority import Authority
from slapos.pki.certificates import describe
from slapos.pki.tokens import authority_for, fingerprint_of, secret_of, token_text

URL = "https://master:1"


def new_authority(directory: Path) -> str:
    authority = Authority(str(directory))
    authority.create(time.time())
    return authority.ca_pem


def test_a_token_holds_secret_and_fingerprint(tmp_path: Path) -> None:
    pem = new_authority(tmp_path / "ca")
    token = token_text("se-c_ret", pem)
    assert token == f"se-c_ret.{describe(pem).fingerprint[:32]}"
    assert (secret_of(token), fingerprint_of(token)) == ("se-c_ret", describe(pem).fingerprint[:32])


@pytest.mark.parametrize("token", ["", "secret", "secret.", "secret.12", "a.b." + "0" * 32, "secret." + "G" * 32])
def test_a_text_without_fingerprint_is_a_secret(token: str) -> None:
    assert (secret_of(token), fingerprint_of(token)) == (token, "")
    assert authority_for(token, URL, lambda url: pytest.fail("nothing is fetched")) == ""


def test_only_the_authority_named_is_believed(tmp_path: Path) -> None:
    mine, other = new_authority(tmp_path / "mine"), new_authority(tmp_path / "other")
    token = token_text("secret", mine)
    assert authority_for(token, URL, lambda url: mine) == mine
    assert authority_for(token, URL, lambda url: mine + other) == mine, "nothing rides along"
    for answer in (other, other + mine, "", "no certificate", mine[:200]):
        with pytest.raises(Refused) as caught:
            authority_for(token, URL, lambda url, answer=answer: answer)  # type: ignore[misc]
        assert caught.value.reference == "authority-mismatch"
        assert "secret" not in caught.value.message
