"""The base class of our recipes, and what a recipe says about itself without running.

A recipe is three answers: ``describe`` (pure: what would it give to others, what would it fetch), ``setup`` (effects
when its section is first used, for the few that ask the master) and ``install``/``update`` (the work).  A plan calls
``describe`` only.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import logging
import os
import time
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Protocol

from slapos.build.options import REQUIRED, OptionsView, Required
from slapos.build.values import Value, checked
from slapos.model.errors import ProfileError
from slapos.model.profiles import Source

__all__ = ["Description", "Ingredients", "OptionsView", "Recipe", "Source", "Value", "identity"]


@dataclass(frozen=True)
class Description:
    """What a part gives to others (``outputs``: option → value) and what it would fetch."""

    outputs: Mapping[str, Value] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True)
class Ingredients:
    """What a stored part is made from besides its options, its sources and the parts that these name.

    ``patches``: (name, sha256) in order; ``texts``: further inputs by name, counted like options.  ``private``: why
    this part cannot be in the store, as the end of a sentence that begins with the part; empty when it can.
    """

    patches: tuple[tuple[str, str], ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    private: str = ""


class Profile(Protocol):
    """What a recipe may use of the running profile (our ``Buildout``)."""

    def __getitem__(self, section: str) -> MutableMapping[str, Any]: ...


class Recipe:
    """Base of our recipes; a subclass defines ``install`` and, where it has outputs, ``describe``.

    ``stored``: its parts may lie in the store (see :mod:`slapos.build.store.site` for what it then has to do);
    ``compiles``: what it makes depends on the compiler and headers of the machine; ``host_packages``: what else of the
    machine it needs to build, by the names of Debian's packages; ``runs_commands``: it does so though its parts are
    never stored, and therefore without a sandbox.
    """

    interface: ClassVar[int] = 1
    stored: ClassVar[bool] = False
    compiles: ClassVar[bool] = True
    host_packages: ClassVar[tuple[str, ...]] = ()
    runs_commands: ClassVar[bool] = False

    def __init__(self, buildout: Profile, name: str, options: MutableMapping[str, Any]) -> None:
        self.buildout = buildout
        self.name = name
        self.options = options
        self.view = view_of(buildout, name, options)
        self.directory = self.view.directory
        self.logger = logging.getLogger(f"slapos.build.{name}")
        self.stages: dict[str, float] = {}
        self.description = type(self).describe(name, self.view)
        for option, value in self.description.outputs.items():
            self.set(option, value)
        self.setup()

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """Pure: no effect, nothing read but ``options``.  Its outputs become options that are never evaluated."""
        return Description()

    @classmethod
    def ingredients(cls, name: str, options: OptionsView, profile: Profile) -> Ingredients:
        """For ``stored`` recipes, before ``describe``: no effect; may read files that options name (patches) and
        sections of ``profile``, which then count as used by the part."""
        return Ingredients()

    def setup(self) -> None:
        """Effects at the first use of the section; may raise ``NotReady``.  Most recipes need none."""

    def fetch_ahead(self) -> None:
        """Bring into the download cache what ``install`` needs of the network besides the description's sources.

        For ``stored`` recipes, before any part is built, in one of several threads.  What only a part that is not
        built yet can tell is left to ``install``.
        """

    def install(self) -> list[str]:
        """Do the work; return the absolute paths that belong to the part.

        May find the result of an earlier installation in place: old files go only after the whole run succeeded.
        """
        raise NotImplementedError(f"{type(self).__name__}.install")

    def update(self) -> list[str]:
        """Called instead of :meth:`install` when nothing changed; returns paths that are new."""
        return []

    def is_in_place(self) -> bool:
        """Whether :meth:`update` would find nothing to do; False when nobody knows before."""
        return type(self).update is Recipe.update

    def late_option(self, option: str) -> Value:
        """The value of an option that is made only when somebody asks for it; None when there is none."""
        return None

    def fingerprint(self) -> str:
        """What the part is made from besides its options (files that it reads); a change installs it again."""
        return ""

    @property
    def location(self) -> str:
        """The option ``location``, by default ``parts/<name>``."""
        return self.text("location", os.path.join(self.view.parts_directory, self.name))

    @property
    def previous(self) -> Mapping[str, Value]:
        """The options with which this part was last installed; empty when it never was."""
        previous: Mapping[str, Value] = getattr(self.options, "previous", {})
        return previous

    def text(self, option: str, default: str | Required = REQUIRED) -> str:
        """See :meth:`OptionsView.text`."""
        return self.view.text(option, default)

    def boolean(self, option: str, default: bool | Required = REQUIRED) -> bool:
        """See :meth:`OptionsView.boolean`."""
        return self.view.boolean(option, default)

    def integer(self, option: str, default: int | Required = REQUIRED) -> int:
        """See :meth:`OptionsView.integer`."""
        return self.view.integer(option, default)

    def lines(self, option: str, default: list[str] | tuple[str, ...] | Required = REQUIRED) -> list[str]:
        """See :meth:`OptionsView.lines`."""
        return self.view.lines(option, default)

    def names(self, option: str, default: list[str] | tuple[str, ...] | Required = REQUIRED) -> list[str]:
        """See :meth:`OptionsView.names`."""
        return self.view.names(option, default)

    def words(self, option: str, default: list[str] | tuple[str, ...] | Required = REQUIRED) -> list[str]:
        """See :meth:`OptionsView.words`."""
        return self.view.words(option, default)

    def value(self, option: str, default: Any = REQUIRED) -> Any:
        """The Python value of an option."""
        return self.view.value(option, default)

    def set(self, option: str, value: Any) -> None:
        """Give an option a value that is data: never evaluated, whatever it contains."""
        self.options[option] = checked(value)

    def stage(self, stage: str) -> None:
        """Tell who watches the run what the part does now, in a word: ``fetch``, ``configure``, ``make``.

        ``stages`` keeps when each began (monotonic seconds), for the record of a stored part.
        """
        self.stages.setdefault(stage, time.monotonic())
        getattr(self.buildout, "stage", lambda stage: None)(stage)

    def error(self, option: str, sentence: str, *, reference: str = "", hint: str = "") -> ProfileError:
        """An error about one option of this part, with its file and line, to raise."""
        return self.view.error(option, sentence, reference=reference, hint=hint)


def view_of(buildout: Profile, name: str, options: MutableMapping[str, Any]) -> OptionsView:
    """The view that ``describe`` gets for the section ``name``."""
    main = buildout["buildout"]
    return OptionsView(
        section=name,
        values=options,
        directory=str(main["directory"]),
        parts_directory=str(main["parts-directory"]),
        origin=getattr(options, "origin", lambda option: None),
    )


@cache
def identity(recipe: type) -> str:
    """``interface=<n> source=<digest>``: changes when what the recipe does may have changed.

    The digest covers the syntax trees of the modules that define the class and its bases below :class:`Recipe`:
    a comment or a line break changes nothing.
    """
    modules = {inspect.getfile(kind): None for kind in reversed(recipe.__mro__) if kind not in (object, Recipe)}
    digest = hashlib.sha256()
    for path in modules:
        digest.update(_code(path))
    return f"interface={getattr(recipe, 'interface', 0)} source={digest.hexdigest()[:16]}"


def _code(path: str) -> bytes:
    source = Path(path).read_bytes()
    try:
        return ast.dump(ast.parse(source)).encode()
    except SyntaxError:  # a recipe that is not Python source
        return source
