"""Brings distributions as eggs into a release: zc.buildout's installer, with pip as its index.

pip resolves a requirement and all that it needs within the profile's ``[versions]``, from the profile's ``index`` and
``find-links`` or, where it names none, from what the machine's pip is configured for; zc.buildout makes eggs of what
pip fetched.  ``slapos.core`` is never fetched: an egg that stands for it leads to our own modules.
"""

from __future__ import annotations

import dataclasses
import functools
import glob
import logging
import os
import re
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import zc.buildout
import zc.buildout._package_index
import zc.buildout.easy_install
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from slapos.build.foreign import stand_in
from slapos.system.processes import Launch, run

_log = logging.getLogger(__name__)

_OF_BUILDOUT = frozenset({"zc-buildout", "setuptools", "pip", "wheel", "packaging", "platformdirs"})
_TAIL = 15
_PINNED = re.compile("[0-9A-Za-z]")
PIP_SECONDS = 3600.0


class Unreachable(zc.buildout.UserError):  # type: ignore[misc]
    """pip could not bring a distribution."""


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where distributions come from; ``cache`` is a directory for what pip fetched, empty for none.

    ``work`` is a directory for the time of the run; offline nothing is put there.
    """

    index: str = ""
    links: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    offline: bool = False
    cache: str = ""
    work: str = ""
    allow_picked: bool = True
    prefer_final: bool = True


class PipIndex:
    """What zc.buildout asks for a distribution: a package index whose pages are pip's answers."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.directory = ""
        self.source_only = False
        self._asked: set[tuple[str, bool]] = set()

    def obtain(self, requirement: Any) -> Any:
        """The best file for a requirement, fetched when there is none; None when pip finds none."""
        found = self._best(requirement)
        asked = (str(requirement), self.source_only)
        if found is None and asked not in self._asked:
            self._asked.add(asked)
            self._fetch(requirement)
            found = self._best(requirement)
        return found

    def __getitem__(self, project: str) -> list[Any]:
        if not self.directory:
            return []
        wanted = canonicalize_name(project)
        files = (os.path.join(self.directory, name) for name in sorted(os.listdir(self.directory)))
        found = [dist for path in files for dist in zc.buildout._package_index.distros_for_filename(path)]
        return [dist for dist in found if canonicalize_name(dist.project_name) == wanted]

    def download(self, location: str, directory: str) -> str:
        """Nothing is left to do."""
        return location

    def add_find_links(self, links: Iterable[str]) -> None:
        """Links of a distribution are not followed: the profile says where things come from."""

    def _best(self, requirement: Any) -> Any:
        fitting = [dist for dist in self[requirement.project_name] if dist in requirement]
        fitting = [dist for dist in fitting if dist.location.endswith(".whl") is not self.source_only]
        return max(fitting, key=lambda dist: dist.parsed_version, default=None)

    def _fetch(self, requirement: Any) -> None:
        if self.sources.offline:
            return
        self.directory = self.directory or tempfile.mkdtemp(dir=self.sources.work)
        _log.info("Getting %s and what it needs with pip.", requirement)
        constraints = self._constraints()
        what = ["download", "--no-deps", "--no-binary", ":all:", "-d"] if self.source_only else ["wheel", "-w"]
        command = [sys.executable, "-m", "pip", *what, self.directory, "-c", constraints, *self._places()]
        command += [] if self.sources.prefer_final else ["--pre"]
        done = run([*command, str(requirement)], launch=Launch(environment=self._environment()), timeout=PIP_SECONDS)
        if done.code != 0:
            lines = [line for line in done.text.strip().splitlines() if not line.startswith("WARNING")]
            _log.error("%s", done.text.strip())
            raise Unreachable(f"pip cannot bring {requirement}: {_reason(lines)}")

    def _places(self) -> list[str]:
        places = [f"--find-links={link}" for link in self.sources.links]
        return [*places, *([f"--index-url={self.sources.index}"] if self.sources.index else [])]

    def _environment(self) -> dict[str, str]:
        cache = {"PIP_CACHE_DIR": self.sources.cache} if self.sources.cache else {"PIP_NO_CACHE_DIR": "1"}
        fixed = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_NO_COLOR": "1", "PIP_QUIET": "1"}
        return {**os.environ, **fixed, **cache}

    def _constraints(self) -> str:
        """pip's form of ``[versions]``; what stands for slapos.core is named as the only one."""
        lines = []
        for name, version in sorted(self.sources.versions.items()):
            if canonicalize_name(name) not in {*_OF_BUILDOUT, stand_in.KEY}:
                lines.append(f"{name}{specifier(version)}")
        wheel = stand_in.make_wheel(os.path.join(self.directory, "stand-in"), self.sources.versions)
        lines.append(f"{stand_in.NAME} @ file://{wheel}")
        path = os.path.join(self.directory, "constraints.txt")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write("\n".join([*lines, ""]))
        return path


