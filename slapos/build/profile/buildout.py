"""A running profile: our ``Buildout``.

Creating one reads files and nothing else: no directory is made or changed, ``~/.buildout`` is not read, no network is
used but through ``read``.  Recipes are created when their section is first asked for (:meth:`Buildout.__getitem__`).
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import zc.buildout
import zc.buildout.buildout

from slapos.build.fetch.profiles import ProfileReader
from slapos.build.foreign.recipe import Interpreter
from slapos.build.job import PartResult, Profiled
from slapos.build.options import Origin, profile_error
from slapos.build.profile.load import Read, base_of, load
from slapos.build.profile.names import RecipeTable
from slapos.build.profile.reader import Section, Sections, Step, final_text, merge, merge_section, parse
from slapos.build.profile.section import Options as RunningSection
from slapos.build.profile.state import State, read_state
from slapos.build.profile.stored import TOOLCHAIN
from slapos.build.store.store import Store
from slapos.build.values import Value, as_text, dumps, loads
from slapos.model.errors import HyperopenxError

Observe = Callable[[str, int, int, str], None]
"""Called with part, its number from 1, the number of parts, and the stage."""

KNOWN_FAILURES = (HyperopenxError, zc.buildout.UserError, OSError)

DEFAULTS: dict[str, str] = {
    "allow-hosts": "*",
    "allow-picked-versions": "true",
    "allow-unknown-extras": "false",
    "bin-directory": "bin",
    "develop-eggs-directory": "develop-eggs",
    "eggs-directory": "eggs",
    "executable": sys.executable,
    "find-links": "",
    "install-from-cache": "false",
    "installed": ".installed.cfg",
    "log-format": "",
    "log-level": "INFO",
    "newest": "false",
    "offline": "false",
    "parts": "",
    "parts-directory": "parts",
    "prefer-final": "true",
    "python": "buildout",
    "show-picked-versions": "false",
    "socket-timeout": "",
    "update-versions-file": "",
    "use-dependency-links": "true",
    "versions": "versions",
}

_PATHS = ("bin-directory", "parts-directory", "eggs-directory", "develop-eggs-directory", "installed")
_OPTIONAL_PATHS = ("download-cache", "extends-cache")


class Buildout(zc.buildout.buildout.Buildout):  # type: ignore[misc]
    """The sections of a profile, evaluated as they are used."""

    Options = RunningSection

    def __init__(
        self,
        *,
        profile: str,
        directory: str,
        read: Read,
        overrides: Mapping[str, Mapping[str, Value]] | None = None,
        recipes: RecipeTable | None = None,
        describe_only: bool = False,
    ) -> None:
        """``profile`` is an absolute path or URL; ``overrides`` are values (data) that win over the profile's."""
        self.recipes = recipes or RecipeTable()
        self.describe_only = describe_only
        self.read = read
        self._logger = logging.getLogger("slapos.build")
        self._buildout_dir = directory
        self.loaded = load(profile, read, self._settle_reader)
        self.sections: Sections = merge(
            _as_sections({"buildout": DEFAULTS | {"directory": directory}}), self.loaded.sections
        )
        self.sections = merge(self.sections, _as_sections(overrides or {}))
        self.sections.setdefault("versions", {})
        self.failures: dict[str, Exception] = {}
        self.uses: dict[str, set[str]] = {}
        self.nested_results: list[PartResult] = []
        self.fetched: dict[str, bytes] = {}
        self.interpreters: dict[str, Interpreter] = {}
        self._toolchain: tuple[str, ...] = ()
        self._toolchain_begun = False
        self.toolchains: dict[tuple[str, ...], Mapping[str, str]] = {}
        self.observe: Observe = lambda part, index, total, stage: None
        self.stage: Callable[[str], None] = lambda stage: None
        self._active: list[str] = []
        self._evaluating: list[tuple[str, str]] = []
        self._inherited: dict[str, dict[str, Origin]] = {}
        self._data: dict[str, RunningSection] = {}
        self._parts: list[str] = []
        self._annotated: dict[str, Any] = {}
        self._log_level = logging.INFO
        self._set_directories(directory)
        self._set_store()
        self.state = read_state(self.state_path) if not describe_only else State()

    def _settle_reader(self, main: Section) -> None:
        """What the profile itself says of how others are read counts for those that it extends."""
        if isinstance(self.read, ProfileReader):
            if "extends-cache" in main:
                text = final_text(main["extends-cache"]).replace("${buildout:directory}", self._buildout_dir)
                self.read.cache = os.path.join(self._buildout_dir, text)
            if "offline" in main:
                self.read.offline = self.read.offline or final_text(main["offline"]) == "true"
        if "extensions" in main:
            names = ", ".join(final_text(main["extensions"]).split())
            self._logger.info("Extensions of buildout are not loaded: %s.", names)

    def _set_directories(self, directory: str) -> None:
        self._buildout_dir = directory
        for option in _PATHS + _OPTIONAL_PATHS:
            steps = self.sections["buildout"].get(option)
            if steps and "${" not in final_text(steps):
                path = os.path.join(directory, as_text(loads(final_text(steps))))
                self.sections["buildout"][option] = [Step("=", dumps(path), steps[-1].origin)]
        main = self["buildout"]
        for option in _PATHS:
            main[option] = os.path.join(directory, str(main[option]))
        self._buildout_dir = str(main["directory"])
        self.state_path = str(main["installed"])
        self.offline = main.get("offline") in ("true", True)
        self.newest = False
        self.versions = self["versions"]
        self.show_picked_versions = False
        self._links: tuple[str, ...] = ()
        self._allow_hosts = ("*",)

    def _set_store(self) -> None:
        """``[buildout] store`` has the roots, one a line; ``toolchain`` the parts that others are compiled with."""
        roots = as_text(self["buildout"].get("store", "")).split("\n")
        given = tuple(root.strip() for root in roots if root.strip())
        self.store = Store(given) if given else None
        self._toolchain = tuple(as_text(self["buildout"].get(TOOLCHAIN, "")).split()) if given else ()
        self._toolchain_made_of: set[str] = set()

    def compiles_with(self, section: str) -> tuple[str, ...]:
        """The parts that a part is compiled with; none: with what the machine has, as the toolchain itself is."""
        return () if self._toolchain_begun or section in self._toolchain_made_of else self._toolchain

    def _begin_with_toolchain(self) -> None:
        """Its parts are evaluated before all others, so that what they use is known as theirs."""
        active, self._active, self._toolchain_begun = self._active, [], True
        for part in self._toolchain:
            with suppress(*KNOWN_FAILURES):  # told to the first part that needs it
                self._toolchain_made_of.add(part)
                self[part]
                self._toolchain_made_of |= self.all_uses(part)
        self._active, self._toolchain_begun = active, False

    @property
    def _raw(self) -> Sections:
        """The sections, under the name that stock buildout's methods use."""
        return self.sections

    def __getitem__(self, section: str) -> RunningSection:
        """The section, evaluated and with its recipe created; its failure again when that failed before."""
        if self._toolchain and not self._toolchain_made_of:
            self._begin_with_toolchain()
        if self._active and section not in (self._active[-1], "buildout"):
            self.uses.setdefault(self._active[-1], set()).add(section)
        if section in self._data:
            return self._data[section]
        if section in self.failures:
            raise self.failures[section]
        if section not in self.sections:
            raise zc.buildout.buildout.MissingSection(section)
        options = self._data[section] = RunningSection(self, section, self._expanded(section))
        try:
            with self.active(section):
                options._initialize()
        except KNOWN_FAILURES as error:
            del self._data[section]
            self.failures[section] = error
            raise
        return options

    def __setitem__(self, name: str, data: Mapping[str, Any]) -> None:
        """Add a section from a recipe: its values are data."""
        if name in self.sections:
            raise KeyError("Section already exists", name)
        self.sections |= _as_sections({name: dict(data)})
        self[name]

    def parse(self, data: str) -> None:
        """Add sections from text of a recipe, in the language of profiles."""
        for name, section in parse(data, "a recipe").items():
            if name in self.sections:
                raise KeyError("Section already exists", name)
            self.sections[name] = section

    def __contains__(self, section: object) -> bool:
        return section in self.sections

    def __iter__(self) -> Iterator[str]:
        return iter(self.sections)

    def __len__(self) -> int:
        return len(self.sections)

    def keys(self) -> list[str]:
        return list(self.sections)

    def close(self) -> None:
        """End the interpreters of foreign recipes."""
        for interpreter in self.interpreters.values():
            interpreter.close()
        self.interpreters.clear()

    def note(self, location: str, data: bytes) -> None:
        """Remember that a part is made from a file (path or URL), unless the run itself made that file."""
        read = Profiled(location, hashlib.sha256(data).hexdigest(), len(data))
        if read not in self.loaded.profiles and not location.startswith(f"{self._buildout_dir}/"):
            self.loaded.profiles.append(read)

    @contextmanager
    def active(self, section: str) -> Iterator[None]:
        """While a section works, the sections that it asks for are noted as used by it."""
        self._active.append(section)
        try:
            yield
        finally:
            self._active.pop()

    @contextmanager
    def evaluating(self, section: str, option: str, origin: Origin | None) -> Iterator[None]:
        """Guards against an option whose value needs itself."""
        key = (section, option)
        if key in self._evaluating:
            chain = [*self._evaluating[self._evaluating.index(key) :], key]
            names = " → ".join(":".join(item) for item in chain)
            raise profile_error(
                f"its value needs itself: {names}.", section=section, option=option, origin=origin, reference="cycle"
            )
        self._evaluating.append(key)
        try:
            yield
        finally:
            self._evaluating.pop()

    def waiting_for(self, section: str) -> list[str]:
        """From a section that is being evaluated to the one that is now, and back to it."""
        return [*self._active[self._active.index(section) :], section] if section in self._active else [section]

    def all_uses(self, section: str) -> set[str]:
        """All sections that ``section`` used, directly or not."""
        found: set[str] = set()
        todo = [section]
        while todo:
            new = self.uses.get(todo.pop(), set()) - found
            found |= new
            todo.extend(new)
        return found - {section}

    def inherited(self, section: str, option: str) -> Origin | None:
        """The place of the ``<=`` through which the section has this option, None for its own."""
        return self._inherited.get(section, {}).get(option)

    def first_origin(self, section: str) -> Origin | None:
        """Where a section was first written."""
        return self.loaded.first.get(section)

    def base_location(self, origin: Origin | None) -> str:
        """The directory or URL base of the file of ``origin``."""
        return base_of(origin.file) if origin else self._buildout_dir

    def previous_options(self, section: str) -> Mapping[str, Value]:
        """The options with which a part was last installed, empty when it never was."""
        part = self.state.parts.get(section)
        return part.options if part else {}

    def _expanded(self, name: str) -> Section:
        """The steps of a section with those of its ``<=`` sections below them."""
        section = self._expand(name, [])
        own = self.sections[name]
        macro = own.get("<")
        if macro:
            self._inherited[name] = {option: macro[-1].origin for option in section if option not in own}
        return section

    def _expand(self, name: str, doing: list[str]) -> Section:
        own = self.sections[name]
        macro = own.get("<")
        if not macro or name == "buildout":
            return own
        if name in doing:
            chain = " <= ".join([*doing[doing.index(name) :], name])
            raise profile_error(
                f"a section extends itself: {chain}.", section=name, origin=macro[-1].origin, reference="cycle"
            )
        result: Section = {}
        for base in filter(None, map(str.strip, final_text(macro).split("\n"))):
            if base not in self.sections:
                sentence = f"<= names the section [{base}], which does not exist."
                raise profile_error(sentence, section=name, origin=macro[-1].origin, reference="missing-section")
            result |= {option: list(steps) for option, steps in self._expand(base, [*doing, name]).items()}
        merge_section(result, own)
        result.pop("<", None)
        return result


def _as_sections(values: Mapping[str, Mapping[str, Any]]) -> Sections:
    """Values as sections: written by ``dumps``, so that they are never evaluated."""
    origin = Origin("(given)", 0)
    return {
        section: {option: [Step("=", dumps(value), origin)] for option, value in options.items()}
        for section, options in values.items()
    }
