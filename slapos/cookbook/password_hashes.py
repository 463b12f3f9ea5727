"""Hashes of passwords as servers store them: sha256-crypt and sha512-crypt (Drepper's specification), salted SHA-1 of
LDAP, and the plain forms of LDAP and HTTP.

Written here because Python no longer has ``crypt``, and what replaces it hashes in ways that the servers of the field
do not read.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping

ROUNDS = 5000  # the default of the specification, which is left out of the text
_LETTERS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SALT = 16

# The order in which the specification takes bytes of the digest, three by three.
_ORDER_256 = (
    "0 10 20 21 1 11 12 22 2 3 13 23 24 4 14 15 25 5 6 16 26 27 7 17 18 28 8 9 19 29",
    "31 30",
)
_ORDER_512 = (
    "0 21 42 22 43 1 44 2 23 3 24 45 25 46 4 47 5 26 6 27 48 28 49 7 50 8 29 9 30 51 31 52 10 53 11 32 12 33 54 34 55 "
    "13 56 14 35 15 36 57 37 58 16 59 17 38 18 39 60 40 61 19 62 20 41",
    "63",
)


def sha256_crypt(password: str, salt: str = "") -> str:
    """``$5$<salt>$<digest>``."""
    return _sha_crypt("5", hashlib.sha256, _ORDER_256, password, salt)


def sha512_crypt(password: str, salt: str = "") -> str:
    """``$6$<salt>$<digest>``."""
    return _sha_crypt("6", hashlib.sha512, _ORDER_512, password, salt)


def ldap_salted_sha1(password: str, salt: bytes = b"") -> str:
    """``{SSHA}<base64 of digest and salt>``."""
    salt = salt or secrets.token_bytes(8)
    digest = hashlib.sha1(password.encode() + salt, usedforsecurity=False).digest()
    return "{SSHA}" + base64.b64encode(digest + salt).decode()


def ldap_sha1(password: str) -> str:
    """``{SHA}<base64 of the digest>``, which htpasswd files take too."""
    digest = hashlib.sha1(password.encode(), usedforsecurity=False).digest()
    return "{SHA}" + base64.b64encode(digest).decode()


SCHEMES: Mapping[str, Callable[[str], str]] = {
    "sha256-crypt": sha256_crypt,
    "sha512-crypt": sha512_crypt,
    "ldap-salted-sha1": ldap_salted_sha1,
    "ldap-sha1": ldap_sha1,
}


def _sha_crypt(
    kind: str, algorithm: Callable[[bytes], hashlib._Hash], order: tuple[str, str], password: str, salt: str
) -> str:
    salt = (salt or "".join(secrets.choice(_LETTERS) for _ in range(_SALT)))[:_SALT]
    secret, salted = password.encode(), salt.encode()
    digest = algorithm(secret + salted + _mixed(algorithm, secret, salted)).digest()
    p = _repeated(algorithm(secret * len(secret)).digest(), len(secret))
    s = _repeated(algorithm(salted * (16 + digest[0])).digest(), len(salted))
    for index in range(ROUNDS):
        text = p if index % 2 else digest
        text += s if index % 3 else b""
        text += p if index % 7 else b""
        text += digest if index % 2 else p
        digest = algorithm(text).digest()
    return f"${kind}${salt}${_written(digest, order)}"


def _mixed(algorithm: Callable[[bytes], hashlib._Hash], secret: bytes, salted: bytes) -> bytes:
    """What the specification appends in its steps 9 to 12."""
    digest = algorithm(secret + salted + secret).digest()
    result = _repeated(digest, len(secret))
    length = len(secret)
    while length:
        result += digest if length & 1 else secret
        length >>= 1
    return result


def _repeated(digest: bytes, length: int) -> bytes:
    return (digest * (length // len(digest) + 1))[:length]


def _written(digest: bytes, order: tuple[str, str]) -> str:
    """Base 64 of the specification: groups of three bytes, low bits first; the last group is shorter."""
    indexes = list(map(int, order[0].split()))
    groups = [indexes[index : index + 3] for index in range(0, len(indexes), 3)]
    last = list(map(int, order[1].split()))
    text = ""
    for group, count in (*((group, 4) for group in groups), (last, len(last) + 1)):
        value = int.from_bytes(bytes(digest[index] for index in group))
        for _ in range(count):
            text += _LETTERS[value & 63]
            value >>= 6
    return text
