"""A private key and its certificate as two files that always fit together, also after a crash.

A renewal with a new key replaces two files, and no file system renames two at once.  Both are written beside the old
ones (``.new``), then renamed, the key first; :func:`recover_pair` finishes or forgets what was cut in between.
"""

from __future__ import annotations

import contextlib
import os

from slapos.pki.certificates import describe
from slapos.pki.keys import PrivateKey, key_from_pem, key_to_pem, new_key, public_bytes
from slapos.pki.requests import make_csr, read_csr
from slapos.system.files import atomic_write, read_file

_NEW = ".new"
_REQUEST = ".csr"


def load_key(path: str) -> PrivateKey:
    """The private key in ``path``; :class:`MachineError` ``file-unreadable`` when it cannot be read."""
    return key_from_pem(read_file(path), path)


def load_or_create_key(path: str) -> PrivateKey:
    """The private key in ``path``, made first (EC P-256, mode 0600) when the file is missing."""
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        atomic_write(path, key_to_pem(new_key()), mode=0o600)
    return load_key(path)


def load_or_create_request(key_path: str, common_name: str, kind: str) -> str:
    """The signing request with which the key in ``key_path`` (made when missing) enrols; kept beside it.

    The same request again is the same enrolment: cut between the master's answer and the files, it is repeated.
    :func:`forget_request` once it is done.
    """
    key = load_or_create_key(key_path)
    path = key_path + _REQUEST
    if os.path.exists(path):
        known = load_text(path)
        if public_bytes(read_csr(known).public_key) == public_bytes(key.public_key()):
            return known
    made = make_csr(key, common_name, kind)
    atomic_write(path, made, mode=0o600)
    return made


def forget_request(key_path: str) -> None:
    """The enrolment is done."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(key_path + _REQUEST)


def load_text(path: str) -> str:
    """A certificate file as text."""
    return read_file(path).decode("ascii", "replace")


def write_certificate(path: str, pem: str) -> None:
    """Replace a certificate file atomically, mode 0644."""
    atomic_write(path, pem.encode("ascii"), mode=0o644)


def write_pair(key_path: str, key: PrivateKey, certificate_path: str, certificate: str) -> None:
    """Replace key and certificate together; interrupted anywhere, :func:`recover_pair` makes it whole."""
    atomic_write(certificate_path + _NEW, certificate.encode("ascii"), mode=0o644)
    atomic_write(key_path + _NEW, key_to_pem(key), mode=0o600)
    os.rename(key_path + _NEW, key_path)
    os.rename(certificate_path + _NEW, certificate_path)


def recover_pair(key_path: str, certificate_path: str) -> bool:
    """Finish an interrupted :func:`write_pair`, and say whether key and certificate exist and fit together."""
    new_certificate = certificate_path + _NEW
    if os.path.exists(new_certificate):
        if _fits(key_path + _NEW, new_certificate):
            os.rename(key_path + _NEW, key_path)
        if _fits(key_path, new_certificate):
            os.rename(new_certificate, certificate_path)
        else:
            os.unlink(new_certificate)
    if os.path.exists(key_path + _NEW):
        os.unlink(key_path + _NEW)
    return _fits(key_path, certificate_path)


def _fits(key_path: str, certificate_path: str) -> bool:
    if not (os.path.exists(key_path) and os.path.exists(certificate_path)):
        return False
    return public_bytes(load_key(key_path).public_key()) == describe(load_text(certificate_path)).public_key
