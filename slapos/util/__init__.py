"""Small functions that recipes and promise plugins of the field import from here."""

from __future__ import annotations

import os
import socket

__all__ = ["binFromIpv6", "bytes2str", "ipv6FromBin", "mkdir_p", "str2bytes", "string_to_boolean"]


def str2bytes(text: str | bytes) -> bytes:
    """UTF-8."""
    return text if isinstance(text, bytes) else text.encode()


def bytes2str(data: bytes | str) -> str:
    """UTF-8."""
    return data if isinstance(data, str) else data.decode()


def mkdir_p(path: str, mode: int = 0o700) -> None:
    """Make a directory and what it lies in."""
    os.makedirs(path, mode, exist_ok=True)


def string_to_boolean(string: str) -> bool:
    """``true`` or ``false`` in any case; ``ValueError``."""
    return bool(("false", "true").index(string.lower()))


def binFromIpv6(ip: str) -> str:
    """The 128 digits of an address in base 2."""
    return f"{int.from_bytes(socket.inet_pton(socket.AF_INET6, ip), 'big'):0128b}"


def ipv6FromBin(ip: str, suffix: str = "") -> str:
    """The address whose digits in base 2 begin with ``ip`` and end with ``suffix``, zeros between."""
    rest = 128 - len(ip) - len(suffix)
    if rest < 0:
        raise ValueError("Prefix exceeds 128 bits")
    return socket.inet_ntop(socket.AF_INET6, int(ip + "0" * rest + suffix, 2).to_bytes(16, "big"))
