"""Where programs and libraries say that others lie: the run path and the interpreter of an ELF file.

Source: the "System V Application Binary Interface", chapters 4 and 5.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

MAGIC = b"\x7fELF"
_LOAD, _DYNAMIC, _INTERPRETER = 1, 2, 3
_STRINGS, _RPATH, _RUNPATH = 5, 15, 29


@dataclass(frozen=True)
class RunPaths:
    """``old_kind`` tells an ``RPATH`` from a ``RUNPATH``; empty bytes where there is none."""

    run_path: bytes = b""
    interpreter: bytes = b""
    old_kind: bool = False


@dataclass(frozen=True)
class _Segment:
    kind: int
    offset: int
    address: int
    size: int


def run_paths(data: bytes) -> RunPaths:
    """Of an ELF file; nothing found where it is not linked dynamically, or damaged."""
    if data[:4] != MAGIC or data[4:5] not in (b"\1", b"\2") or data[5:6] not in (b"\1", b"\2"):
        return RunPaths()
    try:
        return _read(data)
    except (struct.error, IndexError, ValueError, OverflowError):
        return RunPaths()


def _read(data: bytes) -> RunPaths:
    order = "<" if data[5] == 1 else ">"
    wide = data[4] == 2
    segments = _segments(data, order, wide)
    interpreter = next((_text(data, found.offset) for found in segments if found.kind == _INTERPRETER), b"")
    tags = _dynamic(data, segments, order, wide)
    kind = _RUNPATH if _RUNPATH in tags else _RPATH
    if kind not in tags:
        return RunPaths(interpreter=interpreter)
    strings = _offset(segments, tags[_STRINGS])
    return RunPaths(_text(data, strings + tags[kind]), interpreter, kind == _RPATH)


def _segments(data: bytes, order: str, wide: bool) -> list[_Segment]:
    if wide:
        (start,) = struct.unpack_from(f"{order}Q", data, 0x20)
        size, number = struct.unpack_from(f"{order}HH", data, 0x36)
        rows = [struct.unpack_from(f"{order}IIQQQQ", data, start + size * index) for index in range(number)]
        return [_Segment(row[0], row[2], row[3], row[5]) for row in rows]
    (start,) = struct.unpack_from(f"{order}I", data, 0x1C)
    size, number = struct.unpack_from(f"{order}HH", data, 0x2A)
    rows = [struct.unpack_from(f"{order}IIIII", data, start + size * index) for index in range(number)]
    return [_Segment(row[0], row[1], row[2], row[4]) for row in rows]


def _dynamic(data: bytes, segments: list[_Segment], order: str, wide: bool) -> dict[int, int]:
    form = f"{order}{'QQ' if wide else 'II'}"
    tags: dict[int, int] = {}
    for segment in segments:
        if segment.kind == _DYNAMIC:
            for tag, value in struct.iter_unpack(form, data[segment.offset : segment.offset + segment.size]):
                if tag == 0:
                    break
                tags[tag] = value
    return tags


def _offset(segments: list[_Segment], address: int) -> int:
    for segment in segments:
        if segment.kind == _LOAD and segment.address <= address < segment.address + segment.size:
            return segment.offset + address - segment.address
    raise ValueError(address)


def _text(data: bytes, start: int) -> bytes:
    return data[start : data.index(b"\0", start)]
