"""What a server of the field's networkcache keeps: blobs by sha512, and lists of signed entries by key.

The list of a key is the JSON text that readers get: pairs of an entry (JSON text) and a signature.  Whether a signature
is right is for readers to say, who know whom they believe.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from typing import Any
from urllib.parse import quote

from slapos.model.errors import InputError
from slapos.system.files import atomic_write, read_json
from slapos.system.locks import locked

_SHA512 = re.compile("[0-9a-f]{128}")
_ENTRIES = 100
_PATIENCE = 30.0


class NetworkCacheFiles:
    """Below ``directory``: ``cache/<sha512>`` and ``dir/<key>``."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def blob(self, digest: str) -> str:
        """Where a blob lies; a name that is none lies nowhere."""
        return os.path.join(self.directory, "cache", digest if _SHA512.fullmatch(digest) else "none")

    def listing(self, key: str) -> str:
        """Where the list of a key lies; :class:`InputError` ``invalid-key`` for what is no key."""
        name = quote(key, safe=":=+@ ")
        if not 0 < len(name) <= 200 or name.startswith("."):
            raise InputError(f"{key[:100]!r} is no key.", reference="invalid-key", context={"key": key[:200]})
        return os.path.join(self.directory, "dir", name)

    def keep(self, path: str, digest: str) -> None:
        """Keep a copy of the file ``path`` as a blob."""
        target = self.blob(digest)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if not os.path.exists(target):
            temporary = f"{target}.{os.getpid()}.{os.path.basename(path)}"
            shutil.copyfile(path, temporary)
            os.chmod(temporary, 0o644)
            os.replace(temporary, target)

    def add(self, key: str, data: bytes) -> None:
        """Add a pair (JSON) to a list; a pair that is there is not added again, the oldest give way.

        :class:`InputError` ``invalid-entry`` for what is none.
        """
        pair = _pair(data)
        path = self.listing(key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with locked(os.path.join(self.directory, ".lock"), _PATIENCE, "The list of the cache"):
            pairs = [found for found in read_json(path, []) if found != pair]
            atomic_write(path, json.dumps([*pairs, pair][-_ENTRIES:]))


def _pair(data: bytes) -> list[str]:
    try:
        found: Any = json.loads(data)
        entry, signature = found
        wanted = json.loads(entry)["sha512"]
        if isinstance(signature, str) and isinstance(wanted, str) and _SHA512.fullmatch(wanted):
            return [entry, signature]
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise InputError(
        "The entry is none: a pair of a JSON text that names a sha512, and a signature, is expected.",
        reference="invalid-entry",
    )
