"""Reads the field's networkcache: entries signed with RSA and SHA-1, blobs by sha512.

SHA-1 is broken for who can choose what is signed.  So an entry only says where bytes may be found; whether they are
right is decided by the sha256 of the profile.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import logging
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import md5
from threading import get_ident
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1

from slapos.build.cache.http_place import HttpPlace
from slapos.build.cache.places import Bound, read_bytes, read_file
from slapos.model.errors import BuildFailed, HyperopenxError, InputError, NotFound

_log = logging.getLogger(__name__)

_LIST = Bound(4 * 1024**2, 60.0)
_BLOB = Bound(4 * 1024**3)
_SHA512 = re.compile("[0-9a-f]{128}")


@dataclass(frozen=True)
class NetworkCacheSettings:
    """The field's ``download-dir-url``, ``download-cache-url`` and ``signature-certificate-list`` (PEM texts)."""

    dir_url: str
    cache_url: str
    certificates: str

    @property
    def keys(self) -> tuple[RSAPublicKey, ...]:
        """Those of the certificates, whose dates the protocol does not look at; :class:`InputError` for others."""
        try:
            found = [one.public_key() for one in x509.load_pem_x509_certificates(self.certificates.encode())]
        except ValueError as error:
            raise _invalid_certificates(str(error)) from None
        keys = tuple(key for key in found if isinstance(key, RSAPublicKey))
        if len(keys) != len(found):
            raise _invalid_certificates("the protocol knows RSA keys only")
        return keys


class NetworkCache:
    """Finds sources in a networkcache.  ``refusals`` are the errors of what was asked and not taken."""

    def __init__(self, settings: NetworkCacheSettings) -> None:
        self.url = settings.dir_url
        self.refusals: list[HyperopenxError] = []
        self._keys = settings.keys
        self._settings = settings
        self._places: dict[tuple[int, int], tuple[HttpPlace, HttpPlace]] = {}

    def entries(self, key: str) -> list[dict[str, Any]]:
        """What believed keys say under a key; empty when there is nothing."""
        try:
            pairs = json.loads(read_bytes(self._opened()[0], key, _LIST))
        except NotFound:
            return []
        except (ValueError, RecursionError):
            raise InputError(
                f"{self.url} answers with no list for {key}.", reference="invalid-entry", context={"cache": self.url}
            ) from None
        return list(self._believed(pairs))

    def bring_source(self, url: str, digests: Iterable[str], partial: str) -> str | None:
        """Bring what was downloaded from ``url`` to the file ``partial``, when it has one of these sha256; which."""
        wanted = set(digests)
        try:
            for entry in self.entries(file_key(url)):
                found = self._bring(entry["sha512"], partial)
                if found in wanted:
                    return found
                os.unlink(partial)
        except HyperopenxError as error:
            if not isinstance(error, NotFound):
                self.refusals.append(error)
                _log.warning("%s", error.message)
        return None

    def _bring(self, digest: str, partial: str) -> str:
        """The blob; its sha256."""
        temporary = f"{partial}.cached"
        if os.path.exists(temporary):
            os.unlink(temporary)
        read_file(self._opened()[1], digest, temporary, _BLOB)
        with open(temporary, "rb") as stream:
            right = hashlib.file_digest(stream, "sha512").hexdigest() == digest
            stream.seek(0)
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if not right:
            os.unlink(temporary)
            raise BuildFailed(
                f"{self._settings.cache_url} has other bytes than the name {digest[:16]}… says.",
                reference="wrong-checksum",
                context={"cache": self._settings.cache_url, "sha512": digest},
            )
        os.replace(temporary, partial)
        return found

    def _believed(self, pairs: Any) -> Iterable[dict[str, Any]]:
        for pair in pairs if isinstance(pairs, list) else ():
            match pair:
                case [str() as text, str() as signature] if self._is_signed(text, signature):
                    entry = _entry(text)
                    if entry is not None:
                        yield entry

    def _is_signed(self, text: str, signature: str) -> bool:
        try:
            raw = base64.b64decode(signature, validate=True)
        except (binascii.Error, ValueError):
            return False
        return any(_verifies(key, raw, text) for key in self._keys)

    def _opened(self) -> tuple[HttpPlace, HttpPlace]:
        """A connection is shared neither with a forked process nor among threads."""
        key = (os.getpid(), get_ident())
        if key not in self._places:
            self._places[key] = (HttpPlace(self._settings.dir_url), HttpPlace(self._settings.cache_url))
        return self._places[key]


def file_key(url: str) -> str:
    """Under which a file is known that was downloaded from ``url``."""
    return f"file-urlmd5:{md5(url.encode(), usedforsecurity=False).hexdigest()}"


def _verifies(key: RSAPublicKey, signature: bytes, text: str) -> bool:
    try:
        key.verify(signature, text.encode(), PKCS1v15(), SHA1())
    except InvalidSignature:
        return False
    return True


def _entry(text: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or not isinstance(entry.get("sha512"), str):
        return None
    return entry if _SHA512.fullmatch(entry["sha512"]) else None


def _invalid_certificates(why: str) -> InputError:
    return InputError(
        f"networkcache-certificates: no certificates can be read from it: {why}.",
        reference="invalid-certificate",
        context={"field": "networkcache-certificates"},
        hint="Give PEM certificates, one after another, as in signature-certificate-list.",
    )
