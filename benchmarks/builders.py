"""Three ways to compile the same parts for ``benchmarks/build.py``: by hand, with upstream's buildout, with ours.

All get the same tarballs, patches, flags and targets, as :func:`differences` makes sure, in the same clean environment.
"""

from __future__ import annotations

import hashlib
import os
import resource
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slapos.build.fetch.sources import Fetcher
from slapos.build.graph import Graph, PartNode
from slapos.build.reading import Wanted, read_graph_apart
from slapos.build.values import as_text
from slapos.system.processes import CLEAN_ENVIRONMENT, Launch, check_run, network_environment, start

TOP = Path(__file__).resolve().parents[1]
PROFILES = TOP / "benchmarks" / "profiles"
UPSTREAM_PROFILE = PROFILES / "website-upstream.cfg"
UPSTREAM = ("zc.buildout==6.0.1", "slapos.recipe.cmmi==0.23", "slapos.recipe.build==0.66", "setuptools==84.2.1")
PATCH_MARK = "/patches/"
COMPARED = ("configure-command", "configure-options", "make-options", "make-targets", "patch-options", "patches")
SLAPOS = str(Path(sys.executable).with_name("slapos"))
JOBS = f"-j{len(os.sched_getaffinity(0))}"


@dataclass(frozen=True)
class Took:
    """Seconds of one command; ``cpu`` of all that it ran."""

    wall: float
    cpu: float


