"""One section of a running profile: our ``Options``.

Text of the profile is compiled and evaluated once; values set by recipes, and values that ``dumps`` wrote, are data.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import zc.buildout.buildout

from slapos.build.options import Origin, profile_error
from slapos.build.profile.expression import BadReference, Part, Reference, compiled
from slapos.build.profile.reader import Section, final_text
from slapos.build.profile.splitting import items, split_lines, split_names, split_words
from slapos.build.profile.stored import Private, stored_part
from slapos.build.recipe import Description, Recipe, identity, view_of
from slapos.build.store.site import Stored
from slapos.build.values import MARKER, Value, as_text, checked, loads
from slapos.model.errors import ProfileError

if TYPE_CHECKING:
    from slapos.build.profile.buildout import Buildout

BASE_LOCATION = "_profile_base_location_"
SECTION_NAME = "_buildout_section_name_"


class MissingOption(ProfileError, zc.buildout.buildout.MissingOption):  # type: ignore[misc]
    """An option that does not exist was read; also the ``KeyError`` that foreign recipes expect."""


class Undescribed(str):
    """In a plan: the value of an option that only running its recipe would tell."""


class Options(zc.buildout.buildout.Options):  # type: ignore[misc]
    """A section; reads like a mapping option → Python value."""

    buildout: Buildout
    name: str

    def __init__(self, buildout: Buildout, section: str, data: Section) -> None:
        self.recipe: Any = None
        self.recipe_class: type | None = None
        self.description = Description()
        self.stored: Stored | None = None
        self.private = ""
        self.steps = data
        self.ready = False
        self._created: list[str] = []
        self._given: set[str] = set()
        super().__init__(buildout, section, {option: final_text(steps) for option, steps in data.items()})

    def _initialize(self) -> None:
        """Evaluate every option, then create the recipe; called once by the profile."""
        for option, text in sorted(self._raw.items()):
            if "${" in text or text.startswith(MARKER):
                self.get(option)
        if self.name != "buildout":
            for name in as_text(self.get("<part-dependencies>", "")).split():
                self._require(name)
            if self.get("recipe"):
                self.initialize()
                self.buildout._parts.append(self.name)
        self.ready = True

    def initialize(self) -> None:
        """Create the recipe, or in a plan only describe it."""
        name = as_text(self["recipe"]).strip()
        if ":" not in name:
            name += ":default"
        self.recipe_class = self.buildout.recipes.find(name, self.origin("recipe"), self.name)
        self._find_place()
        if not self.buildout.describe_only:
            self.recipe = self.recipe_class(self.buildout, self.name, self)
        elif issubclass(self.recipe_class, Recipe):
            self.description = self.recipe_class.describe(self.name, view_of(self.buildout, self.name, self))
            for option, value in self.description.outputs.items():
                self[option] = value

    def _find_place(self) -> None:
        """A stored part is given its location, a private one knows why it is one."""
        try:
            self.stored = stored_part(self)
        except Private as reason:
            self.private = str(reason)
        else:
            self["location"] = self.stored.location

    @property
    def signature(self) -> str:
        """The identity of the recipe; a change of it installs the part again."""
        if self.recipe_class is None:
            return ""
        made_from = self.recipe.fingerprint() if isinstance(self.recipe, Recipe) else ""
        return f"{self['recipe']} {identity(self.recipe_class)} {made_from}".rstrip()

    @property
    def previous(self) -> Mapping[str, Value]:
        """The options with which this part was last installed."""
        return self.buildout.previous_options(self.name)

    def origin(self, option: str) -> Origin | None:
        """Where the last text of the option was written; None for what a recipe set."""
        steps = self.steps.get(option)
        return steps[-1].origin if steps else None

    def get(self, option: str, default: Any = None, seen: Any = None) -> Any:
        """The value, evaluated at the first reading; ``default`` when there is none."""
        if option in self._data:
            return self._data[option]
        text = self._raw.get(option)
        if text is None:
            return default
        with self.buildout.evaluating(self.name, option, self.origin(option)):
            value = self.evaluate(text, self.origin(option), option)
        self._data[option] = value
        return value

    def evaluate(self, text: str, origin: Origin | None, option: str = "") -> Value:
        """The value of a text written in a profile: of one reference its Python value, else a text."""
        if text.startswith(MARKER):
            return self._decoded(text, origin, option)
        parts = self.compile(text, origin, option)
        if len(parts) == 1 and isinstance(parts[0], Reference):
            return self.resolve(parts[0], origin, option)
        return "".join(part if isinstance(part, str) else as_text(self.resolve(part, origin, option)) for part in parts)

    def compile(self, text: str, origin: Origin | None, option: str = "") -> tuple[Part, ...]:
        """Pieces of a text; :class:`ProfileError` with the place of a malformed reference."""
        try:
            return compiled(text)
        except BadReference as error:
            raise self._error(option, str(error), origin, "invalid-reference") from None

    def resolve(self, reference: Reference, origin: Origin | None, option: str = "") -> Value:
        """The value that a reference written at ``origin`` names."""
        if reference.option == SECTION_NAME and not reference.section:
            return self.name
        if reference.option == BASE_LOCATION and not reference.section:
            return self.buildout.base_location(self._written_in(option, origin))
        section = self if not reference.section else self._other(reference, origin, option)
        value = section.get(reference.option, None)
        if value is None and reference.option not in section:
            return section.computed(reference, self, origin, option)
        result: Value = value
        return result

    def computed(self, reference: Reference, asker: Options, origin: Origin | None, option: str) -> Value:
        """The value of an option that nobody wrote or set, asked for by ``asker`` at ``origin``."""
        if reference.option == SECTION_NAME:
            return self.name
        if reference.option == BASE_LOCATION:
            return self.buildout.base_location(self._first_origin())
        late = self.recipe.late_option(reference.option) if isinstance(self.recipe, Recipe) else None
        if late is not None:
            return late
        if not self.ready and self is not asker and "recipe" in self._raw:
            chain = " → ".join(self.buildout.waiting_for(self.name))
            sentence = f"{reference} needs the recipe of [{self.name}], which itself needs [{asker.name}]"
            raise asker._error(option, f"{sentence}: a cycle ({chain}).", origin, "cycle")
        if self.buildout.describe_only and self._may_still_tell():
            return Undescribed(f"${{{self.name}:{reference.option}}}")
        raise asker._missing(reference, self, origin, option)

    def _may_still_tell(self) -> bool:
        kind = self.recipe_class
        return kind is not None and not (issubclass(kind, Recipe) and kind.setup is Recipe.setup)

    def _other(self, reference: Reference, origin: Origin | None, option: str) -> Options:
        if reference.section not in self.buildout:
            sentence = f"{reference} names a section that does not exist."
            raise self._error(option, sentence, origin, "missing-section", self._close_to(reference.section))
        return self.buildout[reference.section]

    def _require(self, name: str) -> None:
        """``=> name``."""
        if name not in self.buildout:
            sentence = f"=> names the section [{name}], which does not exist."
            raise self._error("", sentence, self.origin("<part-dependencies>"), "missing-section", self._close_to(name))
        self.buildout[name]

    def _close_to(self, section: str) -> str:
        close = difflib.get_close_matches(section, list(self.buildout), n=1)
        return f"Did you mean [{close[0]}]?" if close else ""

    def _written_in(self, option: str, origin: Origin | None) -> Origin | None:
        """The file whose directory is the base: a text taken over by ``<=`` counts as written where the ``<=`` is."""
        inherited = self.buildout.inherited(self.name, option)
        return inherited or origin or self._first_origin()

    def _first_origin(self) -> Origin | None:
        return self.buildout.first_origin(self.name)

    def _decoded(self, text: str, origin: Origin | None, option: str) -> Value:
        try:
            return loads(text)
        except ValueError as error:
            raise self._error(option, f"its dumps text is damaged: {error}.", origin, "damaged-dumps") from None

    def _error(self, option: str, sentence: str, origin: Origin | None, reference: str, hint: str = "") -> ProfileError:
        return profile_error(sentence, section=self.name, option=option, origin=origin, reference=reference, hint=hint)

    def _missing(self, reference: Reference, other: Options, origin: Origin | None, option: str) -> ProfileError:
        close = difflib.get_close_matches(reference.option, list(other), n=1)
        return MissingOption(
            self._error(option, f"{reference} names an option that [{other.name}] does not have.", origin, "").message,
            reference="missing-option",
            context=_context(self.name, option, origin),
            hint=f"Did you mean {close[0]}?" if close else "",
        )

    def _sub(self, template: str, seen: Any = None) -> str:
        """For foreign recipes that substitute a text of their own."""
        return as_text(self.evaluate(template, self.origin("recipe")))

    def __getitem__(self, key: str) -> Any:
        value = self.get(key)
        if value is None and key not in self:
            if key in (BASE_LOCATION, SECTION_NAME):
                return self.computed(Reference("", key), self, None, key)
            raise MissingOption(
                profile_error(
                    "is mandatory and missing.", section=self.name, option=key, origin=self.origin("recipe")
                ).message,
                reference="missing-option",
                context=_context(self.name, key, self.origin("recipe")),
            )
        return value

    def __setitem__(self, option: str, value: Any) -> None:
        self._data[option] = checked(value)
        self._given.add(option)

    def raw(self, option: str) -> str:
        """The text of an option as the profile has it, before substitution."""
        text: str = self._raw[option]
        return text

    def is_data(self, option: str) -> bool:
        """Whether the option was set by a recipe or written by ``dumps``, and so is never read as profile text."""
        return option in self._given or option not in self._raw or self._raw[option].startswith(MARKER)

    def line_items(self, option: str) -> list[str]:
        """The lines of an option, split before substitution (see :mod:`slapos.build.profile.splitting`)."""
        return items(self, option, split_lines)

    def name_items(self, option: str) -> list[str]:
        """The names of an option, split at white space before substitution."""
        return items(self, option, split_names)

    def word_items(self, option: str) -> list[str]:
        """The words of an option as a shell splits them, before substitution."""
        try:
            return items(self, option, split_words)
        except ValueError as error:
            origin = self.origin(option)
            raise self._error(option, f"its quotation is open: {error}.", origin, "invalid-option") from None

    def __contains__(self, option: object) -> bool:
        return option in self._data or option in self._raw

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def copy(self) -> dict[str, Value]:
        """All options with their values."""
        return {option: self.get(option) for option in self.keys()}

    def _call(self, f: Any) -> Any:
        """Run a method of the recipe (stock changes the directory of the process, we do not)."""
        self._created = []
        return f()


def _context(section: str, option: str, origin: Origin | None) -> dict[str, Any]:
    context: dict[str, Any] = {"section": section, "option": option}
    return context | ({"file": origin.file, "line": origin.line} if origin else {})
