"""Where things lie in a binary cache: four kinds of names, and no others.

``parts/<part>/<digest>/manifest.json`` says what a part is, ``parts/<part>/<digest>/<key id>.sig`` who says so,
``archives/<sha256>.tar.zst`` holds its bytes and ``sources/<sha256>`` the bytes of a source.
"""

from __future__ import annotations

import re

from slapos.build.store.store import checked_digest, checked_name
from slapos.model.errors import InputError

_PART = r"parts/[A-Za-z0-9_][A-Za-z0-9._-]*/[0-9a-f]{32}"
_SHAPES = re.compile(
    rf"{_PART}/manifest\.json|{_PART}/[0-9a-f]{{32}}\.sig|archives/[0-9a-f]{{64}}\.tar\.zst|sources/[0-9a-f]{{64}}"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")


def manifest_path(part: str, digest: str) -> str:
    """The manifest of a part; :class:`InputError` for what is no name or no digest."""
    return f"parts/{checked_name(part)}/{checked_digest(digest)}/manifest.json"


def signature_path(part: str, digest: str, key: str) -> str:
    """The signature of its manifest by the key with this id."""
    return f"parts/{checked_name(part)}/{checked_digest(digest)}/{key}.sig"


def archive_path(sha256: str) -> str:
    """An archive, by the digest of its bytes."""
    return f"archives/{_checked(sha256)}.tar.zst"


def source_path(sha256: str) -> str:
    """A source, by the digest of its bytes."""
    return f"sources/{_checked(sha256)}"


def is_cache_path(path: str) -> bool:
    """Whether a cache can hold something of this name."""
    return _SHAPES.fullmatch(path) is not None


def digest_in(path: str) -> str:
    """The sha256 that the bytes at ``path`` must have; empty where the name does not say it."""
    folder, _, name = path.partition("/")
    return name.removesuffix(".tar.zst") if folder in ("archives", "sources") else ""


def _checked(sha256: str) -> str:
    if not _SHA256.fullmatch(sha256):
        raise InputError(
            f"{sha256[:100]!r} is no sha256.", reference="invalid-digest", context={"digest": sha256[:200]}
        )
    return sha256
