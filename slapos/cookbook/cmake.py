"""``hyperopenx:cmake``: configured, compiled and installed by CMake, from a pinned source.

CMake is the machine's (Debian's ``cmake``, ``ninja-build`` for that generator; their versions count in the digest) or
the one that ``cmake-binary`` names, in a part of the release.  The default generator is make, which shares the pool of
job slots whatever its version.
"""

from __future__ import annotations

import os
import shlex
from typing import ClassVar

from slapos.build.jobserver import jobs_option, tokens
from slapos.build.recipe import Description, OptionsView
from slapos.cookbook.source_part import SourceRecipe

MAKE = "Unix Makefiles"
_GENERATORS = (MAKE, "Ninja")


class CMake(SourceRecipe):
    """Gives ``location``, ``prefix`` and ``compile-directory``."""

    host_packages: ClassVar[tuple[str, ...]] = ("cmake", "ninja-build")

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        generator = options.text("generator", MAKE)
        if generator not in _GENERATORS:
            known = " or ".join(_GENERATORS)
            raise options.error("generator", f"is {known}, not {generator[:60]!r}.", reference="invalid-option")
        return super().describe(name, options)

    def build(self, source: str, work: str) -> None:
        """``cmake -S -B``, ``cmake --build``, ``cmake --install``, in a directory of its own."""
        tree, stage = os.path.join(work, "compiled"), os.path.join(work, "stage")
        inside = self.expanded(self.text("source-directory", ""))
        self._configure(os.path.join(source, inside), source, tree)
        self.shell("pre-build", source)
        self.stage("make")
        self._compile(tree)
        self.shell("pre-install", source)
        self.stage("install")
        self._install(tree, stage)

    def _configure(self, directory: str, source: str, tree: str) -> None:
        self.shell("pre-configure", source)
        self.stage("configure")
        prefix = self.text("prefix")
        defaults = {
            "CMAKE_INSTALL_PREFIX": prefix,
            "CMAKE_BUILD_TYPE": self.text("build-type", "Release"),
            "CMAKE_INSTALL_LIBDIR": "lib",
            "CMAKE_INSTALL_RPATH": f"{prefix}/lib",
            "CMAKE_INSTALL_RPATH_USE_LINK_PATH": "ON",  # what is linked from other parts is found there
            "CMAKE_EXPORT_NO_PACKAGE_REGISTRY": "ON",
            "FETCHCONTENT_FULLY_DISCONNECTED": "ON",  # the network is not there anyway; say so early
        }
        command = [self._cmake(), "-S", self.log.seen(directory), "-B", self.log.seen(tree)]
        generator = self.text("generator", MAKE)
        command += ["-G", generator]
        if self.text("make-binary", ""):
            command.append(f"-DCMAKE_MAKE_PROGRAM={self._binary('')}")
        command += [f"-D{name}={value}" for name, value in defaults.items()]
        self.log.shell(" ".join([shlex.join(command), *self.arguments("configure-options")]), source)

    def _compile(self, tree: str) -> None:
        """The generator's program is run directly: cmake would keep the pool of job slots from it."""
        options = self.arguments("make-options")
        if self.text("generator", MAKE) == MAKE:
            command = [self._binary("make"), "VERBOSE=1", *filter(None, [jobs_option(self.log.environment)])]
            self.log.shell(" ".join([*command, *options]), tree)
            return
        with tokens(self.log.environment) as jobs:
            self.log.shell(" ".join([self._binary("ninja"), "-v", f"-j{jobs}", *options]), tree)

    def _binary(self, default: str) -> str:
        return self.expanded(self.text("make-binary", default))

    def _install(self, tree: str, stage: str) -> None:
        environment = f"DESTDIR={shlex.quote(self.log.seen(stage))}"
        command = shlex.join([self._cmake(), "--install", self.log.seen(tree)])
        self.log.shell(f"{environment} {command}", tree, alone=True)
        self.take_staged(stage, "cmake --install")

    def _cmake(self) -> str:
        return self.expanded(self.text("cmake-binary", "cmake"))
