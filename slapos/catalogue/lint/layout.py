"""Layout, schemas and sizes: each item has what its kind must have, and nothing that nobody names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from slapos.build.locations import path_of
from slapos.catalogue.lint.catalogue import FOLDERS, Catalogue, Profile
from slapos.catalogue.lint.findings import Finding
from slapos.model.errors import HyperopenxError, NotFound
from slapos.schema.release import load

MUST_HAVE = {
    "component": ("buildout.cfg",),
    "stack": ("buildout.cfg",),
    "software": ("software.cfg", "software.cfg.json", "README.rst", "test"),
}
LARGEST_FILE = 256 * 1024
"""Bytes; a patch that is larger is a fork."""
MOST_LINES = 400
"""Of a profile or template."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._+-]*")
_WANTED = {"package.json": "package-lock.json"}
"""What ``slapos lock`` reads → the file that it refreshes with it."""
_DOCUMENTS = ("README", "CHANGES", "LICENSE")


def layout(catalogue: Catalogue) -> Iterator[Finding]:
    """Names, files that must be there, headers, tests."""
    for kind, name, directory in catalogue.items():
        where = catalogue.relative(directory)
        if not _NAME.fullmatch(name):
            yield Finding(
                where, 0, "layout", f"{name!r} is no name of an item: lower case, digits, '.', '_', '+', '-'."
            )
        for file in MUST_HAVE[kind]:
            if not os.path.exists(os.path.join(directory, file)):
                yield Finding(where, 0, "layout", f"there is no {file}.")
    for profile in catalogue.readable:
        if profile.kind == "component":
            yield from _component(catalogue, profile)


def _component(catalogue: Catalogue, profile: Profile) -> Iterator[Finding]:
    where, header, name = catalogue.relative(profile.path), profile.header, profile.name
    if name not in profile.own:
        yield Finding(where, 0, "layout", f"it has no section [{name}], by which releases know it.")
        return
    if header.name.lower() != name:
        yield Finding(where, 1, "layout", f"its first line is not '# {name}: what it is.'")
    if not profile.value(name, "url"):
        return
    if not header.source:
        yield Finding(where, 1, "layout", "its header has no line '# Source: ' with the address of upstream.")
    if not header.licences:
        yield Finding(where, 1, "layout", "its header has no line '# Licence: ', which a bill of materials needs.")
    if not profile.value(name, "version"):
        yield Finding(where, 0, "layout", f"[{name}] has no version, which a bill of materials needs.")
    test = f"test/test_{name.replace('-', '_').replace('.', '_').replace('+', '_')}.py"
    if not os.path.exists(os.path.join(os.path.dirname(profile.path), test)):
        yield Finding(where, 0, "layout", f"there is no {test} that runs what was built.")


def dead_files(catalogue: Catalogue) -> Iterator[Finding]:
    """Files beside a profile that nothing in their item names."""
    for _, _, directory in catalogue.items():
        files = {path: data for path, data in catalogue.files.items() if path.startswith(f"{directory}/")}
        for path in files:
            name = os.path.basename(path)
            if name in {*FOLDERS.values(), "software.cfg.json"} or name.startswith(_DOCUMENTS):
                continue
            names = {name.encode(), name.removesuffix(".in").encode(), _WANTED.get(name, name).encode()}
            texts = (data for other, data in catalogue.files.items() if other != path)
            if not any(wanted in text for text in texts for wanted in names):
                yield Finding(catalogue.relative(path), 0, "dead-files", "nothing names this file.")


def schemas(catalogue: Catalogue) -> Iterator[Finding]:
    """The descriptor of each release, and the schemas that it names."""
    for profile in catalogue.profiles:
        if profile.kind == "software" and os.path.exists(f"{profile.path}.json"):
            where = catalogue.relative(f"{profile.path}.json")
            yield from (Finding(where, 0, "schemas", sentence) for sentence in _schema_problems(profile.path))


def _schema_problems(path: str) -> Iterator[str]:
    try:
        release = load(path, _read)
    except HyperopenxError as error:
        yield error.message
        return
    for kind in release.types:
        yield from release.warnings(kind.software_type, kind.shared)
        try:
            release.validate(kind.software_type, {}, kind.shared)
        except HyperopenxError as error:
            if error.reference != "schema-violation":
                yield error.message
        try:
            release.documents.read(kind.response)
        except HyperopenxError as error:
            yield error.message


def _read(url: str) -> bytes:
    path = path_of(url)
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise NotFound(f"{path}: {error.strerror}.", reference="missing-file", context={"path": path}) from None


def sizes(catalogue: Catalogue) -> Iterator[Finding]:
    """Large files, binary files, long profiles."""
    for path, data in catalogue.files.items():
        where = catalogue.relative(path)
        if len(data) > LARGEST_FILE:
            yield Finding(where, 0, "sizes", f"it has {len(data)} bytes, more than {LARGEST_FILE}: fetch it instead.")
        if b"\0" in data:
            yield Finding(where, 0, "sizes", "it is no text: a catalogue has sources only, fetch it instead.")
        lines = data.count(b"\n")
        if lines > MOST_LINES and path.endswith((".cfg", ".in")):
            yield Finding(where, 0, "sizes", f"it has {lines} lines, more than {MOST_LINES}: split it.")
