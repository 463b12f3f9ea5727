"""``slapos.recipe.cmmi`` of the field: configure, make, make install, as ``hyperopenx:field.cmmi``.

Differs from ``hyperopenx:cmmi`` where existing profiles rely on it: md5, ``%`` in commands, hooks in Python, sources in
``<location>/.build``, ``make install`` straight into the location.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from typing import ClassVar

from slapos.build.command import CommandLog
from slapos.build.recipe import Description, OptionsView
from slapos.build.unpack import apply_patches, unpack
from slapos.cookbook.download import strip_option
from slapos.cookbook.field_environment import Texts, environment_of, percent_expanded
from slapos.cookbook.field_patches import changing_digests, file_bytes
from slapos.cookbook.field_sources import described, fetch, field_source, located
from slapos.cookbook.packager_code import Told, load_function
from slapos.cookbook.pieces import code_text
from slapos.cookbook.shared_part import SharedRecipe
from slapos.system.removal import remove_tree

_HOOKS = ("pre-configure-hook", "pre-make-hook", "post-make-hook")


class FieldCmmi(SharedRecipe):
    """Gives ``location``, ``prefix`` and ``compile-directory``."""

    runs_commands: ClassVar[bool] = True
    OPTIONS: ClassVar[dict[str, str]] = {
        "url": "",
        "path": "",
        "md5sum": "",
        "alternate-url": "",
        "offline": "the run's",
        "strip-top-level-dir": "false",
        "prefix": "the location",
        "configure-command": "./configure",
        "configure-options": "",
        "make-binary": "make",
        "make-options": "",
        "make-targets": "install",
        "patches": "",
        "patch-options": "-p0",
        "patch-binary": "patch",
        **dict.fromkeys(("pre-configure", "pre-build", "pre-install", "post-install"), ""),
        **dict.fromkeys(_HOOKS, ""),
        "keep-compile-dir": "[buildout]'s, else false",
        "promises": "",
        "environment": "",
        "shared": "false",
    }

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """The source; where the part lies is decided when the recipe runs."""
        if bool(options.text("url", "").strip()) == bool(options.text("path", "").strip()):
            raise options.error("url", "either url or path names the source.", reference="invalid-option")
        return Description(sources=(described(field_source(options)),) if options.text("url", "").strip() else ())

    def setup(self) -> None:
        given = self.text("location", "")
        self.locate()
        location = self.site.location
        if given and given.replace("@@LOCATION@@", location) != location:
            raise self.error("location", f"is {location} here, and cannot be chosen.", reference="invalid-option")
        prefix = self.text("prefix", "").replace("@@LOCATION@@", location) or location
        if not f"{os.path.realpath(prefix)}/".startswith(f"{os.path.realpath(location)}/"):
            self.refuse_shared("prefix", "cannot lie outside the location of a shared part.")
        path = self.text("path", "").strip()
        self.set("prefix", prefix)
        self.set("compile-directory", located(self.view, path) if path else os.path.join(location, ".build"))

    def fingerprint(self) -> str:
        """Patches and hooks may change while their names stay."""
        digests = [*changing_digests(self, "patches")]
        return f"patches={hashlib.sha256(' '.join(digests).encode()).hexdigest()[:16]}" if digests else ""

    def produce(self, work: str) -> None:
        """Everything happens in the location, which is put back as it was when a step fails."""
        self.environment = environment_of(self, self.site.location)
        self.log = CommandLog(
            os.path.join(self.directory, ".build-log", f"{self.name}.log"), environment=self.environment
        )
        os.makedirs(self.site.location)
        self.source = self._source()
        self._patch()
        self._step("configure", "pre-configure-hook", "pre-configure", self._configure_command())
        self._step("make", "pre-make-hook", "pre-build", self._make_command())
        self._step("install", "", "pre-install", f"{self._make_command()} {self._targets()}")
        self._step("post-install", "post-make-hook", "post-install", "")
        if self.text("url", "").strip() and not self._keeps_sources():
            remove_tree(self.text("compile-directory"))
        self._look_for_promises()

    def _source(self) -> str:
        """The directory in which commands run: the only one that the sources have at their top, else that itself."""
        directory = self.text("compile-directory")
        if self.text("url", "").strip():
            self.stage("fetch")
            unpack(fetch(self, field_source(self.view)), directory, strip=strip_option(self.view) or False)
        inside = [os.path.join(directory, name) for name in os.listdir(directory)]
        return inside[0] if len(inside) == 1 and os.path.isdir(inside[0]) else directory

    def _patch(self) -> None:
        patches = ((text, file_bytes(self, "patches", text)) for text in self.names("patches", ()))
        options = shlex.split(self._code("patch-options", "-p0"))
        apply_patches(self.source, patches, options, self._code("patch-binary", "patch").strip())

    def _step(self, stage: str, hook: str, before: str, command: str) -> None:
        self.stage(stage)
        if hook:
            self._call(hook)
        for text in (self._expanded(before), command):
            if text.strip():
                self.log.shell(text, self.source)

    def _call(self, option: str) -> None:
        """``<place>#<md5>:<function>``, called with the options, the profile and, if it takes it, the environment."""
        place, _, name = self._code(option).strip().rpartition(":")
        if not name:
            return
        source = file_bytes(self, option, place.strip()).decode("utf-8", "replace")
        function = load_function(self, option, source, name.strip())
        with Told(self, option=option, directory=self.source):
            _call_hook(function, [self.options, self.buildout, self.environment])
        self.log.environment = self.environment

    def _configure_command(self) -> str:
        options = " ".join(self._code("configure-options").split())
        command = self._code("configure-command").strip()
        if not command:
            command = "./configure" if "--prefix" in options else './configure --prefix="%(prefix)s"'
        return self._percent("configure-options", f"{command} {options}")

    def _make_command(self) -> str:
        options = " ".join(self._code("make-options").split())
        return self._percent("make-options", f"{self._code('make-binary', 'make').strip()} {options}")

    def _targets(self) -> str:
        targets = " ".join(self._code("make-targets", "install").split())
        plain = self._code("make-binary", "make").strip() == "make" and targets == "install"
        if plain and self._code("configure-command").strip():
            targets += ' prefix="%(prefix)s"'
        return self._percent("make-targets", targets)

    def _code(self, option: str, default: str = "") -> str:
        if option not in self.view:
            return default
        return code_text(self, option, language="a command").replace("@@LOCATION@@", self.site.location)

    def _expanded(self, option: str) -> str:
        return self._percent(option, self._code(option))

    def _percent(self, option: str, text: str) -> str:
        return percent_expanded(self, option, text, Texts(self.options, location=self.site.location))

    def _keeps_sources(self) -> bool:
        given = self.text("keep-compile-dir", "") or self.buildout["buildout"].get("keep-compile-dir", "")
        return given in (True, "true")

    def _look_for_promises(self) -> None:
        """The field only warns."""
        for path in self.lines("promises", ()):
            if not os.path.exists(path.replace("@@LOCATION@@", self.site.location)):
                self.logger.warning("%s is promised and was not made.", path)


def _call_hook(function: object, arguments: list[object]) -> None:
    """Hooks of old profiles take no environment."""
    assert callable(function)
    code = getattr(function, "__code__", None)
    takes_all = code is None or code.co_flags & 0x04 or code.co_argcount >= len(arguments)
    function(*(arguments if takes_all else arguments[:2]))
