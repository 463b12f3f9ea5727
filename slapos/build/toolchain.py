"""The compiler, linker, make and headers of this machine, exactly: they are part of what a store part is made from.

On a machine with dpkg these are versions of packages; elsewhere what the programs say of themselves.  The headers of
Linux are named by what they contain, not by their version: Debian raises it with each security update of the kernel,
nearly always without a change in what programs are compiled from, and every part would be built again.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections.abc import Mapping
from functools import lru_cache

from slapos.build import dpkg
from slapos.model.errors import MachineError
from slapos.system.processes import run

PROGRAMS = ("gcc", "g++", "cpp", "ld", "as", "make")
"""What is looked for in :data:`SEARCH`; ``ld`` and ``as`` are ``binutils`` together."""

SEARCH = ("/usr/bin", "/bin")
"""Where builds find the programs of the machine.  ``/usr/local`` is nobody's to describe, and not there."""

_PACKAGE = re.compile(r"(gcc|g\+\+|cpp)-\d+$")
_LINUX = "usr/include/"
_CHANGES_ALWAYS = "usr/include/linux/version.h"


def host_toolchain(packages: tuple[str, ...] = (), root: str = "/") -> Mapping[str, str]:
    """``{"gcc": "12.2.0-14", …}`` for ``machine gcc g++ cpp binutils make libc linux-headers``, without what is absent.

    ``packages``: further packages of Debian whose versions count.  ``root``: where the machine's file system begins
    (tests).  Cheap: read again only when a program, a header or dpkg's database changed.
    """
    installed = dpkg.installed(os.path.join(root, dpkg.DATABASE.lstrip("/")))
    named = {name: installed[name].version for name in packages if name in installed}
    return {**_toolchain(root, _stamps(root)), **named}


def _stamps(root: str) -> tuple[tuple[str, int, int], ...]:
    """Path, time and size of the files that a change of the toolchain changes."""
    paths = [path for program in PROGRAMS if (path := program_path(program, root))]
    paths += [os.path.join(root, dpkg.DATABASE.lstrip("/"), "status"), os.path.join(root, _CHANGES_ALWAYS)]
    stamps = []
    for path in paths:
        try:
            facts = os.stat(path)
        except OSError:
            continue
        stamps.append((path, facts.st_mtime_ns, facts.st_size))
    return tuple(stamps)


def program_path(name: str, root: str = "/") -> str:
    """The real file of a program of the machine; empty when there is none."""
    for directory in SEARCH:
        path = os.path.realpath(os.path.join(root, directory.lstrip("/"), name))
        if os.path.isfile(path):
            return path
    return ""


@lru_cache(maxsize=4)
def _toolchain(root: str, stamps: tuple[tuple[str, int, int], ...]) -> Mapping[str, str]:
    database = os.path.join(root, dpkg.DATABASE.lstrip("/"))
    packages = dpkg.installed(database)
    found = {"machine": platform.machine()}
    for program in ("gcc", "g++", "cpp"):
        found[program] = _compiler(program, root, packages)
    found["binutils"] = _version("binutils", "ld", root, packages)
    found["make"] = _version("make", "make", root, packages)
    found["libc"] = packages["libc6-dev"].version if "libc6-dev" in packages else _libc()
    found["linux-headers"] = _linux_headers(root, database, packages)
    return {name: version for name, version in found.items() if version}


def _compiler(program: str, root: str, packages: Mapping[str, dpkg.Package]) -> str:
    """``/usr/bin/g++`` → ``/usr/bin/x86_64-linux-gnu-g++-12`` → the version of the package ``g++-12``."""
    named = _PACKAGE.search(program_path(program, root))
    return _version(named[0] if named else "", program, root, packages)


def _version(package: str, program: str, root: str, packages: Mapping[str, dpkg.Package]) -> str:
    path = program_path(program, root)
    if not path:
        return ""
    if package in packages:
        return packages[package].version
    try:
        done = run([path, "--version"], timeout=20)
    except MachineError:
        return ""
    return done.text.partition("\n")[0].strip()


def _libc() -> str:
    name, version = platform.libc_ver()
    return f"{name} {version}".strip()


def _linux_headers(root: str, database: str, packages: Mapping[str, dpkg.Package]) -> str:
    """``<digest of the headers>``: from the package's own list of digests, else from the files."""
    if "linux-libc-dev" in packages:
        sums = dpkg.md5_sums(packages["linux-libc-dev"], database)
    else:
        sums = _digests(root, ("usr/include/linux", "usr/include/asm", "usr/include/asm-generic"))
    lines = [f"{path} {sums[path]}\n" for path in sorted(sums) if path.startswith(_LINUX) and path != _CHANGES_ALWAYS]
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16] if lines else ""


def _digests(root: str, directories: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for directory in directories:
        for place, _, names in os.walk(os.path.join(root, directory)):
            for name in names:
                path = os.path.join(place, name)
                with open(path, "rb") as stream:
                    found[os.path.relpath(path, root)] = hashlib.file_digest(stream, "md5").hexdigest()
    return found
