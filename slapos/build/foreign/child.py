"""The interpreter of foreign recipes: executed as a script, with the number of its socket.

It installs the distribution of a recipe, creates the recipe, and runs its methods when the engine asks.  What the
recipe reads and sets goes back to the engine.  One interpreter serves all parts of one distribution.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any

import zc.buildout
from packaging.utils import canonicalize_name

_OURS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
if _OURS not in sys.path:  # an editable installation
    sys.path.append(_OURS)

from slapos.build.foreign import eggs  # noqa: E402
from slapos.build.foreign.channel import Channel, Gone  # noqa: E402
from slapos.build.foreign.proxies import (  # noqa: E402
    Buildout,
    EngineError,
    Missing,
    MissingSection,
)
from slapos.system.namespace import unite  # noqa: E402

_KINDS = {"missing-option": Missing, "missing-section": MissingSection}
_GROUPS = ("zc.buildout", "zc.buildout.uninstall")


class Interpreter:
    """Answers the engine."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.buildout = Buildout(self.ask)
        self.distributions: list[Any] = []
        self.recipes: dict[str, Any] = {}

    def ask(self, method: str, *arguments: Any) -> Any:
        """A call of the engine; :class:`EngineError` with its sentence when it refuses."""
        answer = self.channel.call(method, *arguments, serve=self.serve)
        failure = answer.get("failure")
        if failure is not None:
            raise _KINDS.get(failure["kind"], EngineError)(failure["message"], key=failure["key"])
        return answer["value"]

    def serve(self, method: str, arguments: list[Any]) -> dict[str, Any]:
        """Do what the engine asks; whatever a recipe raises comes back as data."""
        methods: dict[str, Callable[..., Any]] = {
            "prepare": self.prepare,
            "create": self.create,
            "run": self.run,
            "uninstall": self.uninstall,
        }
        try:
            return {"value": methods[method](*arguments)}
        except Gone:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - door: a recipe of somebody else may raise anything
            return {"failure": _failure(error)}

    def prepare(self, requirement: str, settings: dict[str, Any]) -> list[str]:
        """Install the distribution and import from it; ``name==version`` of all that came with it."""
        sources = eggs.Sources(
            index=settings["index"],
            links=tuple(settings["links"]),
            versions=settings["versions"],
            offline=settings["offline"],
            cache=settings["cache"],
            work=settings["work"],
            allow_picked=settings["allow-picked"],
            prefer_final=settings["prefer-final"],
        )
        eggs.take_over(sources)
        self.distributions = eggs.install_recipe(requirement, settings["eggs"], settings["develop-eggs"], sources)
        found = [dist.location for dist in self.distributions]
        sys.path[0:0] = [path for path in dict.fromkeys(found) if path not in sys.path]
        return sorted(f"{dist.project_name}=={dist.version}" for dist in self.distributions)

    def create(self, part: str, project: str, entry: str) -> None:
        """Make the recipe of a part."""
        kind = self._load(project, _GROUPS[0], entry)
        if kind is None:
            known = ", ".join(sorted(self._entries(project, _GROUPS[0]))) or "none"
            raise zc.buildout.UserError(f"{project} has no recipe {entry!r} (it has: {known}).")
        options = self.buildout.known(part)
        options.recipe = kind(self.buildout, part, options)

    def run(self, part: str, method: str) -> list[str]:
        """``install`` or ``update`` of a part: the paths that it made."""
        options = self.buildout.known(part)
        recipe = options.recipe
        answer = options.call(getattr(recipe, method, None) or recipe.install)
        paths = [answer] if isinstance(answer, str) else list(answer or ())
        return [os.fspath(path) for path in paths]

    def uninstall(self, part: str, project: str, entry: str, options: dict[str, Any]) -> bool:
        """Whether the distribution has something to do before a part goes; it is done."""
        hook = self._load(project, _GROUPS[1], entry)
        if hook is not None:
            hook(part, options)
        return hook is not None

    def _load(self, project: str, group: str, entry: str) -> Any:
        point = self._entries(project, group).get(entry)
        return None if point is None else point.resolve()

    def _entries(self, project: str, group: str) -> dict[str, Any]:
        wanted = canonicalize_name(project)
        for dist in self.distributions:
            if canonicalize_name(dist.project_name) == wanted:
                found: dict[str, Any] = dist.get_entry_map(group)
                return found
        return {}


def _failure(error: BaseException) -> dict[str, Any]:
    """What the engine needs to know of an error; ``key`` when it was the engine's own."""
    known = isinstance(error, zc.buildout.UserError)
    if not isinstance(error, EngineError | zc.buildout.UserError):
        sys.stderr.write("".join(traceback.format_exception(error)))
        sys.stderr.flush()
    kind = "unreachable" if isinstance(error, eggs.Unreachable) else "user" if known else "defect"
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return {
        "kind": kind,
        "type": type(error).__name__,
        "message": str(error) or type(error).__name__,
        "key": error.key if isinstance(error, EngineError) else None,
        "place": place,
    }


def main(arguments: list[str]) -> None:
    """Serve until the engine ends."""
    unite()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    connection = socket.socket(fileno=int(arguments[0]))
    os.set_inheritable(connection.fileno(), False)
    interpreter = Interpreter(Channel(connection))
    interpreter.channel.serve(interpreter.serve)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads that a recipe left must not keep the interpreter


if __name__ == "__main__":
    main(sys.argv[1:])
