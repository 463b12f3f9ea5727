"""The first difference of two trees, for people."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from itertools import zip_longest

from slapos.build.store.content import RECORD, walk

_AROUND = 24


@dataclass(frozen=True)
class TreeDifference:
    """``path`` below the trees; ``sentence`` says what is not the same there."""

    path: str
    sentence: str


def first_difference(one: str, other: str) -> TreeDifference | None:
    """By the order of names; times and owners do not count, nor does the record of a stored part."""
    for mine, theirs in zip_longest(_entries(one), _entries(other)):
        if mine is None or theirs is None or mine[0] != theirs[0]:
            names = [entry[0] for entry in (mine, theirs) if entry is not None]
            path = min(names, key=os.fsencode)
            which = "first" if mine is not None and mine[0] == path else "second"
            return TreeDifference(path, f"only the {which} build made it")
        sentence = _entry_difference(os.path.join(one, mine[0]), os.path.join(other, theirs[0]), mine[1], theirs[1])
        if sentence:
            return TreeDifference(mine[0], sentence)
    return None


def _entries(tree: str) -> list[tuple[str, os.stat_result]]:
    return [(os.path.relpath(path, tree), facts) for path, facts in walk(tree) if path != os.path.join(tree, RECORD)]


def _entry_difference(one: str, other: str, mine: os.stat_result, theirs: os.stat_result) -> str:
    if stat.S_IFMT(mine.st_mode) != stat.S_IFMT(theirs.st_mode):
        return "it is not the same kind of file"
    if stat.S_ISLNK(mine.st_mode):
        targets = os.readlink(one), os.readlink(other)
        return "" if targets[0] == targets[1] else f"it leads to {targets[0]}, then to {targets[1]}"
    if mine.st_mode & 0o111 != theirs.st_mode & 0o111:
        return f"its mode is {stat.S_IMODE(mine.st_mode):o}, then {stat.S_IMODE(theirs.st_mode):o}"
    return _bytes_difference(one, other) if stat.S_ISREG(mine.st_mode) else ""


def _bytes_difference(one: str, other: str) -> str:
    with open(one, "rb") as first, open(other, "rb") as second:
        mine, theirs = first.read(), second.read()
    if mine == theirs:
        return ""
    offset = _first_offset(mine, theirs)
    if b"\0" not in mine[:8192]:
        line = mine.count(b"\n", 0, offset) + 1
        return f"line {line} is {_line(mine, offset)!r}, then {_line(theirs, offset)!r}"
    return f"byte {offset} of {len(mine)}: {_shown(mine, offset)!r}, then {_shown(theirs, offset)!r} of {len(theirs)}"


def _first_offset(mine: bytes, theirs: bytes) -> int:
    """Where they begin to differ; the length of the shorter when it is the beginning of the other."""
    low, high = 0, min(len(mine), len(theirs))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if mine[:middle] == theirs[:middle] else (low, middle - 1)
    return low


def _line(data: bytes, offset: int) -> str:
    begin = data.rfind(b"\n", 0, offset) + 1
    end = data.find(b"\n", offset)
    return data[begin : end if end >= 0 else len(data)].decode("utf-8", "backslashreplace")[:160]


def _shown(data: bytes, offset: int) -> str:
    """What can be read around the offset, other bytes as dots."""
    around = data[max(0, offset - _AROUND) : offset + _AROUND]
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in around)
