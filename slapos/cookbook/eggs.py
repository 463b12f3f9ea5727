"""Python distributions that a release installed for its own programs, as paths."""

from __future__ import annotations

import os
import re

from slapos.build.recipe import Recipe
from slapos.build.requirements import normalised

# What these give is part of our own distribution, which every launcher of ours runs in.
_OURS = frozenset({"hyperopenx", "slapos-core", "slapos-cookbook"})
# The best known of its promises are ours, too, for releases that do not install it.
_OPTIONAL = frozenset({"slapos-toolbox"})


def egg_paths(recipe: Recipe) -> list[str]:
    """Absolute paths for the option ``eggs``: all eggs of the release when it names one that is not ours.

    The whole directory and not only what is named: which other eggs those need is known to their installer alone.
    """
    wanted = {normalised(re.split(r"[\[<>=!~; ]", name)[0]) for name in recipe.names("eggs", ())} - _OURS
    if not wanted:
        return []
    main = recipe.buildout["buildout"]
    found = [path for option in ("develop-eggs-directory", "eggs-directory") for path in _eggs(str(main[option]))]
    known = {normalised(os.path.basename(path).split("-")[0]) for path in found}
    missing = sorted(wanted - known - _OPTIONAL)
    if missing:
        raise recipe.error(
            "eggs",
            f"{', '.join(missing)} is not installed in the release.",
            reference="missing-egg",
            hint="Install it with a part of the software profile, and set eggs-directory in the instance profile.",
        )
    return found if wanted & known else []


def _eggs(directory: str) -> list[str]:
    try:
        entries = sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    result = []
    for name in entries:
        path = os.path.join(directory, name)
        if name.endswith(".egg"):
            result.append(path)
        elif name.endswith(".egg-link"):
            with open(path, encoding="utf-8") as stream:
                result.append(stream.readline().strip())
    return result
