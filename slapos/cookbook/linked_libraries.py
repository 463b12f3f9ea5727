"""``slapos_promise``: files that a built part must have, and what its libraries are linked with."""

from __future__ import annotations

import os
import re

from slapos.build.recipe import Recipe
from slapos.model.errors import BuildFailed
from slapos.system.processes import run

_DYNAMIC = re.compile(r"\((NEEDED|RPATH|RUNPATH)\)[^\[]*\[([^\]]*)\]")


def check_promises(recipe: Recipe, option: str, location: str) -> None:
    """Lines ``file:``, ``directory:``, ``statlib:`` and ``dynlib:<path> linked:<names> rpath:<paths>``.

    ``BuildFailed`` ``broken-promise`` names all that do not hold.
    """
    problems = [problem for line in recipe.lines(option, ()) for problem in _problems(recipe, option, line, location)]
    if problems:
        raise BuildFailed(
            f"{recipe.name}: {' '.join(problems)}", reference="broken-promise", context={"missing": problems}
        )


def _problems(recipe: Recipe, option: str, line: str, location: str) -> list[str]:
    kind, _, rest = line.partition(":")
    path = os.path.join(location, rest.split()[0] if rest.split() else "")
    if kind in ("file", "statlib"):
        return [] if os.path.exists(path) else [f"The file {path} is missing."]
    if kind == "directory":
        return [] if os.path.isdir(path) else [f"The directory {path} is missing."]
    if kind == "dynlib":
        facts = {word.partition(":")[0]: word.partition(":")[2] for word in line.split()}
        if "linked" not in facts:
            raise recipe.error(option, "dynlib: needs linked:.", reference="invalid-option")
        return _library_problems(path, facts, location)
    raise recipe.error(option, f"{line[:80]!r} is no promise.", reference="invalid-option")


def _library_problems(path: str, facts: dict[str, str], location: str) -> list[str]:
    if not os.path.exists(path):
        return [f"The library {path} is missing."]
    needed, paths = linked_with(path)
    problems = []
    if sorted(facts["linked"].split(",")) != needed:
        problems.append(f"{path} is linked with {', '.join(needed)}, not {facts['linked']}.")
    wanted = [text.replace("!", location) for text in filter(None, facts.get("rpath", "").split(","))]
    if sorted(wanted) != paths:
        problems.append(f"{path} has the rpath {':'.join(paths)}, not {':'.join(sorted(wanted))}.")
    return problems


def linked_with(path: str) -> tuple[list[str], list[str]]:
    """Names of the libraries that an ELF file needs, and where it looks for them; both sorted."""
    done = run(["readelf", "-d", path], timeout=60.0)
    found = _DYNAMIC.findall(done.text)
    needed = sorted(value for kind, value in found if kind == "NEEDED")
    places = {value for kind, value in found if kind != "NEEDED"}
    return needed, sorted(place.rstrip("/") for value in places for place in value.split(":") if place)
