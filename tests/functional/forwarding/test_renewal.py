"""The certificate with which a master asks another one does not run out."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from slapos.master.forwarding.plan import OtherMaster
from slapos.master.forwarding.renewal import renew_due
from slapos.model.objects import InstanceRequest
from slapos.pki.certificates import describe
from slapos.pki.files import load_text, recover_pair
from tests.functional.forwarding.pair import BY_TLS, Pair

DAY = 86_400


def tls_section(pair: Pair) -> OtherMaster:
    return next(other for other in pair.near.config.other_masters if other.cert)


def test_renewed_from_half_life_on_and_used_at_once(pair: Pair) -> None:
    pair.near.operator.request(InstanceRequest("before", BY_TLS))
    other, now = tls_section(pair), time.time()
    old = describe(load_text(other.cert))
    half = (old.not_after - old.not_before) / 2
    assert renew_due([other], now) == []
    assert renew_due([other], now + half + DAY) == [other.url]
    new = describe(load_text(other.cert))
    assert new.serial != old.serial and (new.reference, new.kind) == (old.reference, old.kind)
    assert recover_pair(other.key, other.cert)
    assert pair.near.operator.request(InstanceRequest("after", BY_TLS)).master == pair.far.url


def test_who_does_not_renew_is_named_and_the_files_stay(
    pair: Pair, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = tls_section(pair)
    other = OtherMaster(url="https://127.0.0.1:1", key=files.key, cert=files.cert, ca=files.ca)
    before = load_text(files.cert)
    missing = OtherMaster(url="https://x", key=str(tmp_path / "none.key"), cert=str(tmp_path / "none.pem"))
    assert renew_due([missing, other], time.time() + 100 * DAY) == []
    assert load_text(files.cert) == before
    assert [str(tmp_path) in record.message for record in caplog.records] == [True, False]
    assert "was not renewed" in caplog.text and "https://127.0.0.1:1" in caplog.text