def bare(version: str) -> str:
    """A value of ``[versions]`` without the suffix of the field's buildout (``1.0:whl``)."""
    return version.partition(":")[0].strip()


def specifier(version: str) -> str:
    """A value of ``[versions]`` as pip reads it: ``1.0`` → ``==1.0``, ``>=1`` unchanged."""
    text = bare(version)
    text = f"=={text}" if _PINNED.match(text) else text
    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        raise zc.buildout.UserError(f"[versions] has {version!r}, which is no version.") from None
    return text


def _reason(lines: list[str]) -> str:
    """The sentences of pip's that say why; else its last lines."""
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return " ".join(errors[:2] or lines[-_TAIL:]) or "it gave no reason."


class EggInstaller(zc.buildout.easy_install.Installer):  # type: ignore[misc]
    """zc.buildout's installer, without what lies beside us in our own environment."""

    _path: list[str]
    keeps: frozenset[str] = frozenset()
    """Projects of our own environment that may serve."""

    def _make_env(self) -> Any:
        """What pip made has its description one level below the egg, where the path alone does not lead."""
        below = [glob.glob(os.path.join(path, "*.egg", "*.dist-info")) for path in self._path]
        self._path = [*self._path, *(os.path.dirname(info) for found in below for info in found)]
        env = super()._make_env()
        own = {os.path.realpath(path) for path in zc.buildout.easy_install.buildout_and_setuptools_path}
        keeps = _OF_BUILDOUT if self._dest is None else self.keeps  # who may not install finds buildout where it runs
        for project, dists in env._distmap.items():
            if canonicalize_name(project) not in keeps:
                dists[:] = [dist for dist in dists if os.path.realpath(dist.location) not in own]
        return env

    def _satisfied(self, req: Any, source: Any = None) -> Any:
        if canonicalize_name(req.project_name) == stand_in.KEY and self._dest is not None:
            stand_in.make_egg(self._dest, self._versions)
            self._env_rescan_dest()
        return super()._satisfied(req, source)

    def _obtain(self, requirement: Any, source: Any = None) -> Any:
        self._index.source_only = bool(source)
        return super()._obtain(requirement, source)


class RecipeInstaller(EggInstaller):
    """For what a recipe itself needs: buildout and setuptools are the running ones."""

    keeps = _OF_BUILDOUT


def take_over(sources: Sources) -> None:
    """From now on zc.buildout's functions of this interpreter install by these rules."""
    easy_install = zc.buildout.easy_install
    easy_install.Installer = EggInstaller
    indices: dict[tuple[str, tuple[str, ...]], PipIndex] = {}

    def index_of(index: str | None, links: Iterable[str], allow_hosts: Any = ("*",)) -> PipIndex:
        key = (index or sources.index, tuple(links))
        if key not in indices:
            links = (*sources.links, *(link for link in key[1] if link not in sources.links))
            own = dataclasses.replace(sources, index=key[0], links=links)
            indices[key] = PipIndex(own)
        return indices[key]

    easy_install._get_index = index_of
    easy_install.call_pip_install = functools.partial(_install_wheel, easy_install.call_pip_install)
    versions = {name: bare(version) for name, version in sources.versions.items()}
    easy_install.default_versions({**versions, stand_in.NAME: stand_in.version_of(versions)})
    easy_install.allow_picked_versions(sources.allow_picked)
    easy_install.prefer_final(sources.prefer_final)


def _install_wheel(by_pip: Callable[..., Any], spec: str, dest: str, editable: bool = False) -> Any:
    """What pip does with a wheel that only has modules, thirty times as fast; all else is left to pip."""
    if editable or not spec.endswith(".whl"):
        return by_pip(spec, dest, editable)
    with zipfile.ZipFile(spec) as wheel:
        tops = {name.partition("/")[0] for name in wheel.namelist()}
        info = [top for top in tops if top.endswith(".dist-info")]
        if len(info) != 1 or any(top.endswith(".data") for top in tops):
            return by_pip(spec, dest, editable)
        wheel.extractall(dest)
    return zc.buildout.easy_install.make_egg_after_pip_install(dest, info[0])


def install_recipe(requirement: str, eggs: str, develop_eggs: str, sources: Sources) -> list[Any]:
    """The distribution of a recipe and all that it needs, those of our own environment last."""
    known = sources.versions.items()
    versions = {name: bare(version) for name, version in known if canonicalize_name(name) not in _OF_BUILDOUT}
    installer = RecipeInstaller(
        dest=None if sources.offline else eggs,
        path=[develop_eggs, *([eggs] if sources.offline else [])],
        newest=False,
        versions=versions,
        check_picked=False,
    )
    found = list(installer.install([requirement]))
    own = set(zc.buildout.easy_install.buildout_and_setuptools_path)
    return sorted(found, key=lambda dist: dist.location in own)
