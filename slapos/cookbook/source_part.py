"""What recipes that compile a pinned source have in common: fetch, unpack, patch, hooks, environment, place.

The tree is built in a temporary directory beside its place and moved into place as a whole (``slapos.build.place``).
In the store its commands run in a sandbox (``slapos.build.sandbox``), which names the directories differently: a path
that a command gets is one that it sees (``self.log.seen``).
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
from collections.abc import Mapping
from typing import ClassVar, cast

from slapos.build.command import CommandLog
from slapos.build.profile.buildout import Buildout
from slapos.build.recipe import Description, Ingredients, OptionsView, Profile, Recipe
from slapos.build.store.site import site_of
from slapos.build.unpack import apply_patches, unpack
from slapos.build.values import as_text
from slapos.cookbook.beside import patch_bytes, patch_digests, patches_of, readable
from slapos.cookbook.download import fetcher_of, source_of, strip_option
from slapos.model.errors import BuildFailed, HyperopenxError

_EXPANSION = re.compile(r"%\(([^)]+)\)s")


class SourceRecipe(Recipe):
    """Gives ``location`` and ``prefix`` (the same unless given) and ``compile-directory``.

    A subclass says in :meth:`build` what is done with the unpacked, patched source.
    """

    stored: ClassVar[bool] = True

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        location = os.path.normpath(
            os.path.join(options.directory, options.text("location", f"{options.parts_directory}/{name}"))
        )
        patches_of(options)  # a mistake in them is told before anything is made
        sources = () if options.text("path", "") else (source_of(options),)
        outputs = {
            "location": location,
            "prefix": options.text("prefix", location),
            "compile-directory": f"{location}__compile__",
        }
        return Description(outputs, sources)

    @classmethod
    def ingredients(cls, name: str, options: OptionsView, profile: Profile) -> Ingredients:
        section = environment_section(options)
        texts = {f"{section} {option}": as_text(value) for option, value in profile[section].items()} if section else {}
        if options.text("path", ""):
            return Ingredients(private="it is built from a directory")
        if options.boolean("keep-compile-dir", False):
            return Ingredients(private="its option `keep-compile-dir` keeps more than the part")
        try:
            patches = patch_digests(options, cast("Buildout", profile))
        except HyperopenxError as error:
            return Ingredients(private=f"a patch of it cannot be read: {error}")
        return Ingredients(tuple(patches), texts)

    def install(self) -> list[str]:
        self.place = site_of(self)
        keep = self.boolean("keep-compile-dir", False)
        self.place.make(self._produce, keep_work=keep)
        return [*self.place.owned, *([f"{self.place.location}__compile__"] if keep else [])]

    def _produce(self, work: str) -> None:
        self.log = CommandLog(
            os.path.join(self.directory, ".build-log", f"{self.name}.log"),
            environment=self._environment(),
            sandbox=self.place.sandbox,
        )
        source = os.path.join(work, "source")
        self._prepare(self._fetch(), source)
        self.build(source, work)
        self.shell("post-install", source)
        self._check_promises()

    def build(self, source: str, work: str) -> None:
        """Configure, compile, install: afterwards the part is in its place; ``work`` has room for directories."""
        raise NotImplementedError(f"{type(self).__name__}.build")

    def take_staged(self, stage: str, command: str) -> None:
        """Take what ``command`` installed below the directory ``stage``, unless it installed in place."""
        staged = stage + self.place.location
        if os.path.isdir(staged):
            self.place.put(staged)
        elif not _is_made(self.place.now(self.place.location), was_there=self.place.sandbox is not None):
            raise BuildFailed(
                f"{self.name}: {command} did not make {self.place.location}.",
                reference="nothing-installed",
                context={"location": self.place.location, "log": self.log.path},
                hint="Does the configuration use the prefix?  ${:prefix}, @@LOCATION@@ and %(prefix)s all name it.",
            )

    def _fetch(self) -> str:
        if not self.description.sources:
            return ""
        self.stage("fetch")
        return fetcher_of(self.buildout, self.directory).fetch(self.description.sources[0])

    def _prepare(self, fetched: str, source: str) -> None:
        if fetched:
            unpack(fetched, source, strip=strip_option(self.view))
        else:
            shutil.copytree(os.path.join(self.directory, self.text("path")), source, symlinks=True)
        binary = self.text("patch-binary", "patch")
        patches = ((patch.place, patch_bytes(self, patch)) for patch in patches_of(self.view))
        apply_patches(source, patches, self.words("patch-options", ["-p0"]), binary)

    def fingerprint(self) -> str:
        """Patches may change while their names stay."""
        digests = [hashlib.sha256(data).hexdigest() for data in readable(self, patches_of(self.view))]
        return f"patches={hashlib.sha256(' '.join(digests).encode()).hexdigest()[:16]}" if digests else ""

    def _check_promises(self) -> None:
        promised = map(self.expanded, self.lines("promises", ()))
        missing = [path for path in promised if not os.path.exists(self.place.now(path))]
        if missing:
            raise BuildFailed(
                f"{self.name}: {missing[0]} is promised and was not made.",
                reference="broken-promise",
                context={"missing": missing, "log": self.log.path},
            )

    def shell(self, option: str, directory: str) -> None:
        """Run the commands that the packager wrote in ``option``, if any."""
        text = self.expanded(self.text(option, ""))
        if text:
            self.stage(option)
            self.log.shell(text, directory)

    def arguments(self, option: str) -> list[str]:
        """Shell text of an option; the items of a list are one argument each."""
        value = self.value(option, "")
        if isinstance(value, list):
            return [shlex.quote(as_text(item)) for item in value]
        return [line for line in map(str.strip, self.expanded(as_text(value)).splitlines()) if line]

    def expanded(self, text: str) -> str:
        """``@@LOCATION@@`` and ``%(option)s`` replaced, once."""

        def option(found: re.Match[str]) -> str:
            return self.text(found[1]) if found[1] in self.options else found[0]

        return _EXPANSION.sub(option, text).replace("@@LOCATION@@", cast("str", self.options["location"]))

    def _environment(self) -> Mapping[str, str]:
        """That of the run plus the option ``environment``: ``NAME=value`` lines, or the name of a section."""
        result = self.place.environment()
        named = environment_section(self.view)
        if named:
            section = self.buildout[named]
            pairs = [(name, as_text(section[name])) for name in section if not name.startswith(("_", "<"))]
        else:
            pairs = [self._pair(line) for line in self.lines("environment", ())]
        for name, value in pairs:
            expanded = _EXPANSION.sub(lambda found: result.get(found[1], ""), value)
            result[name] = expanded.replace("@@LOCATION@@", cast("str", self.options["location"]))
        return result

    def _pair(self, line: str) -> tuple[str, str]:
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            raise self.error("environment", f"has NAME=value lines, not {line[:60]!r}.", reference="invalid-option")
        return name.strip(), value.strip()


def environment_section(options: OptionsView) -> str:
    """The section that the option ``environment`` names; empty when it has lines ``NAME=value``."""
    given = options.lines("environment", ())
    return given[0] if len(given) == 1 and "=" not in given[0] else ""


def _is_made(directory: str, *, was_there: bool) -> bool:
    """A sandbox needs the directory before anything is made: empty, it is nothing."""
    return os.path.isdir(directory) and (not was_there or bool(os.listdir(directory)))
