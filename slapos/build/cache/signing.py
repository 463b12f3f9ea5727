"""Who vouches for what a cache holds: Ed25519 keys, signatures of manifests, and which keys a node believes.

A public key is written ``ed25519:<base64>``; its id is the first 32 hexadecimal digits of the sha256 of its 32 bytes.
What is signed is a line that says what it is for, then the bytes of the manifest as they are.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from slapos.model.errors import InputError, Refused
from slapos.system.files import atomic_write, read_file

_PREFIX = "ed25519:"
_PURPOSE = b"hyperopenx binary cache manifest 1\n"
_SIGNATURE_BYTES = 64
_ID_LENGTH = 32
_KEY_FILE_LIMIT = 1024 * 1024  # bytes


@dataclass(frozen=True)
class PublicKey:
    """The 32 bytes of an Ed25519 public key."""

    raw: bytes

    @property
    def id(self) -> str:
        """32 hexadecimal digits."""
        return hashlib.sha256(self.raw).hexdigest()[:_ID_LENGTH]

    @property
    def text(self) -> str:
        """``ed25519:<base64>``."""
        return _PREFIX + base64.b64encode(self.raw).decode()

    def verifies(self, signature: bytes, manifest: bytes) -> bool:
        """Whether ``signature`` (64 bytes) is this key's for ``manifest``."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, _PURPOSE + manifest)
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """A private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key().public_bytes_raw())

    @classmethod
    def new(cls) -> SigningKey:
        """A fresh key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: str) -> SigningKey:
        """The key in a PEM file; :class:`InputError` ``invalid-key``, :class:`MachineError` ``file-unreadable``."""
        try:
            key = serialization.load_pem_private_key(read_file(path, _KEY_FILE_LIMIT), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise InputError(
                f"{path} holds no Ed25519 private key.",
                reference="invalid-key",
                context={"path": path},
                hint="Make one with `slapos cache keygen`.",
            )
        return cls(key)

    def save(self, path: str) -> None:
        """Write the key as PEM with mode 0600; a file that is there is never replaced (``InputError`` ``exists``)."""
        if os.path.lexists(path):
            raise InputError(
                f"{path} exists; a key that signed something is not replaced.",
                reference="exists",
                context={"path": path},
                hint="Choose another name, or remove the file.",
            )
        atomic_write(path, self.pem(), 0o600)

    def pem(self) -> bytes:
        """PKCS#8, not encrypted: its file is what protects it."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def sign(self, manifest: bytes) -> bytes:
        """64 bytes."""
        return self._key.sign(_PURPOSE + manifest)


def public_key(text: str, field: str = "key") -> PublicKey:
    """The key that a text says; :class:`InputError` ``invalid-key`` names ``field``."""
    try:
        raw = base64.b64decode(text.removeprefix(_PREFIX), validate=True) if text.startswith(_PREFIX) else b""
    except binascii.Error:
        raw = b""
    if len(raw) != 32:
        raise InputError(
            f"{field}: {text[:100]!r} is no public key.",
            reference="invalid-key",
            context={"field": field, "value": text[:200]},
            hint="It looks like ed25519:<44 characters>; `slapos cache keygen` prints it.",
        )
    return PublicKey(raw)


def public_keys(words: Iterable[str], field: str = "keys") -> tuple[PublicKey, ...]:
    """The keys of texts, and of files (absolute paths) that hold one per line, ``#`` begins a comment."""
    found: dict[PublicKey, None] = {}
    for word in words:
        if not word.startswith("/"):
            found[public_key(word, field)] = None
            continue
        for line in read_file(word, _KEY_FILE_LIMIT).decode("utf-8", "replace").splitlines():
            text = line.partition("#")[0].split()
            if text:
                found[public_key(text[0], word)] = None
    return tuple(found)


def signature_text(signature: bytes) -> bytes:
    """How a signature is kept in a cache: base64, one line."""
    return base64.b64encode(signature) + b"\n"


def read_signature(text: bytes) -> bytes | None:
    """The 64 bytes; None for what is no signature."""
    try:
        signature = base64.b64decode(text.removesuffix(b"\n"), validate=True)
    except binascii.Error:
        return None
    return signature if len(signature) == _SIGNATURE_BYTES and signature_text(signature) == text else None


@dataclass(frozen=True)
class Trust:
    """Believes a manifest that ``threshold`` of ``keys`` signed; ids in ``revoked`` count for nothing."""

    keys: tuple[PublicKey, ...]
    threshold: int = 1
    revoked: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.threshold < 1:
            raise InputError(
                f"The number of signatures that are asked for must be at least 1, not {self.threshold}.",
                reference="invalid-threshold",
                context={"field": "cache_signatures"},
            )

    @property
    def believed(self) -> tuple[PublicKey, ...]:
        """The keys that count."""
        return tuple(key for key in dict.fromkeys(self.keys) if key.id not in self.revoked)

    def check(self, manifest: bytes, signatures: Mapping[str, bytes], what: str) -> tuple[str, ...]:
        """The ids of those that signed; ``signatures``: key id → content of its file.

        :class:`Refused` ``not-trusted`` when they are fewer than the threshold; ``what`` names the entry.
        """
        verdicts = {key.id: self._verdict(key, manifest, signatures.get(key.id)) for key in self.believed}
        good = tuple(key for key, verdict in verdicts.items() if not verdict)
        if len(good) >= self.threshold:
            return good
        verdicts |= {key: "it is revoked" for key in signatures if key in self.revoked}
        why = [f"{key[:8]}: {verdict}" for key, verdict in verdicts.items() if verdict]
        raise Refused(
            f"{what} is not believed: {_count(len(good), 'good signature')} of {self.threshold} that are asked for"
            f" ({'; '.join(why) or 'no key is trusted'}).",
            reference="not-trusted",
            context={"entry": what, "good": list(good), "asked": self.threshold, "reasons": why},
            hint="Nothing of it was kept; the part is built here instead.",
        )

    @staticmethod
    def _verdict(key: PublicKey, manifest: bytes, text: bytes | None) -> str:
        if text is None:
            return "did not sign it"
        signature = read_signature(text)
        if signature is None:
            return "its signature is none"
        return "" if key.verifies(signature, manifest) else "its signature is of other bytes"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
