"""How the files of a part name the places where it and other parts lie: what a move to another place has to change."""

from __future__ import annotations

import mmap
import os
import re
import stat
from collections.abc import Iterable, Mapping

from slapos.build.cache.elf import MAGIC, run_paths
from slapos.build.store.content import RECORD, walk

LINK, TEXT, RUN_PATH, COMPILED, BYTECODE, OTHER = "link", "text", "run-path", "compiled", "bytecode", "other"
"""Kinds: a link's target; plain text; only the run path or interpreter of an ELF file; compiled into one, or into a
library of object files; Python bytecode beside its source; any other format."""

_OBJECTS = b"!<arch>\n"


def named_paths(tree: str, locations: Iterable[str]) -> Mapping[str, str]:
    """File → kind, for each file or link below ``tree`` that names one of ``locations`` (absolute paths)."""
    pattern = re.compile(b"|".join(re.escape(os.fsencode(location)) for location in locations))
    found: dict[str, str] = {}
    for path, facts in walk(tree):
        name = os.path.relpath(path, tree)
        if name == RECORD:
            continue
        if stat.S_ISLNK(facts.st_mode) and pattern.search(os.fsencode(os.readlink(path))):
            found[name] = LINK
        elif stat.S_ISREG(facts.st_mode) and facts.st_size:
            with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
                if pattern.search(data):
                    found[name] = kind_of(name, bytes(data), pattern)
    return found


def kind_of(name: str, data: bytes, pattern: re.Pattern[bytes]) -> str:
    """How the file ``name`` with these bytes names what the pattern finds."""
    if data.startswith(MAGIC):
        paths = run_paths(data)
        known = len(pattern.findall(paths.run_path)) + len(pattern.findall(paths.interpreter))
        return RUN_PATH if known == len(pattern.findall(data)) else COMPILED
    if name.endswith(".pyc") and os.path.basename(os.path.dirname(name)) == "__pycache__":
        return BYTECODE
    if data.startswith(_OBJECTS):
        return COMPILED
    return OTHER if b"\0" in data else TEXT


def source_of(bytecode: str) -> str:
    """``lib/__pycache__/a.cpython-313.pyc`` → ``lib/a.py``."""
    directory, name = os.path.split(bytecode)
    return os.path.join(os.path.dirname(directory), name.split(".")[0] + ".py")
