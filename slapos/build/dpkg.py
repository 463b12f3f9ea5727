"""What Debian's package manager says about this machine, read from its own files: dpkg is not run.

Source of the formats: ``dpkg-query(1)``, ``deb-control(5)``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

DATABASE = "/var/lib/dpkg"
_FIELD = re.compile(r"^([A-Za-z-]+): (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Package:
    """An installed package.  ``needs``: for each thing that it depends on, the names that would do."""

    name: str
    version: str
    architecture: str
    needs: tuple[tuple[str, ...], ...]
    provides: tuple[str, ...]


def installed(database: str = DATABASE) -> Mapping[str, Package]:
    """By name; empty on a machine without dpkg.  Read again only when the status file changed."""
    status = os.path.join(database, "status")
    try:
        facts = os.stat(status)
    except OSError:
        return {}
    return _read(status, facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=4)
def _read(status: str, mtime: int, size: int) -> Mapping[str, Package]:
    with open(status, encoding="utf-8", errors="replace") as stream:
        paragraphs = stream.read().split("\n\n")
    found = {}
    for paragraph in paragraphs:
        fields = dict(_FIELD.findall(paragraph))
        if fields.get("Status", "").endswith(" installed"):
            found[fields["Package"]] = _package(fields)
    return found


def _package(fields: Mapping[str, str]) -> Package:
    needs = ", ".join(filter(None, (fields.get("Pre-Depends", ""), fields.get("Depends", ""))))
    return Package(
        name=fields["Package"],
        version=fields.get("Version", ""),
        architecture=fields.get("Architecture", ""),
        needs=tuple(tuple(map(_name, item.split("|"))) for item in needs.split(",") if item.strip()),
        provides=tuple(map(_name, filter(str.strip, fields.get("Provides", "").split(",")))),
    )


def _name(text: str) -> str:
    """``libc6:amd64 (>= 2.36)`` → ``libc6``."""
    return text.partition("(")[0].strip().partition(":")[0]


def closure(packages: Mapping[str, Package], names: Iterable[str]) -> frozenset[str]:
    """The installed ones of ``names`` and all that they depend on."""
    provided = {virtual: package.name for package in packages.values() for virtual in package.provides}
    found: set[str] = set()
    todo = [name for name in names if name in packages]
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.add(name)
        for alternatives in packages[name].needs:
            known = (name if name in packages else provided.get(name, "") for name in alternatives)
            todo.extend(filter(None, [next(filter(None, known), "")]))
    return frozenset(found)


def files_of(package: Package, database: str = DATABASE) -> list[str]:
    """The paths that the package owns, directories included, as dpkg lists them."""
    text = _information(package, "list", database)
    return [line for line in text.split("\n") if line not in ("", "/.")]


def md5_sums(package: Package, database: str = DATABASE) -> dict[str, str]:
    """Path (without the leading slash) → MD5 as the package was made; empty for a package that has none."""
    lines = _information(package, "md5sums", database).split("\n")
    return {path: digest for digest, _, path in (line.partition("  ") for line in lines) if path}


def _information(package: Package, kind: str, database: str) -> str:
    for name in (f"{package.name}:{package.architecture}", package.name):
        try:
            with open(os.path.join(database, "info", f"{name}.{kind}"), encoding="utf-8", errors="replace") as stream:
                return stream.read()
        except OSError:
            continue
    return ""
