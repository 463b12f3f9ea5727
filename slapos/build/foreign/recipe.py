"""Recipes of other people: each runs in an interpreter of its own, with the eggs of the release.

The engine sees a recipe like any other: outputs are data, failures are errors with part, file and line.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

import zc.buildout

from slapos.build.foreign.channel import Channel, Gone
from slapos.build.options import Origin, profile_error
from slapos.build.profile.load import joined
from slapos.build.recipe import Recipe
from slapos.build.values import Value, as_text, checked
from slapos.model.errors import BuildFailed, HyperopenxError, Unavailable
from slapos.system.processes import Launch, Started, start
from slapos.system.proctable import end_tree
from slapos.system.removal import remove_tree

if TYPE_CHECKING:
    from slapos.build.profile.buildout import Buildout

_CHILD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "child.py")
_log = logging.getLogger(__name__)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._, -]*\])?(\s*[<>=!~].*)?")
END_SECONDS = 2.0
_EXTRAS = re.compile(r"[\[<>=!~ ]")
_REFUSED = (HyperopenxError, zc.buildout.UserError, KeyError, OSError)


class Interpreter:
    """The interpreter of one distribution in one run; started when its first part is."""

    def __init__(self, buildout: Buildout, *, requirement: str) -> None:
        self.buildout = buildout
        self.requirement = requirement
        self.project = _EXTRAS.split(requirement)[0]
        self.errors: list[Exception] = []
        self.process: Started | None = None
        self.versions: list[str] = []
        self.refusal: Failed | None = None

    def call(self, method: str, *arguments: Any) -> Any:
        """The answer; the engine's own error again when that is what the recipe met, else :class:`Failed`."""
        try:
            answer = self._channel().call(method, *arguments, serve=self._serve)
        except Gone:
            raise BuildFailed(
                f"The interpreter of {self.project} ended.", reference="recipe-ended", context=self._context
            ) from None
        failure = answer.get("failure")
        if failure is None:
            return answer["value"]
        if failure["key"] is not None:
            raise self.errors[failure["key"]]
        raise Failed(failure)

    def prepare(self) -> None:
        """Install the distribution and all that it needs."""
        if self.refusal is not None:
            raise self.refusal  # nothing changed since another part asked
        if not self.versions:
            self._make_directories()
            try:
                self.versions = self.call("prepare", self.requirement, self._settings())
            except Failed as failed:
                self.refusal = failed
                raise

    def close(self) -> None:
        """End it: it ends by itself when nobody is at the other end."""
        if self.process is not None:
            self.channel.close()
            self.connection.close()
            if not self.process.ends_within(END_SECONDS):  # an interrupt left it at work
                end_tree(self.process.pid, 1.0)
                self.process.popen.wait()
            self.process = None
            remove_tree(self._work)

    @property
    def _context(self) -> dict[str, Any]:
        return {"distribution": self.project}

    def _channel(self) -> Channel:
        if self.process is None:
            self.connection, other = socket.socketpair()
            with other:
                command = [sys.executable, "-I", _CHILD, str(other.fileno())]
                launch = Launch(directory=self.buildout._buildout_dir, environment=dict(os.environ), umask=_umask())
                self.process = start(command, launch=launch, output=2, keep=(other.fileno(),))
            self.channel = Channel(self.connection)
        return self.channel

    def _make_directories(self) -> None:
        """Recipes take the directories of a profile for made; those of the release may belong to somebody else."""
        main = self.buildout["buildout"]
        for option in ("bin-directory", "parts-directory", "develop-eggs-directory", "eggs-directory"):
            path = as_text(main[option])
            if not os.path.isdir(path):
                os.makedirs(path, exist_ok=True)
        if not self.buildout.offline:
            remove_tree(self._work)  # of a run that was killed
            os.makedirs(self._work)

    @property
    def _work(self) -> str:
        """For what pip fetches; beside the state, of which there is one per running profile."""
        return f"{self.buildout.state_path}.{self.project}.fetched"

    def _settings(self) -> dict[str, Any]:
        main = self.buildout["buildout"]
        cache = as_text(main.get("download-cache", ""))
        directory = self.buildout._buildout_dir
        return {
            "index": as_text(main.get("index", "")),
            "links": [joined(directory, link) for link in as_text(main.get("find-links", "")).split()],
            "versions": {
                name: as_text(value) for name, value in self.buildout[self._versions_section()].copy().items()
            },
            "offline": self.buildout.offline,
            "eggs": as_text(main["eggs-directory"]),
            "develop-eggs": as_text(main["develop-eggs-directory"]),
            "allow-picked": as_text(main["allow-picked-versions"]) != "false",
            "prefer-final": as_text(main["prefer-final"]) != "false",
            "work": self._work,
            "cache": os.path.join(cache, "pip") if cache else "",
        }

    def _versions_section(self) -> str:
        name = as_text(self.buildout["buildout"].get("versions", "versions"))
        return name if name in self.buildout else "versions"

    def _serve(self, method: str, arguments: list[Any]) -> dict[str, Any]:
        """What a recipe asks while it works."""
        try:
            return {"value": _ANSWERS[method](self.buildout, *arguments)}
        except _REFUSED as error:
            self.errors.append(error)
            kinds = {"missing-option", "missing-section"}
            reference = error.reference if isinstance(error, HyperopenxError) else ""
            if isinstance(error, zc.buildout.buildout.MissingSection):
                reference = "missing-section"
            kind = reference if reference in kinds else ""
            return {"failure": {"kind": kind, "message": str(error), "key": len(self.errors) - 1}}


