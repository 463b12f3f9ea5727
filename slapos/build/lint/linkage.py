"""What the programs and libraries of a built part are linked to: our parts and libc, nothing else.

A file that found a library of the machine when it was built runs until somebody upgrades or removes that library, and
another machine may not have it.  The dynamic section says what the loader will look for, and where (System V ABI,
"Dynamic Linking"; ``ld.so(8)``); ``readelf`` of binutils reads it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from slapos.model.errors import MachineError
from slapos.system.processes import run

LIBC = frozenset(
    {
        "libBrokenLocale.so.1",
        "libanl.so.1",
        "libc.so.6",
        "libdl.so.2",
        "libm.so.6",
        "libmvec.so.1",
        "libpthread.so.0",
        "libresolv.so.2",
        "librt.so.1",
        "libthread_db.so.1",
        "libutil.so.1",
    }
)
"""The libraries of glibc; its loader is ``ld-linux*.so.*``."""

_LOADER = re.compile(r"ld(64|-linux[a-z0-9_-]*)\.so\.\d+")
_FILE = re.compile(r"^File: (.*)$")
_DYNAMIC = re.compile(r"^ 0x[0-9a-f]+ \((NEEDED|RPATH|RUNPATH)\).*\[(.*)\]$")
_INTERPRETER = re.compile(r"^\s*\[Requesting program interpreter: (.*)\]$")
READELF = "readelf"
_AT_ONCE = 100  # files of one call of readelf


@dataclass(frozen=True)
class Linked:
    """What one ELF file asks of the loader: library names, directories to search, the loader itself ("" for none)."""

    path: str
    needed: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    interpreter: str = ""


@dataclass(frozen=True)
class WrongLink:
    """The file ``path`` depends on something that is neither a part nor libc."""

    path: str
    library: str
    sentence: str


def wrong_links(location: str, parts: Iterable[str]) -> list[WrongLink]:
    """All wrong links of the part at ``location``, which may use itself and the ``parts`` at these locations.

    :class:`MachineError` ``missing-tool`` when the machine has no ``readelf``.
    """
    allowed = [os.path.realpath(part) for part in (location, *parts)]
    return [wrong for linked in read_links(elf_files(location)) for wrong in judge(linked, allowed)]


def judge(linked: Linked, allowed: Sequence[str]) -> Iterator[WrongLink]:
    """What is wrong with one file, when only files below the ``allowed`` real paths and libc may be used."""
    for directory in linked.search:
        if not os.path.isabs(directory) or not _below(os.path.realpath(directory), allowed):
            yield WrongLink(
                linked.path, directory, f"{linked.path} searches {directory!r}, which is in no part it uses."
            )
    if linked.interpreter and not _LOADER.fullmatch(os.path.basename(linked.interpreter)):
        sentence = f"{linked.path} is started by {linked.interpreter}, which is not libc's loader."
        yield WrongLink(linked.path, linked.interpreter, sentence)
    for library in linked.needed:
        place = _place(library, linked.search)
        if place and not _below(os.path.realpath(place), allowed):
            yield WrongLink(linked.path, library, f"{linked.path} uses {place}, which is in no part it uses.")
        elif not place and not _is_libc(library):
            sentence = f"{linked.path} takes {library} from the machine: its run path leads to no such library."
            yield WrongLink(linked.path, library, sentence)


def _place(library: str, search: Sequence[str]) -> str:
    """Where the loader finds the library by the run path; "" when it goes on to the machine's."""
    if "/" in library:
        return library
    places = (os.path.join(directory, library) for directory in search if os.path.isabs(directory))
    return next(filter(os.path.exists, places), "")


def _is_libc(library: str) -> bool:
    return library in LIBC or _LOADER.fullmatch(library) is not None


def _below(path: str, directories: Iterable[str]) -> bool:
    return any(path == directory or path.startswith(f"{directory}/") for directory in directories)


def elf_files(location: str) -> Iterator[str]:
    """The ELF files below a directory, sorted; symbolic links are left out, their targets count."""
    for directory, folders, files in os.walk(location):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(directory, name)
            if not os.path.islink(path) and os.path.isfile(path) and _magic(path) == b"\x7fELF":
                yield path


def _magic(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read(4)


def read_links(paths: Iterable[str]) -> list[Linked]:
    """What each of these ELF files asks of the loader, ``$ORIGIN`` resolved."""
    waiting = list(paths)
    found: list[Linked] = []
    while waiting:
        now, waiting = waiting[:_AT_ONCE], waiting[_AT_ONCE:]
        found += parse_readelf(_readelf(now))
    return found


def _readelf(paths: Sequence[str]) -> str:
    command = [READELF, "--wide", "--dynamic", "--program-headers", *paths]
    try:
        done = run(command, timeout=300.0, output_limit=64 * 1024 * 1024)
    except MachineError as error:
        raise MachineError(
            "readelf cannot be started, which tells what programs are linked to.",
            reference="missing-tool",
            context={"tool": "readelf"},
            hint="Install the package binutils.",
        ) from error
    return done.text if len(paths) > 1 else f"File: {paths[0]}\n{done.text}"


def parse_readelf(text: str) -> list[Linked]:
    """What ``readelf --wide --dynamic --program-headers`` says about several files."""
    found: list[Linked] = []
    path, interpreter = "", ""
    needed: list[str] = []
    search: list[str] = []
    for line in [*text.splitlines(), "File: "]:
        if match := _FILE.match(line):
            if path:
                found.append(Linked(path, tuple(needed), tuple(search), interpreter))
            path, needed, search, interpreter = match[1], [], [], ""
        elif match := _INTERPRETER.match(line):
            interpreter = match[1]
        elif match := _DYNAMIC.match(line):
            if match[1] == "NEEDED":
                needed.append(match[2])
            else:
                search += [_origin(directory, path) for directory in match[2].split(":")]
    return found


def _origin(directory: str, path: str) -> str:
    origin = os.path.dirname(path)
    return directory.replace("${ORIGIN}", origin).replace("$ORIGIN", origin)
