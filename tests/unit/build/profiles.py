"""Profiles run by the engine with small recipes of the tests."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path
from typing import Any, ClassVar

from slapos.build.fetch.profiles import ProfileReader
from slapos.build.job import Result
from slapos.build.profile.buildout import Buildout
from slapos.build.profile.install import Report, install
from slapos.build.profile.names import RecipeTable, refuse_foreign
from slapos.build.recipe import Description, OptionsView, Recipe
from slapos.model.errors import BuildFailed, NotReady


class Write(Recipe):
    """Writes ``text`` to the file named like the part; gives ``path``."""

    calls: ClassVar[list[str]] = []

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        return Description({"path": f"{options.directory}/{options.text('file', name)}"})

    def install(self) -> list[str]:
        self.calls.append(f"install {self.name}")
        path = self.text("path")
        Path(path).write_text(self.text("text", ""), encoding="utf-8", errors="surrogatepass")
        return [path]

    def update(self) -> list[str]:
        self.calls.append(f"update {self.name}")
        return []


class Give(Recipe):
    """Gives the values of the class attribute ``values``, as a recipe that asked the master would."""

    values: ClassVar[dict[str, Any]] = {}

    def setup(self) -> None:
        for option, value in self.values.items():
            self.set(option, value)

    def install(self) -> list[str]:
        return []


class Wait(Recipe):
    """Waits for its option ``for``, at section initialisation when ``early``."""

    def setup(self) -> None:
        if self.boolean("early", False):
            self.install()

    def install(self) -> list[str]:
        raise NotReady(f"waiting for {self.text('for')}")


class Fail(Recipe):
    def install(self) -> list[str]:
        raise BuildFailed("it does not compile")


TABLE = {"test:write": Write, "test:give": Give, "test:wait": Wait, "test:fail": Fail}


def write_profile(directory: Path, text: str, name: str = "profile.cfg") -> str:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return str(path)


def make_buildout(directory: Path, text: str, **arguments: Any) -> Buildout:
    """A profile read but not run; the instance directory is ``directory / "work"``."""
    work = directory / "work"
    work.mkdir(exist_ok=True)
    profile = write_profile(directory, text)
    arguments.setdefault("recipes", RecipeTable(TABLE, foreign=refuse_foreign))
    return Buildout(profile=profile, directory=str(work), read=ProfileReader(), **arguments)


def run_profile(directory: Path, text: str, **arguments: Any) -> Report:
    return install(make_buildout(directory, text, **arguments))


def outcomes(report: Report) -> dict[str, str]:
    return {part.part: part.outcome for part in report.parts}


def outcomes_of(result: Result) -> dict[str, str]:
    """Of a run by ``execute``."""
    return {part.part: part.outcome for part in result.parts}


def listing(directory: Path) -> list[str]:
    return sorted(os.listdir(directory / "work"))