def timed(command: Sequence[str], log: Path, directory: str = "/", more: Mapping[str, str] | None = None) -> Took:
    """Run to the end; :class:`SystemExit` with the end of the log when it fails."""
    environment = {**CLEAN_ENVIRONMENT, "HOME": str(log.parent), **(more or {})}
    log.unlink(missing_ok=True)
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    code = start(command, launch=Launch(directory=directory, environment=environment), output=str(log)).wait()
    wall, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    if code:
        raise SystemExit(f"{shlex.join(command)} failed with {code}:\n{log.read_text()[-3000:]}")
    return Took(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


@dataclass(frozen=True)
class Bench:
    """Below ``top`` lies all that a run makes; ``keep`` holds what later runs use again."""

    top: Path
    keep: Path
    built: list[str] = field(default_factory=list)

    @property
    def state(self) -> dict[str, str]:
        """The environment in which ``slapos build`` finds the sources."""
        return {"HYPEROPENX_STATE": str(self.keep / "state")}

    @property
    def download_cache(self) -> Path:
        """Where it looks for them."""
        return self.keep / "state" / "build" / "download-cache"

    def fresh(self, name: str) -> Path:
        """An empty directory that no build had before."""
        self.built.append(name)
        path = self.top / f"{name}-{len(self.built)}"
        path.mkdir()
        return path

    def graph(self, profile: Path, directory: Path, sources: Mapping[str, Path] | None = None) -> Graph:
        """The parts of ``profile`` as they would be in ``directory``, without a store; ``sources`` for upstream's."""
        given = {name: {"url": f"file://{path}"} for name, path in (sources or {}).items()}
        more = {"catalogue": {"component": str(TOP / "component")}} if sources else {}
        return read_graph_apart(Wanted(profile=str(profile), directory=str(directory), overrides={**given, **more}))

    def sources(self, graph: Graph) -> dict[str, Path]:
        """The tarball of each compiled part, fetched when it was not before, under its own name."""
        fetcher = Fetcher(cache=str(self.download_cache))
        return {part.name: self._named(part, fetcher) for part in compiled(graph)}

    def _named(self, part: PartNode, fetcher: Fetcher) -> Path:
        found = Path(fetcher.fetch(part.sources[0]))
        link = self.top / "sources" / os.path.basename(part.sources[0].url)
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(found)
        link.read_bytes()  # into the memory of the machine, for all alike
        return link

    def upstream(self) -> Path:
        """Upstream's ``buildout`` with the recipe, installed once."""
        directory = self.keep / f"upstream-{hashlib.sha256(repr((UPSTREAM, sys.version)).encode()).hexdigest()[:12]}"
        program = directory / "bin" / "buildout"
        if not program.exists():
            launch = Launch(environment={**CLEAN_ENVIRONMENT, **network_environment(), "HOME": str(self.top)})
            check_run([sys.executable, "-m", "venv", "--clear", str(directory)], launch=launch, timeout=300)
            check_run([str(directory / "bin" / "pip"), "install", "-q", *UPSTREAM], launch=launch, timeout=600)
        return program


def ours(profile: Path, directory: Path, *more: str) -> list[str]:
    """The command line that builds with ours, store and release below ``directory``."""
    places = ["--directory", str(directory / "release"), "--store", str(directory / "store")]
    return [SLAPOS, "build", str(profile), *places, *more]


def compiled(graph: Graph) -> list[PartNode]:
    """The parts that are compiled from a tarball, each after what it needs."""
    problems = [part.problem for part in graph.parts if part.problem]
    if problems:
        raise SystemExit("\n".join(problems))
    return [part for part in graph.parts if part.recipe.endswith("cmmi") and part.sources]


def by_hand(graph: Graph, sources: Mapping[str, Path], work: Path) -> str:
    """A shell script that builds the parts as a person would, one after another, each with ``make -j``."""
    lines = ["set -e"]
    for part in compiled(graph):
        lines += [f": ==== {part.name}", f"mkdir -p {work}/{part.name}", f"cd {work}/{part.name}"]
        lines += [f"tar xf {sources[part.name]} --strip-components=1"]
        lines += [f"patch {text(part, 'patch-options')} < {patch}" for patch in text(part, "patches").split()]
        lines += [f"{text(part, 'configure-command')} {text(part, 'configure-options')}"]
        lines += [f"make {JOBS} {text(part, 'make-options')}"]
        lines += [f"make {text(part, 'make-options')} {text(part, 'make-targets') or 'install'}"]
    return "\n".join(lines) + "\n"


def text(part: PartNode, option: str) -> str:
    """An option in one line, with the place of the part filled in."""
    value = " ".join(as_text(part.options.get(option, "")).split())
    return value.replace("@@LOCATION@@", as_text(part.outputs.get("location", "")))


def upstream_command(bench: Bench, directory: Path, sources: Mapping[str, Path], profile: Path) -> list[str]:
    """The command line that builds with upstream in ``directory``."""
    given = [f"{name}:url=file://{path}" for name, path in sources.items()]
    given += [f"{name}:md5sum={hashlib.md5(path.read_bytes()).hexdigest()}" for name, path in sources.items()]
    settings = [f"buildout:directory={directory}", "buildout:offline=true"]
    places = [f"catalogue:component={TOP / 'component'}", f"catalogue:jobs={JOBS}"]
    return [str(bench.upstream()), "-U", "-q", "-c", str(profile), *settings, *places, *given]


def differences(ours: Graph, theirs: Graph) -> Iterator[str]:
    """What upstream's profile has otherwise than ours: it would be no comparison."""
    known = {part.name: part for part in compiled(theirs)}
    places = {as_text(part.outputs["location"]): f"${{{part.name}:location}}" for part in compiled(ours)}
    for part in compiled(ours):
        for option in COMPARED:
            mine = _comparable(as_text(part.options.get(option, "")), places)
            other = _comparable(as_text(known[part.name].options.get(option, "")), places)
            if mine != other:
                yield f"{part.name}: {option} is {' '.join(mine)!r} here and {' '.join(other)!r} in upstream's profile"


def _comparable(value: str, places: Mapping[str, str]) -> list[str]:
    for place, name in places.items():
        value = value.replace(place, name)
    return [word.partition(PATCH_MARK)[2] or word for word in value.split() if word != JOBS]