class Failed(Exception):
    """A recipe raised something; ``failure`` is what its interpreter tells of it."""

    def __init__(self, failure: Mapping[str, Any]) -> None:
        super().__init__(failure["message"])
        self.failure = failure


class Foreign(Recipe):
    """A part whose recipe is not ours; a subclass per name is made by :func:`foreign_recipe`."""

    requirement: ClassVar[str]
    entry: ClassVar[str]

    def setup(self) -> None:
        """Create the recipe: it may set options and ask for other sections."""
        interpreter = self._interpreter
        self._asked(interpreter.prepare)
        self._asked(lambda: interpreter.call("create", self.name, interpreter.project, self.entry))

    def install(self) -> list[str]:
        return self._run("install")

    def update(self) -> list[str]:
        return self._run("update")

    def fingerprint(self) -> str:
        """The versions of the recipe and of all that it needs."""
        return " ".join(self._interpreter.versions)

    @property
    def _interpreter(self) -> Interpreter:
        return interpreter_of(cast("Buildout", self.buildout), self.requirement)

    def _run(self, method: str) -> list[str]:
        paths: list[str] = self._asked(lambda: self._interpreter.call("run", self.name, method))
        return paths

    def _asked(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except Failed as failed:
            raise self._error(failed.failure) from None

    def _error(self, failure: Mapping[str, Any]) -> HyperopenxError:
        origin = self.view.origin("recipe")
        context = {"section": self.name, "distribution": self._interpreter.project, "place": failure["place"]}
        if origin is not None:
            context |= {"file": origin.file, "line": origin.line}
        message = failure["message"].strip()
        if failure["kind"] == "unreachable":
            return Unavailable(
                f"{self.name}: {message}", reference="no-distribution", context=context, hint=_INDEX_HINT
            )
        if failure["kind"] == "user":
            hint = _OFFLINE_HINT if "offline" in message else ""
            sentence = " ".join(message.split()) if hint else message
            return self.error("recipe", sentence, reference="recipe-refused", hint=hint)
        sentence = f"{self.name}: the recipe {self.text('recipe')} failed: {failure['type']}: {message}"
        hint = f"It was raised at {failure['place']}; the log has the whole traceback."
        return BuildFailed(sentence, reference="recipe-failed", context=context, hint=hint)


_INDEX_HINT = "Name an index or find-links in [buildout], or configure pip on this machine."
_OFFLINE_HINT = "This run is offline: let the software profile install it, and set eggs-directory to the release's."


def foreign_recipe(name: str, origin: Origin | None, section: str) -> type[Foreign]:
    """The class for a recipe name that is not ours."""
    requirement, _, entry = name.rpartition(":")
    if not _NAME.fullmatch(requirement.strip()) or not entry.strip():
        raise profile_error(
            f"there is no recipe {name!r}: a name is <distribution> or <distribution>:<entry>.",
            section=section,
            option="recipe",
            origin=origin,
            reference="unknown-recipe",
        )
    return type(
        "Foreign", (Foreign,), {"requirement": requirement.strip(), "entry": entry.strip(), "__module__": __name__}
    )


def interpreter_of(buildout: Buildout, requirement: str) -> Interpreter:
    """The interpreter of a distribution in this run; one for all its parts."""
    known: dict[str, Interpreter] = buildout.interpreters
    return known.setdefault(requirement, Interpreter(buildout, requirement=requirement))


def uninstall(buildout: Buildout, part: str, options: Mapping[str, Value]) -> None:
    """Let a foreign recipe do what it does before its part goes; a failure is told and changes nothing."""
    requirement, _, entry = as_text(options.get("recipe", "")).strip().partition(":")
    interpreter = interpreter_of(buildout, requirement)
    try:
        interpreter.prepare()
        interpreter.call("uninstall", part, interpreter.project, entry or "default", dict(options))
    except (Failed, HyperopenxError, zc.buildout.UserError) as error:
        _log.warning("%s: what its recipe does when it goes was not done: %s", part, error)


def _umask() -> int:
    umask = os.umask(0o022)
    os.umask(umask)
    return umask


def _section(buildout: Buildout, section: str) -> None:
    buildout[section]


def _get(buildout: Buildout, section: str, option: str) -> dict[str, Any] | None:
    options = buildout[section]
    return {"value": options[option]} if option in options else _computed(buildout, section, option)


def _computed(buildout: Buildout, section: str, option: str) -> dict[str, Any] | None:
    if option not in ("_profile_base_location_", "_buildout_section_name_"):
        return None
    return {"value": buildout[section][option]}


def _set(buildout: Buildout, section: str, option: str, value: Any) -> None:
    buildout[section][option] = checked(value)


def _delete(buildout: Buildout, section: str, option: str) -> None:
    del buildout[section][option]


def _texts(buildout: Buildout, section: str) -> dict[str, str]:
    options = buildout[section]
    return dict(options._raw)


_ANSWERS: dict[str, Callable[..., Any]] = {
    "section": _section,
    "get": _get,
    "item": lambda buildout, section, option: buildout[section][option],
    "set": _set,
    "delete": _delete,
    "options": lambda buildout, section: list(buildout[section].keys()),
    "copy": lambda buildout, section: buildout[section].copy(),
    "substitute": lambda buildout, section, text: buildout[section]._sub(text),
    "texts": _texts,
    "add": lambda buildout, section, options: buildout.__setitem__(section, options),
    "sections": list,
    "parse": lambda buildout, text: buildout.parse(text),
}
