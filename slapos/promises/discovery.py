"""Which promises a partition has."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from enum import StrEnum

from slapos.model.errors import InputError
from slapos.model.text import is_file_name
from slapos.system.below import list_below

PLUGINS = "etc/plugin"
EXECUTABLES = "etc/promise"
_PLUGIN = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,99}\.py")


class Kind(StrEnum):
    """How a promise is run."""

    PLUGIN = "plugin"
    EXECUTABLE = "executable"


@dataclass(frozen=True)
class Promise:
    """A file of a partition.  ``refused``: why it is not run; empty when it is."""

    kind: Kind
    name: str
    path: str
    modified: float = 0.0
    refused: str = ""

    @property
    def title(self) -> str:
        """Name of its result, cache and log files."""
        return os.path.splitext(self.name)[0]


def find_promises(directory: str) -> tuple[Promise, ...]:
    """Plugins, then executables, each sorted by name.

    Refused ones are listed too, with their reason; files that are no promises (``__init__.py``, other suffixes in the
    plugin directory, executables without their bit) are left out.
    """
    found = []
    for name, facts in _names(directory, PLUGINS):
        if name.endswith(".py") and not name.startswith("__init__"):
            found.append(_plugin(directory, name, facts))
    for name, facts in _names(directory, EXECUTABLES):
        if stat.S_ISLNK(facts.st_mode) or (stat.S_ISREG(facts.st_mode) and facts.st_mode & 0o111):
            found.append(_executable(directory, name, facts))
    return tuple(found)


def _names(directory: str, folder: str) -> tuple[tuple[str, os.stat_result], ...]:
    try:
        return list_below(directory, folder)
    except InputError:  # the folder is a link: nothing of it is used
        return ()


def _plugin(directory: str, name: str, facts: os.stat_result) -> Promise:
    path = os.path.join(directory, PLUGINS, name)
    refused = ""
    if not _PLUGIN.fullmatch(name):
        refused = "its name must begin with a letter or underscore and have letters, digits, dot, dash, underscore"
    elif not stat.S_ISREG(facts.st_mode):
        refused = "it is not a regular file"
    return Promise(Kind.PLUGIN, name, path, facts.st_mtime, refused)


def _executable(directory: str, name: str, facts: os.stat_result) -> Promise:
    path = os.path.join(directory, EXECUTABLES, name)
    refused = "" if is_file_name(name) else "its name may have letters, digits, dot, dash, underscore only"
    return Promise(Kind.EXECUTABLE, name, path, facts.st_mtime, refused)
