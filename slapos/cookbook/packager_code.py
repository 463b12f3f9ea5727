"""Python of a packager's, run in this process: hooks of ``cmmi`` and the scripts of ``slapos.recipe.build``.

It runs in the process of one run, as everything of a profile does, and may do what that may.  Whatever it raises
becomes an error that names the part, the option and the line of the text.
"""

from __future__ import annotations

import linecache
import os
import traceback
from collections.abc import Callable
from types import CodeType, TracebackType
from typing import Any

import zc.buildout

from slapos.build.recipe import Recipe
from slapos.model.errors import BuildFailed, HyperopenxError


def compiled_text(recipe: Recipe, option: str, text: str) -> CodeType:
    """The code of a text, which tracebacks can show; ``ProfileError`` ``invalid-option`` with the line."""
    name = f"<[{recipe.name}] {option}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    try:
        return compile(text, name, "exec")
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        at = f" in its line {line}" if line else ""
        raise recipe.error(option, f"is no Python{at}: {error}.", reference="invalid-option") from None


def run_code(recipe: Recipe, option: str, text: str, names: dict[str, Any]) -> None:
    """Execute a text with ``names`` as its globals."""
    code = compiled_text(recipe, option, text)
    with Told(recipe, option=option):
        exec(code, names)


def load_function(recipe: Recipe, option: str, source: str, name: str) -> Callable[..., Any]:
    """The function ``name`` of a module that is given as text."""
    names: dict[str, Any] = {"__name__": f"hook_{name}", "__file__": f"<[{recipe.name}] {option}>"}
    run_code(recipe, option, source, names)
    found = names.get(name)
    if not callable(found):
        raise recipe.error(option, f"there is no function {name[:60]!r}.", reference="invalid-option")
    function: Callable[..., Any] = found
    return function


class Told:
    """Around code of a packager's, in the directory ``directory``.

    Any exception that is not one of ours becomes ``BuildFailed`` ``packagers-code``.
    """

    def __init__(self, recipe: Recipe, *, option: str, directory: str = "") -> None:
        self.recipe = recipe
        self.option = option
        self.directory = directory or recipe.directory
        self.before = ""

    def __enter__(self) -> None:
        self.before = os.getcwd()
        os.chdir(self.directory)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.chdir(self.before)
        if not isinstance(error, Exception) or isinstance(error, HyperopenxError | zc.buildout.UserError):
            return
        frames = traceback.extract_tb(trace)
        own = [frame for frame in frames if frame.filename == f"<[{self.recipe.name}] {self.option}>"]
        line = f", line {own[-1].lineno}" if own else ""
        raise BuildFailed(
            f"{self.recipe.name}: {self.option}{line} failed: {type(error).__name__}: {error}",
            reference="packagers-code",
            context={"option": self.option, "tail": "".join(traceback.format_list(frames)).splitlines()[-30:]},
            hint="The traceback is in the context of this error.",
        ) from error
