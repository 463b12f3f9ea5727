"""Key and certificate fit together after a crash at any moment."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

import pytest

from slapos.model.errors import MachineError
from slapos.model.states import PrincipalKind
from slapos.pki import files, keys, policy, requests
from slapos.pki.authority import Authority

NOW = 1_800_000_000.0


class _Cut(BaseException):
    """The process dies here."""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    authority = Authority(str(tmp_path / "ca"))
    authority.create(NOW)
    return authority


def _signed(authority: Authority, key: keys.PrivateKey) -> str:
    csr = requests.make_csr(key, "", "")
    return authority.sign(csr, policy.decide(requests.read_csr(csr), PrincipalKind.NODE, "COMP-1"), NOW)


def test_modes(authority: Authority, tmp_path: Path) -> None:
    key_path, certificate_path = str(tmp_path / "n.key"), str(tmp_path / "n.pem")
    key = files.load_or_create_key(key_path)
    files.write_pair(key_path, key, certificate_path, _signed(authority, key))
    assert stat.S_IMODE(os.stat(key_path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(certificate_path).st_mode) == 0o644
    assert files.recover_pair(key_path, certificate_path)
    again = files.load_or_create_key(key_path)
    assert keys.public_bytes(again.public_key()) == keys.public_bytes(key.public_key())


@pytest.mark.parametrize("survives", range(7))
def test_interrupted_after_each_step(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survives: int
) -> None:
    key_path, certificate_path = str(tmp_path / "n.key"), str(tmp_path / "n.pem")
    old = keys.new_key()
    files.write_pair(key_path, old, certificate_path, _signed(authority, old))
    new = keys.new_key()
    certificate = _signed(authority, new)
    steps = iter([True] * survives)
    rename, write = os.rename, files.atomic_write

    def cut() -> None:
        if not next(steps, False):
            raise _Cut

    with monkeypatch.context() as patch:
        patch.setattr(files, "atomic_write", lambda *a, **k: (cut(), write(*a, **k)))
        patch.setattr(os, "rename", lambda *a: (cut(), rename(*a)))
        with contextlib.suppress(_Cut):
            files.write_pair(key_path, new, certificate_path, certificate)
    assert files.recover_pair(key_path, certificate_path)
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".new")]


def test_missing_pair(tmp_path: Path) -> None:
    assert not files.recover_pair(str(tmp_path / "k"), str(tmp_path / "c"))
    with pytest.raises(MachineError):
        files.load_key(str(tmp_path / "k"))
