"""Components built for tests: each once per machine, user and clone, and kept for the next run.

They lie in a store beside the kept releases (:mod:`slapos.testing.builds`), so that what several of them use is
built once.  ``python -m slapos.testing.components [names]`` builds them from the command line.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slapos.build.job import Progress, Result
from slapos.build.release import build_job, prepare, record_build
from slapos.build.run import execute
from slapos.model.errors import BuildFailed
from slapos.system.files import write_if_changed
from slapos.system.locks import locked
from slapos.system.processes import Completed, Launch, run
from slapos.testing.builds import keep_build

PATIENCE = 2 * 3600.0
"""Seconds for which one who tests waits for another who builds."""

LOCATIONS = "locations.json"
_EXTENDS = re.compile(r"\.\./([a-z0-9._+-]+)/buildout\.cfg")


@dataclass(frozen=True)
class Component:
    """A built component: ``locations`` are those of its part and of all that it uses, directly or not, by name."""

    name: str
    locations: Mapping[str, str]

    @property
    def location(self) -> str:
        return self.locations[self.name]

    def path(self, *parts: str) -> str:
        """Below its location."""
        return os.path.join(self.location, *parts)

    def run(self, program: str, *arguments: str, stdin: bytes | None = None, **environment: str) -> Completed:
        """Run ``program`` of its ``bin``, as :meth:`call`."""
        return self.call(self.path("bin", program), *arguments, stdin=stdin, **environment)

    def call(self, program: str, *arguments: str, stdin: bytes | None = None, **environment: str) -> Completed:
        """Run a program, for a minute at most, with no environment but what is given."""
        launch = Launch(environment={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin", **environment})
        return run([program, *arguments], launch=launch, stdin=stdin, timeout=60)

    def compile(self, target: Path, text: str, *libraries: str) -> str:
        """A program in C, linked to ``libraries`` of this component only, which finds them by its run path."""
        directory = self.path("lib")
        options = [f"-I{self.path('include')}", f"-L{directory}", f"-Wl,-rpath,{directory}"]
        names = [f"-l{library}" for library in libraries]
        command = ["gcc", "-Wall", "-Werror", "-xc", "-", "-o", str(target), *options, *names]
        done = run(command, stdin=text.encode(), timeout=60)
        assert done.code == 0, done.text
        return str(target)


def component_names(top: str | os.PathLike[str]) -> list[str]:
    """The components of the clone ``top`` that are parts: a section of the directory's name has a recipe."""
    profiles = sorted(Path(top, "component").glob("*/buildout.cfg"))
    return [path.parent.name for path in profiles if f"\n[{path.parent.name}]\nrecipe = " in f"\n{path.read_text()}"]


def uses(top: str | os.PathLike[str]) -> dict[str, set[str]]:
    """Component → all components that its profile extends, directly or not, and itself."""
    texts = {path.parent.name: path.read_text() for path in Path(top, "component").glob("*/buildout.cfg")}
    direct = {name: set(_EXTENDS.findall(text)) & texts.keys() for name, text in texts.items()}
    return {name: _reachable(name, direct) for name in sorted(direct)}


def _reachable(name: str, direct: Mapping[str, set[str]]) -> set[str]:
    found, waiting = {name}, [name]
    while waiting:
        more = direct[waiting.pop()] - found
        found |= more
        waiting += more
    return found


def touched(top: str | os.PathLike[str]) -> set[str]:
    """The components that the last commit or what is not committed changes, or something that they use.

    Empty where git cannot tell.
    """
    changed: set[str] = set()
    for command in (["diff", "--name-only", "HEAD^"], ["ls-files", "--others", "--exclude-standard"]):
        done = run(["git", "-c", "safe.directory=*", "-C", str(top), *command, "--", "component"], timeout=60)
        lines = done.text.splitlines() if done.code == 0 else []
        changed |= {line.split("/")[1] for line in lines if line.startswith("component/")}
    return {name for name, used in uses(top).items() if used & changed}


def build_components(names: Sequence[str], top: str | os.PathLike[str]) -> dict[str, Component]:
    """Build these components of the clone ``top`` and what they use, unless they lie in the store already.

    :raises BuildFailed: ``components-not-built``, with a sentence for each part that was not.
    """
    kept, used = keep_build("components", top), uses(top)
    parts = sorted(set().union(*(used[name] for name in names)) & set(component_names(top)))
    directory = kept.directory / "components"
    directory.mkdir(exist_ok=True)
    with locked(str(kept.directory / "components.lock"), PATIENCE, "The built components"):
        profile = directory / "components.cfg"
        write_if_changed(str(profile), profile_of(parts, kept.directory))
        _build(directory, profile, kept.options["download_cache"])
        locations: dict[str, str] = json.loads((directory / LOCATIONS).read_text())
    return {name: Component(name, {part: locations[part] for part in parts if part in used[name]}) for name in names}


def profile_of(parts: Sequence[str], kept: Path) -> str:
    """The text of a profile that builds ``parts`` into the store of the kept builds in ``kept``."""
    extended = "".join(f"\n  {kept}/catalogue/component/{part}/buildout.cfg" for part in parts)
    locations = "".join(f"{part} = ${{{part}:location}}\n" for part in parts)
    return (
        f"[buildout]\nextends ={extended}\nstore = {kept}/store\nparts = locations\n\n"
        f"[locations]\nrecipe = hyperopenx:jsondump\njson-output = ${{buildout:directory}}/{LOCATIONS}\n{locations}"
    )


def _build(directory: Path, profile: Path, cache: str) -> None:
    prepare(str(directory), str(profile))
    log = str(directory / "build.log")
    job = build_job(directory=str(directory), url=str(profile), log=log, download_cache=cache)
    result = execute(job, _show)
    record_build(str(directory), str(profile), result)
    if result.outcome != "done":
        raise _failed(result)


def _failed(result: Result) -> BuildFailed:
    lines = [f"{part.part}: {part.sentence}" for part in result.parts if part.sentence]
    lines += [f"| {line}" for error in result.errors for line in error["context"].get("tail", [])]
    return BuildFailed("\n".join([result.sentence, *lines]), reference="components-not-built")


def _show(progress: Progress) -> None:
    if progress.stage != "start":
        _say(f"[{progress.index}/{progress.total}] {progress.part}: {progress.stage} ({progress.elapsed:.0f} s)")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def main(arguments: Sequence[str]) -> int:
    """Build the components that are named, or all, of the clone that lies in the working directory."""
    names = list(arguments) or component_names(".")
    for name, component in build_components(names, ".").items():
        _say(f"{name}  {component.location}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
