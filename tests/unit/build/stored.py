"""Stored parts made by a small recipe of the tests, and releases that have them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import ClassVar

from slapos.build.command import CommandLog
from slapos.build.fetch.profiles import ProfileReader
from slapos.build.job import Job, Result
from slapos.build.profile.buildout import Buildout
from slapos.build.profile.names import RecipeTable, refuse_foreign
from slapos.build.profile.section import Options
from slapos.build.recipe import Description, Ingredients, OptionsView, Profile, Recipe, Source
from slapos.build.run import execute
from slapos.build.store.site import Stored, site_of
from slapos.build.store.store import Store
from slapos.build.values import as_text
from tests.unit.build.profiles import TABLE, Write, write_profile


class Make(Recipe):
    """Runs the shell text ``make`` with ``$OUT``, where the part lies while it is made; gives ``location``."""

    stored: ClassVar[bool] = True

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        location = options.text("location", f"{options.parts_directory}/{name}")
        sources = (Source(options.text("url"), tuple(options.lines("sha256"))),) if options.text("url", "") else ()
        return Description({"location": location}, sources)

    @classmethod
    def ingredients(cls, name: str, options: OptionsView, profile: Profile) -> Ingredients:
        patches = tuple((os.path.basename(path), _sha256(path)) for path in options.lines("patches", ()))
        section = options.text("settings", "")
        texts = {f"settings {key}": as_text(value) for key, value in profile[section].items()} if section else {}
        return Ingredients(patches, texts, "it is to be private" if options.boolean("private", False) else "")

    def install(self) -> list[str]:
        self.place = site_of(self)
        self.place.make(self._produce)
        return self.place.owned

    def _produce(self, work: str) -> None:
        tree = os.path.join(work, "made")
        os.makedirs(tree)
        log = os.path.join(self.directory, ".build-log", f"{self.name}.log")
        environment = {"PATH": os.defpath, **self.place.environment(), "OUT": tree, "SOURCE": self._source()}
        self.stage("make")
        commands = CommandLog(log, environment=environment, sandbox=self.place.sandbox)
        commands.shell(self.text("make", 'echo made > "$OUT/file"'), work)
        self.place.put(tree)

    def _source(self) -> str:
        """In the download cache, where it is by now."""
        cache = os.path.join(self.directory, ".download-cache", "sha256")
        return next((os.path.join(cache, digest) for digest in self.lines("sha256", ())), "")


RECIPES = RecipeTable({**TABLE, "test:make": Make}, foreign=refuse_foreign)


def read(directory: Path, text: str, store: Path | str | None = None, name: str = "profile.cfg") -> Buildout:
    """The profile ``text`` read for ``directory / "work"``, with ``directory / "store"`` unless another is given."""
    work = directory / "work"
    work.mkdir(exist_ok=True)
    profile = write_profile(directory, text, name)
    overrides = {"buildout": {"store": str(store or directory / "store"), "sandbox": "false"}}
    return Buildout(
        profile=profile, directory=str(work), read=ProfileReader(offline=True), overrides=overrides, recipes=RECIPES
    )


def section(directory: Path, text: str, part: str = "tool", store: Path | str | None = None) -> Options:
    return read(directory, text, store)[part]


def stored(directory: Path, text: str, part: str = "tool", store: Path | str | None = None) -> Stored:
    """The part as a stored one."""
    found = section(directory, text, part, store)
    assert found.stored is not None, found.private
    return found.stored


def build(directory: Path, text: str, *, store: Path | None = None, **options: str) -> Result:
    """Build the profile as a node does, in this process; ``options`` are further ones of ``[buildout]``."""
    work = directory / "work"
    work.mkdir(exist_ok=True)
    return execute(job(directory, text, store=store, **options), recipes=RECIPES)


def job(directory: Path, text: str, *, store: Path | None = None, **options: str) -> Job:
    """What :func:`build` executes."""
    return Job(
        kind="build",
        directory=str(directory / "work"),
        profile=write_profile(directory, text),
        log="",
        overrides={"buildout": {"store": str(store or directory / "store"), "sandbox": "false", **options}},
        slots=2,
    )


def whole(store: Path) -> dict[str, str]:
    """Name → content of the parts in the store."""
    return {item.record.name: item.record.content for item in Store((str(store),)).parts()}


def _sha256(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


__all__ = ["RECIPES", "Make", "Write", "build", "job", "read", "section", "stored", "whole"]
