"""``hyperopenx:meson``: configured by Meson, compiled by ninja, from a pinned source.

Both are the machine's (Debian's ``meson`` and ``ninja-build``; their versions count in the digest) or those that
``meson-binary`` and ``ninja-binary`` name, in parts of the release.
"""

from __future__ import annotations

import os
import shlex
from typing import ClassVar

from slapos.build.jobserver import tokens
from slapos.cookbook.source_part import SourceRecipe


class Meson(SourceRecipe):
    """Gives ``location``, ``prefix`` and ``compile-directory``."""

    host_packages: ClassVar[tuple[str, ...]] = ("meson", "ninja-build")

    def build(self, source: str, work: str) -> None:
        """``meson setup``, ``ninja``, ``meson install``, in a directory of its own."""
        tree, stage = os.path.join(work, "compiled"), os.path.join(work, "stage")
        self._configure(source, tree)
        self.shell("pre-build", source)
        self.stage("make")
        ninja = [self.expanded(self.text("ninja-binary", "ninja")), "-v", "-C", self.log.seen(tree)]
        with tokens(self.log.environment) as jobs:
            self.log.shell(" ".join([shlex.join([*ninja, f"-j{jobs}"]), *self.arguments("make-options")]), tree)
        self.shell("pre-install", source)
        self.stage("install")
        command = [self._meson(), "install", "-C", self.log.seen(tree), "--no-rebuild"]
        self.log.shell(f"DESTDIR={shlex.quote(self.log.seen(stage))} {shlex.join(command)}", tree, alone=True)
        self.take_staged(stage, "meson install")

    def _configure(self, source: str, tree: str) -> None:
        self.shell("pre-configure", source)
        self.stage("configure")
        prefix = self.text("prefix")
        command = [self._meson(), "setup", self.log.seen(tree), self.log.seen(source), f"--prefix={prefix}"]
        command += ["--libdir=lib", f"--buildtype={self.text('build-type', 'release')}"]
        command.append("--wrap-mode=nodownload")
        path = shlex.quote(f"-Wl,-rpath,{prefix}/lib")  # Meson removes the paths that it adds itself
        text = " ".join([shlex.join(command), *self.arguments("configure-options")])
        self.log.shell(f'LDFLAGS="${{LDFLAGS:-}} "{path} {text}', source)

    def _meson(self) -> str:
        return self.expanded(self.text("meson-binary", "meson"))
