"""The machine's own apt sources, in both formats, as source archives of Debian.  Pure but for reading files.

Formats: ``sources.list(5)``, "one-line-style" and "deb822-style".
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

CODENAMES = ("bookworm", "trixie")
"""Releases of Debian whose sources are searched, in addition to the machine's own."""

_SUITE = re.compile(r"(?P<codename>[a-z]+)(?P<kind>|-updates|-security)")
_ONE_LINE = re.compile(r"deb(?:-src)?\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<rest>.+)")
_KEPT = ("Signed-By", "Trusted", "Check-Valid-Until", "Allow-Insecure")


@dataclass(frozen=True)
class Archive:
    """One source archive: ``fields`` are the deb822 fields that decide about trust."""

    uri: str
    suite: str
    components: tuple[str, ...]
    fields: tuple[tuple[str, str], ...] = ()

    def as_stanza(self, kind: str = "deb-src") -> str:
        """deb822 text of one kind of packages: ``deb-src`` or ``deb``."""
        fields = [
            ("Types", kind),
            ("URIs", self.uri),
            ("Suites", self.suite),
            ("Components", " ".join(self.components)),
            *self.fields,
        ]
        return "".join(f"{name}: {value}\n" for name, value in fields)


def read_archives(apt_directory: str) -> list[Archive]:
    """All enabled entries below ``/etc/apt`` (or another directory), binary ones too, each suite apart."""
    found: list[Archive] = []
    for path in [os.path.join(apt_directory, "sources.list"), *_parts(apt_directory, "list")]:
        found += [archive for line in _read(path).splitlines() for archive in _one_line(line)]
    for path in _parts(apt_directory, "sources"):
        found += [archive for stanza in _stanzas(_read(path)) for archive in _deb822(stanza)]
    return list(dict.fromkeys(found))


def debian_archives(archives: list[Archive], codename: str) -> list[Archive]:
    """Debian's own archives of one release, derived from those of whichever release the machine runs."""
    found = []
    for archive in archives:
        suite = _SUITE.fullmatch(archive.suite)
        if suite and suite["codename"] in CODENAMES:
            found.append(replace(archive, suite=f"{codename}{suite['kind']}"))
    return list(dict.fromkeys(found))


def codenames(archives: list[Archive]) -> list[str]:
    """Releases to search, the machine's own first."""
    own = [match["codename"] for archive in archives if (match := _SUITE.fullmatch(archive.suite))]
    own = [name for name in dict.fromkeys(own) if name in CODENAMES]
    return [*own, *(name for name in CODENAMES if name not in own)] if own else []


def _parts(apt_directory: str, extension: str) -> list[str]:
    return sorted(glob.glob(os.path.join(glob.escape(apt_directory), "sources.list.d", f"*.{extension}")))


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def _one_line(line: str) -> Iterator[Archive]:
    match = _ONE_LINE.fullmatch(line.partition("#")[0].strip())
    if match is None:
        return
    fields = []
    for option in (match["options"] or "").split():
        name, _, value = option.partition("=")
        kept = next((field for field in _KEPT if field.lower() == name.lower()), None)
        if kept:
            fields.append((kept, value.replace(",", " ")))
    yield Archive(match["uri"], match["suite"], tuple(match["rest"].split()), tuple(fields))


def _stanzas(text: str) -> Iterator[dict[str, str]]:
    """Fields of each stanza; continued lines keep their line breaks (an inline key has many)."""
    for block in re.split(r"\n(?:[ \t]*\n)+", text):
        fields: dict[str, str] = {}
        name = ""
        for line in block.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace() and name:
                fields[name] += "\n" + line
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().title()
                fields[name] = value.strip()
        if fields:
            yield fields


def _deb822(stanza: dict[str, str]) -> Iterator[Archive]:
    if stanza.get("Enabled", "yes").lower() in ("no", "false", "0"):
        return
    fields = tuple((name, stanza[name.title()]) for name in _KEPT if name.title() in stanza)
    for uri in stanza.get("Uris", "").split():
        for suite in stanza.get("Suites", "").split():
            yield Archive(uri, suite, tuple(stanza.get("Components", "").split()), fields)
