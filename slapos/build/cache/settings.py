"""Which caches a node asks and whom it believes, as it is configured and as the options of a profile's run carry it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from slapos.build.cache.signing import PublicKey, Trust, public_keys
from slapos.model.errors import InputError

OPTIONS = ("binary-cache", "binary-cache-keys", "binary-cache-revoked-keys", "binary-cache-signatures")
"""Of ``[buildout]``: URLs; keys that are believed, keys or key ids that are not any more, and how many must sign."""

_KEY_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class CacheSettings:
    """``urls`` in the order in which they are asked; ``keys`` and ``revoked`` as a person writes them: texts
    ``ed25519:…``, absolute paths of files with such lines, for ``revoked`` also key ids."""

    urls: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    revoked: tuple[str, ...] = ()
    signatures: int = 1

    @property
    def trust(self) -> Trust:
        """:class:`InputError` for a key or number that is none."""
        revoked = frozenset(key.id for key in revoked_keys(self.revoked)) | frozenset(_ids(self.revoked))
        return Trust(public_keys(self.keys, "binary-cache-keys"), self.signatures, revoked)

    def as_read(self) -> CacheSettings:
        """The same with the keys in place of files that hold them; :class:`InputError` for what is none."""
        trust = self.trust
        return replace(self, keys=tuple(key.text for key in trust.keys), revoked=tuple(sorted(trust.revoked)))

    def as_options(self) -> dict[str, str]:
        """All of them, also those that are empty: as overrides they win over what a profile says of itself."""
        values = ("\n".join(self.urls), "\n".join(self.keys), "\n".join(self.revoked), str(self.signatures))
        return dict(zip(OPTIONS, values, strict=True))

    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> CacheSettings:
        """The inverse; :class:`InputError` ``invalid-threshold`` for a number that is none."""
        urls, keys, revoked, signatures = (str(options.get(name, "") or "") for name in OPTIONS)
        if signatures and not signatures.isdecimal():
            raise InputError(
                f"binary-cache-signatures: {signatures!r} is not a number.",
                reference="invalid-threshold",
                context={"field": "binary-cache-signatures"},
            )
        return cls(tuple(urls.split()), tuple(keys.split()), tuple(revoked.split()), int(signatures or 1))


def revoked_keys(words: tuple[str, ...]) -> tuple[PublicKey, ...]:
    """Those that are written as keys or files, not as ids."""
    keys = [word for word in words if not _KEY_ID.fullmatch(word)]
    return public_keys(keys, "binary-cache-revoked-keys")


def _ids(words: tuple[str, ...]) -> list[str]:
    return [word for word in words if _KEY_ID.fullmatch(word)]
