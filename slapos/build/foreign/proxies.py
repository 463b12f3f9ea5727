"""What a foreign recipe sees of the running profile: ``buildout`` and ``options``, read and written in the engine.

Nothing is kept here: each look-up is a call, so that a value is evaluated by the engine, in its order and with its
errors.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import zc.buildout
import zc.buildout.buildout

Ask = Callable[..., Any]
"""``ask(method, *arguments)``: a call of the engine; raises :class:`EngineError`."""


class EngineError(zc.buildout.UserError):  # type: ignore[misc]
    """The engine refused; ``key`` tells it which of its errors this was."""

    def __init__(self, message: str, *, key: int) -> None:
        super().__init__(message)
        self.key = key

    def __str__(self) -> str:
        return str(self.args[0])


class Missing(EngineError, zc.buildout.buildout.MissingOption):  # type: ignore[misc]
    """An option that does not exist."""


class MissingSection(EngineError, zc.buildout.buildout.MissingSection):  # type: ignore[misc]
    """A section that does not exist."""


class Options(zc.buildout.buildout.Options):  # type: ignore[misc]
    """One section."""

    def __init__(self, *, buildout: Buildout, name: str) -> None:
        self.buildout = buildout
        self.name = name
        self.recipe: Any = None
        self._created: list[str] | None = None

    def get(self, option: str, default: Any = None, seen: Any = None) -> Any:
        found = self.buildout.ask("get", self.name, option)
        return default if found is None else found["value"]

    def __getitem__(self, option: str) -> Any:
        return self.buildout.ask("item", self.name, option)

    def __setitem__(self, option: str, value: Any) -> None:
        self.buildout.ask("set", self.name, option, plain(value))

    def __delitem__(self, option: str) -> None:
        self.buildout.ask("delete", self.name, option)

    def __contains__(self, option: object) -> bool:
        return option in self.keys()

    def keys(self) -> list[str]:
        names: list[str] = self.buildout.ask("options", self.name)
        return names

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def copy(self) -> dict[str, Any]:
        values: dict[str, Any] = self.buildout.ask("copy", self.name)
        return values

    def _sub(self, template: str, seen: Any = None) -> str:
        text: str = self.buildout.ask("substitute", self.name, template)
        return text

    @property
    def _raw(self) -> dict[str, str]:
        texts: dict[str, str] = self.buildout.ask("texts", self.name)
        return texts

    @property
    def _data(self) -> dict[str, Any]:
        return self.copy()

    def call(self, method: Callable[[], Any]) -> Any:
        """Run a method of the recipe where stock buildout does, in the directory of the profile."""
        directory = self.buildout["buildout"]["directory"]
        self._created = []
        os.chdir(directory)
        try:
            return method()
        finally:
            self._created = None
            os.chdir(directory)


class Buildout(MutableMapping[str, Options]):
    """The profile."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self._sections: dict[str, Options] = {}

    def __getitem__(self, section: str) -> Options:
        self.ask("section", section)
        return self.known(section)

    def known(self, section: str) -> Options:
        """The proxy of a section, without making the engine evaluate it."""
        return self._sections.setdefault(section, Options(buildout=self, name=section))

    def __setitem__(self, section: str, options: Any) -> None:
        self.ask("add", section, plain(dict(options)))

    def __delitem__(self, section: str) -> None:
        raise NotImplementedError("__delitem__")

    def __contains__(self, section: object) -> bool:
        return section in self.ask("sections")

    def __iter__(self) -> Iterator[str]:
        return iter(self.ask("sections"))

    def __len__(self) -> int:
        return len(self.ask("sections"))

    def parse(self, text: str) -> None:
        """Add sections written in the language of profiles."""
        self.ask("parse", text)

    @property
    def _raw(self) -> dict[str, dict[str, str]]:
        return {name: self.ask("texts", name) for name in self}

    @property
    def offline(self) -> bool:
        """Whether nothing may be fetched."""
        return bool(self.known("buildout").get("offline") == "true")

    @property
    def newest(self) -> bool:
        """Whether newer eggs are looked for although one that fits is there."""
        return bool(self.known("buildout").get("newest") == "true")

    @property
    def versions(self) -> dict[str, str]:
        """The section ``[versions]``."""
        return self.known("versions").copy()

    @property
    def _links(self) -> list[str]:
        return str(self.known("buildout").get("find-links") or "").split()

    @property
    def _allow_hosts(self) -> tuple[str, ...]:
        return tuple(str(self.known("buildout").get("allow-hosts") or "*").split())


def plain(value: Any) -> Any:
    """``value`` as JSON carries it: sets sorted, tuples as lists; ``TypeError`` for what it cannot carry."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, MutableMapping | dict):
        return {key: plain(item) for key, item in value.items() if isinstance(key, str) or _bad_key(key)}
    if isinstance(value, set | frozenset):
        return [plain(item) for item in sorted(value)]
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    raise TypeError(f"Option values must be texts, numbers, lists or dictionaries, not {type(value).__name__}")


def _bad_key(key: object) -> bool:
    raise TypeError(f"Keys of an option's dictionary must be texts, not {key!r}")
