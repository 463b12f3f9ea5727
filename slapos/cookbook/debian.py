"""``hyperopenx:debian``: exact Debian packages in a prefix, and wrappers with which their programs run there.

No root, no dpkg database, no script of a package.  apt verified the archive's signature when the file was fetched
(:mod:`slapos.build.fetch.debian_packages`); the sha256 in the profile decides in any case.
"""

from __future__ import annotations

import glob
import os
import re
import shlex

from slapos.build.debian_package import merge, unpack_package
from slapos.build.fetch.debian_packages import Pinned
from slapos.build.fetch.sources import DEB
from slapos.build.recipe import Description, OptionsView, Source
from slapos.cookbook.download import fetcher_of
from slapos.cookbook.packaged import PackagedRecipe, places_of
from slapos.cookbook.script import exec_script
from slapos.system.removal import remove_tree

_LINE = re.compile(r"([a-z0-9][a-z0-9+.-]+)=(\S+) ([0-9a-f]{64}) (\S+\.deb)")
_LIBRARY = re.compile(r"lib.+\.so(\.[0-9]+)+")
_PROGRAMS = ("bin/*", "sbin/*", "usr/bin/*", "usr/sbin/*", "usr/games/*")
_LIBRARIES = ("lib", "lib64", "usr/lib", "usr/lib64")
_LOADERS = ("lib64/ld-linux*.so.*", "lib/ld-linux*.so.*", "usr/lib64/ld-linux*.so.*", "usr/lib/ld-linux*.so.*")


class Debian(PackagedRecipe):
    """Gives ``location`` and ``bin-directory``, where the wrappers are."""

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        sources = [_source(options, pinned) for pinned in pinned_packages(options)]
        return Description(places_of(name, options, "wrapped"), tuple(sources))

    def produce(self, work: str) -> None:
        """Unpack all, then write the wrappers."""
        self.stage("fetch")
        fetcher = fetcher_of(self.buildout, self.directory)
        fetched = [fetcher.fetch(source) for source in self.description.sources]
        self.stage("unpack")
        tree = os.path.join(work, "packages")
        for path in fetched:
            one = os.path.join(work, "one")
            unpack_package(path, one, work)
            merge(one, tree)
            remove_tree(one)
        self._wrap(tree)
        self.place.put(tree)

    def _wrap(self, tree: str) -> None:
        directory = os.path.join(tree, "wrapped")
        os.makedirs(directory)
        for path in self._programs(tree):
            wrapper = os.path.join(directory, os.path.basename(path))
            if os.path.lexists(wrapper):
                continue  # the first place that has a program of this name
            with open(wrapper, "w", encoding="utf-8") as stream:
                stream.write(self._script(tree, path))
            os.chmod(wrapper, 0o755)

    def _programs(self, tree: str) -> list[str]:
        """Paths below ``tree``, relative, that can be run."""
        found = []
        for pattern in (*_PROGRAMS, *self.lines("programs", ())):
            matching = sorted(glob.glob(pattern, root_dir=tree))
            if not matching and pattern not in _PROGRAMS:
                raise self.error("programs", f"{pattern} is in none of the packages.", reference="missing-program")
            for path in matching:
                whole = os.path.join(tree, path)
                if os.path.isfile(whole) and os.access(whole, os.X_OK):
                    found.append(path)
        return found

    def _script(self, tree: str, path: str) -> str:
        location = self.place.location
        libraries = [os.path.join(location, folder) for folder in library_folders(tree)]
        before = [f"export {assignment}" for assignment in self._environment()]
        before.append(f"export PATH={shlex.quote(f'{location}/wrapped')}:$PATH")
        program = os.path.join(location, path)
        loader = next((found for name in _LOADERS for found in sorted(glob.glob(name, root_dir=tree))), "")
        if loader and _is_elf(os.path.join(tree, path)):  # the packages have a C library of their own
            words = [os.path.join(location, loader), "--library-path", ":".join(libraries), "--argv0", program]
            return exec_script([*words, program], before)
        if libraries and not loader:
            rest = "${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
            before.append(f"export LD_LIBRARY_PATH={shlex.quote(':'.join(libraries))}{rest}")
        return exec_script([program], before)

    def _environment(self) -> list[str]:
        """Shell assignments of the option ``environment``."""
        found = []
        for line in self.lines("environment", ()):
            name, equals, value = line.partition("=")
            if not equals or not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name.strip()):
                raise self.error("environment", f"has NAME=value lines, not {line[:60]!r}.", reference="invalid-option")
            found.append(f"{name.strip()}={shlex.quote(value.strip().replace('@@LOCATION@@', self.place.location))}")
        return found


def pinned_packages(options: OptionsView) -> list[Pinned]:
    """The lines of the option ``packages``: ``<name>=<version> <sha256> <file in the archive>``."""
    found = []
    for line in options.lines("packages"):
        match = _LINE.fullmatch(" ".join(line.split()))
        if match is None or ".." in match[4].split("/") or match[4].startswith("/"):
            raise options.error(
                "packages",
                f"has lines `name=version sha256 pool/…/file.deb`, not {line[:120]!r}.",
                reference="invalid-option",
                hint="`slapos lock PROFILE PART --package NAME` makes them.",
            )
        found.append(Pinned(*match.groups()))
    if not found:
        raise options.error("packages", "names no package.", reference="invalid-option")
    return found


def _source(options: OptionsView, pinned: Pinned) -> Source:
    mirrors = tuple(f"{mirror.rstrip('/')}/{pinned.file}" for mirror in options.lines("mirrors", ()))
    return Source(f"{DEB}{pinned.file}", (pinned.sha256,), mirrors, os.path.basename(pinned.file))


def library_folders(tree: str) -> list[str]:
    """Directories below ``tree``, relative, that hold libraries which programs may be linked with."""
    found: dict[str, None] = {}
    for top in _LIBRARIES:
        for directory, _, files in os.walk(os.path.join(tree, top)):
            if any(map(_LIBRARY.fullmatch, files)):
                found.setdefault(os.path.relpath(directory, tree))
    return list(found)


def _is_elf(path: str) -> bool:
    with open(path, "rb") as stream:
        return stream.read(4) == b"\x7fELF"
