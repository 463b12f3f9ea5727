"""``hyperopenx:cmmi``: configure, make, make install, from a pinned source.

It is installed with ``DESTDIR`` and moved into place as a whole; a package whose makefile ignores ``DESTDIR`` installs
in place, behind a marker (see ``slapos.build.place``).
"""

from __future__ import annotations

import os
import shlex

from slapos.build.jobserver import jobs_option
from slapos.cookbook.source_part import SourceRecipe


class Cmmi(SourceRecipe):
    """Gives ``location`` and ``prefix`` (the same unless given) and ``compile-directory``."""

    def build(self, source: str, work: str) -> None:
        """``./configure``, ``make``, ``make install``."""
        self._configure(source)
        self._make(source)
        self._install(source, os.path.join(work, "stage"))

    def _configure(self, source: str) -> None:
        self.shell("pre-configure", source)
        self.stage("configure")
        command = self.expanded(self.text("configure-command", ""))
        if not command:
            if not os.path.exists(os.path.join(source, "configure")):
                return
            command = f"./configure --prefix={shlex.quote(self.text('prefix'))}"
        self.log.shell(" ".join([command, *self.arguments("configure-options")]), source)

    def _make(self, source: str) -> None:
        self.shell("pre-build", source)
        self.stage("make")
        jobs = jobs_option(self.log.environment)
        command = filter(None, [self._make_command(), jobs, *self.arguments("make-options")])
        self.log.shell(" ".join(command), source)

    def _install(self, source: str, stage: str) -> None:
        self.shell("pre-install", source)
        self.stage("install")
        targets = self.expanded(self.text("make-targets", "install")).split()
        command = [self._make_command(), *self.arguments("make-options"), *map(shlex.quote, targets)]
        if self.boolean("destdir", True):
            command.append(f"DESTDIR={shlex.quote(self.log.seen(stage))}")
        self.log.shell(" ".join(command), source, alone=True)
        self.take_staged(stage, f"make {' '.join(targets)}")

    def _make_command(self) -> str:
        return self.expanded(self.text("make-binary", "make"))
