"""``hyperopenx:egg``: programs of distributions that a ``venv`` has, with names, paths and code of the packager's.

The options are those of the field's recipe of this name; what is installed comes from the lock of the ``venv`` alone.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions

from slapos.build.recipe import Description, OptionsView
from slapos.build.requirements import normalised
from slapos.cookbook.packaged import PackagedRecipe, places_of
from slapos.cookbook.packager_code import compiled_text
from slapos.cookbook.pieces import code_text
from slapos.cookbook.places import check_name
from slapos.cookbook.script import exec_script

_NAME = r"[A-Za-z_]\w*"
_ENTRY = re.compile(rf"(?P<name>[^=\s]+)\s*=\s*(?P<module>{_NAME}(\.{_NAME})*):(?P<attribute>{_NAME}(\.{_NAME})*)")
_SHEBANG = 127  # bytes; Linux before 5.1


@dataclass(frozen=True)
class Entry:
    """What a program calls: ``module:attribute``."""

    name: str
    module: str
    attribute: str


class Egg(PackagedRecipe):
    """Gives ``location`` and ``bin-directory``."""

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        options.text("venv")
        if not any(options.text(option, "").strip() for option in ("eggs", "entry-points", "interpreter")):
            raise options.error("eggs", "or entry-points or interpreter is mandatory.", reference="missing-option")
        list(_declared(options))
        return Description(places_of(name, options, "bin"))

    def produce(self, work: str) -> None:
        """Every program is written, or none."""
        tree = os.path.join(work, "programs")
        os.makedirs(os.path.join(tree, "bin"))
        for name, text in self._programs():
            path = os.path.join(tree, "bin", check_name(self.view, "scripts", name))
            if os.path.lexists(path):
                raise self.error("scripts", f"{name} is the name of two programs.", reference="conflicting-files")
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(text)
            os.chmod(path, 0o755)
        self.place.put(tree)

    def fingerprint(self) -> str:
        """Another version in a ``venv`` of the same release may have other programs."""
        if self.is_stored:
            return ""
        found = sorted(f"{item.name} {item.version}" for item in distributions(path=self._sites()))
        return f"distributions={hashlib.sha256(' '.join(found).encode()).hexdigest()[:16]}"

    def _programs(self) -> Iterator[tuple[str, str]]:
        """Name and text of each."""
        if not os.access(self._python, os.X_OK) or not self._sites():
            raise self.error(
                "venv",
                f"{self.text('venv')} is no Python environment.",
                reference="missing-file",
                hint="It is the location of a part of hyperopenx:venv.",
            )
        for entry in (*self._chosen(), *_declared(self.view)):
            yield entry.name, self._script(entry)
        if interpreter := self.text("interpreter", "").strip():
            before = [f"export PYTHONPATH={shlex.quote(':'.join(self._paths()))}${{PYTHONPATH:+:$PYTHONPATH}}"]
            yield interpreter, exec_script([self._python], before if self._paths() else ())

    def _chosen(self) -> Iterator[Entry]:
        """Programs of the distributions, those that ``scripts`` names or all."""
        known = {entry.name: entry for entry in self._offered()}
        wanted = self.names("scripts") if "scripts" in self.options else list(known)
        for line in wanted:
            name, _, renamed = line.partition("=")
            if name not in known:
                raise self.error(
                    "scripts",
                    f"{name[:100]!r} is no program of {' '.join(self.names('eggs', ())) or 'what eggs names'}.",
                    reference="missing-program",
                    hint=f"There are {', '.join(sorted(known)) or 'none'}.",
                )
            yield Entry(renamed or name, known[name].module, known[name].attribute)

    def _offered(self) -> Iterator[Entry]:
        installed = {normalised(item.name): item for item in distributions(path=self._sites())}
        for egg in self.names("eggs", ()):
            distribution = installed.get(normalised(egg.partition("[")[0]))
            if distribution is None:
                raise self.error(
                    "eggs",
                    f"{egg[:100]!r} is not in {self.text('venv')}.",
                    reference="missing-egg",
                    hint="Its version and hashes belong into the requirements of that part.",
                )
            yield from _programs_of(distribution)

    def _script(self, entry: Entry) -> str:
        call = f"{entry.module}.{entry.attribute}({self._code('arguments').strip()})"
        initialization = self._code("initialization")
        for option, text in (("arguments", call), ("initialization", initialization)):
            compiled_text(self, option, text)
        paths = [f"sys.path[0:0] = {self._paths()!r}"] if self._paths() else []
        body = [*paths, *filter(None, [initialization]), f"import {entry.module}", "", 'if __name__ == "__main__":']
        return "\n".join([*_first_lines(self._python), "import sys", *body, f"    sys.exit({call})", ""])

    def _code(self, option: str) -> str:
        return code_text(self, option, language="Python") if option in self.options else ""

    @property
    def _python(self) -> str:
        return os.path.join(self.directory, self.text("venv").strip(), "bin", "python")

    def _sites(self) -> list[str]:
        top = glob.escape(os.path.join(self.directory, self.text("venv").strip()))
        return glob.glob(f"{top}/lib/python3*/site-packages")

    def _paths(self) -> list[str]:
        return [os.path.join(self.directory, path) for path in self.lines("extra-paths", ())]


def _declared(options: OptionsView) -> Iterator[Entry]:
    """The lines ``name=module:attribute`` of the option ``entry-points``."""
    for line in options.lines("entry-points", ()):
        found = _ENTRY.fullmatch(line)
        if found is None:
            raise options.error(
                "entry-points", f"has lines `name=module:attribute`, not {line[:120]!r}.", reference="invalid-option"
            )
        yield Entry(found["name"], found["module"], found["attribute"])


def _programs_of(distribution: Distribution) -> Iterator[Entry]:
    for point in distribution.entry_points:
        if point.group == "console_scripts":
            yield Entry(point.name, point.module, point.attr)


def _first_lines(python: str) -> list[str]:
    """How the kernel, or a shell where the path is too long for it, finds the interpreter."""
    if len(os.fsencode(python)) + 2 <= _SHEBANG and not re.search(r"\s", python):
        return [f"#!{python}"]
    return ["#!/bin/sh", f"'''exec' {shlex.quote(python)} \"$0\" \"$@\"", "' '''"]
