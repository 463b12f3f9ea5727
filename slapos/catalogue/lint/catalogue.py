"""A catalogue on the disk: ``component/``, ``stack/`` and ``software/``, read once for all checks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from slapos.build.fetch.profiles import ProfileReader
from slapos.build.profile.load import Loaded, load
from slapos.build.profile.reader import Section, Sections, Step, final_text, parse
from slapos.catalogue.header import Header, read_header
from slapos.model.errors import HyperopenxError, InputError

FOLDERS = {"component": "buildout.cfg", "stack": "buildout.cfg", "software": "software.cfg"}
"""Folder of a catalogue → what the profile of each of its items is called."""

_SKIPPED = frozenset({"test", "__pycache__"})


@dataclass
class Profile:
    """One item's profile.  ``own`` are the sections that it writes itself, ``loaded`` with all that it extends.

    ``problem``: why it cannot be read; nothing else is known then.
    """

    path: str
    kind: str
    name: str
    text: str = ""
    own: Sections = field(default_factory=dict)
    loaded: Loaded = field(default_factory=Loaded)
    problem: HyperopenxError | None = None

    @property
    def header(self) -> Header:
        return read_header(self.text)

    def flattened(self, section: str) -> dict[str, Step]:
        """Option → last step, with what the section inherits by ``<=``."""
        return {option: steps[-1] for option, steps in self._flat(section, ()).items() if steps}

    def value(self, section: str, option: str) -> str:
        """The text of an option as it stands, not evaluated; empty when there is none."""
        return final_text(self._flat(section, ()).get(option, []))

    def _flat(self, section: str, seen: tuple[str, ...]) -> Section:
        own = self.loaded.sections.get(section, {})
        result: Section = {}
        for macro in final_text(own.get("<", [])).split():
            if macro not in (*seen, section):
                result |= self._flat(macro, (*seen, section))
        return result | own


@dataclass(frozen=True)
class Catalogue:
    """All items below ``top`` (absolute)."""

    top: str

    @classmethod
    def at(cls, directory: str) -> Catalogue:
        """:class:`InputError` ``not-a-catalogue`` when the directory has none of the folders."""
        top = os.path.realpath(directory)
        if not any(os.path.isdir(os.path.join(top, folder)) for folder in FOLDERS):
            raise InputError(
                f"{directory} is no catalogue.",
                reference="not-a-catalogue",
                context={"directory": directory},
                hint=f"A catalogue has the directories {', '.join(FOLDERS)}, or one of them.",
            )
        return cls(top)

    def relative(self, path: str) -> str:
        """From the top."""
        return os.path.relpath(path, self.top)

    def items(self) -> Iterator[tuple[str, str, str]]:
        """Kind, name and directory of each item."""
        for kind in FOLDERS:
            folder = os.path.join(self.top, kind)
            for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
                directory = os.path.join(folder, name)
                if os.path.isdir(directory) and name not in _SKIPPED and not name.startswith("."):
                    yield kind, name, directory

    @cached_property
    def profiles(self) -> tuple[Profile, ...]:
        """Of all items that have one."""
        paths = ((kind, name, os.path.join(directory, FOLDERS[kind])) for kind, name, directory in self.items())
        return tuple(_profile(path, kind, name) for kind, name, path in paths if os.path.isfile(path))

    @property
    def readable(self) -> Iterator[Profile]:
        """The profiles without a problem."""
        return (profile for profile in self.profiles if profile.problem is None)

    @cached_property
    def files(self) -> Mapping[str, bytes]:
        """Path → content of every file of the items, without their tests."""
        return {path: _content(path) for _, _, directory in self.items() for path in _files(directory)}


def _profile(path: str, kind: str, name: str) -> Profile:
    profile = Profile(path, kind, name)
    try:
        read = ProfileReader(offline=True)
        profile.text = read(path).decode("utf-8", errors="replace")
        profile.own = parse(profile.text, path)
        profile.loaded = load(path, read)
    except HyperopenxError as error:
        profile.problem = error
    return profile


def _files(directory: str) -> Iterable[str]:
    for folder, folders, names in os.walk(directory):
        folders[:] = sorted(set(folders) - _SKIPPED)
        yield from (os.path.join(folder, name) for name in sorted(names))


def _content(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()
