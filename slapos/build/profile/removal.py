"""Removes what old versions of parts left, once a whole run has succeeded."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable

from slapos.system.removal import remove_tree

_log = logging.getLogger(__name__)


def remove_stale(stale: Iterable[str], current: set[str], directory: str) -> None:
    """Remove each path of ``stale`` but what parts own now (``current``) and the directories in which that lies.

    ``directory``, in which the profile runs, and what it lies in are never removed.
    """
    owned = {os.path.normpath(path) for path in current}
    for path in map(os.path.normpath, stale):
        if path == directory or directory.startswith(f"{path.rstrip('/')}/"):
            _log.warning("%s belongs to no part alone: it stays.", path)
        else:
            _remove(path, owned)


def _remove(path: str, owned: set[str]) -> None:
    if any(path == own or path.startswith(f"{own}/") for own in owned):
        return
    if not any(own.startswith(f"{path}/") for own in owned):
        _log.info("Removing %s", path)
        remove_tree(path)
    elif os.path.isdir(path) and not os.path.islink(path):
        for name in os.listdir(path):
            _remove(os.path.join(path, name), owned)
