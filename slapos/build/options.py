"""Where an option comes from, and the typed view of a section that recipes read."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from slapos.build.values import Value, as_text
from slapos.model.errors import ProfileError
from slapos.model.profiles import Origin

__all__ = ["FALSE", "REQUIRED", "TRUE", "OptionsView", "Origin", "Required", "profile_error"]

TRUE: Final = frozenset({"true", "yes", "y", "1", "on"})
FALSE: Final = frozenset({"false", "no", "n", "0", "off", ""})


class Required:
    """The type of :data:`REQUIRED`: no default, a missing option is an error."""


REQUIRED: Final = Required()


def profile_error(
    sentence: str,
    *,
    section: str = "",
    option: str = "",
    origin: Origin | None = None,
    reference: str = "",
    hint: str = "",
) -> ProfileError:
    """A :class:`ProfileError` whose sentence starts with ``file:line [section] option``, as far as they are known."""
    place = " ".join(filter(None, (str(origin or ""), f"[{section}]" if section else "", option)))
    context: dict[str, Any] = {"section": section, "option": option}
    if origin is not None:
        context |= {"file": origin.file, "line": origin.line}
    return ProfileError(f"{place}: {sentence}" if place else sentence, reference=reference, context=context, hint=hint)


class OptionsView(Mapping[str, Value]):
    """The options of one section, evaluated when read; what :meth:`Recipe.describe` sees.

    ``values`` is any mapping; reading a missing option raises :class:`ProfileError` with its place.
    """

    def __init__(
        self,
        *,
        section: str,
        values: Mapping[str, Value],
        directory: str,
        parts_directory: str = "",
        origin: Callable[[str], Origin | None] = lambda option: None,
    ) -> None:
        self.section = section
        self.values_mapping = values
        self.directory = directory
        self.parts_directory = parts_directory or f"{directory}/parts"
        self.origin = origin

    def __getitem__(self, option: str) -> Value:
        if option not in self.values_mapping:
            raise KeyError(option)
        return self.values_mapping[option]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_mapping)

    def __len__(self) -> int:
        return len(self.values_mapping)

    def __contains__(self, option: object) -> bool:
        return option in self.values_mapping

    def value(self, option: str, default: Any = REQUIRED) -> Any:
        """The Python value of an option."""
        if option in self.values_mapping:
            return self.values_mapping[option]
        if default is REQUIRED:
            raise self.error(option, "is mandatory and missing.", reference="missing-option")
        return default

    def text(self, option: str, default: str | Required = REQUIRED) -> str:
        """The option as text; values that are not texts as :func:`slapos.build.values.as_text` writes them."""
        return as_text(self.value(option, default))

    def boolean(self, option: str, default: bool | Required = REQUIRED) -> bool:
        """``true yes y 1 on`` or ``false no n 0 off`` or empty, in any case; anything else is an error."""
        value = self.value(option, default)
        if isinstance(value, bool):
            return value
        word = as_text(value).strip().lower()
        if word not in TRUE | FALSE:
            raise self.error(option, f"is true or false, not {word[:60]!r}.", reference="invalid-option")
        return word in TRUE

    def integer(self, option: str, default: int | Required = REQUIRED) -> int:
        """A whole number in decimal."""
        value = self.value(option, default)
        if isinstance(value, int):
            return int(value)
        try:
            return int(as_text(value).strip())
        except ValueError:
            raise self.error(
                option, f"is a whole number, not {as_text(value)[:60]!r}.", reference="invalid-option"
            ) from None

    def mode(self, option: str, default: int) -> int:
        """Permissions in octal, ``0`` to ``7777``; ``default`` when empty or missing."""
        text = self.text(option, "").strip()
        if not re.fullmatch("[0-7]{0,5}", text) or int(text or "0", 8) > 0o7777:
            raise self.error(option, f"is an octal number up to 7777, not {text[:60]!r}.", reference="invalid-option")
        return int(text, 8) if text else default

    def lines(self, option: str, default: list[str] | tuple[str, ...] | Required = REQUIRED) -> list[str]:
        """The non-empty lines, stripped; a list value gives its items unchanged.

        In a profile, lines are split before substitution: a value with line breaks stays within its line.
        """
        return self._split(
            option, default, "line_items", lambda text: [*filter(None, map(str.strip, text.split("\n")))]
        )

    def names(self, option: str, default: list[str] | tuple[str, ...] | Required = REQUIRED) -> list[str]:
        """What white space divides, without quoting, before substitution; a list value gives its items."""
        return self._split(option, default, "name_items", str.split)

    def words(self, option: str, default: list[str] | tuple[str, ...] | Required = REQUIRED) -> list[str]:
        """The words as a POSIX shell splits them, before substitution: a value is never split into arguments."""
        return self._split(option, default, "word_items", shlex.split)

    def _split(self, option: str, default: Any, method: str, split: Callable[[str], list[str]]) -> list[str]:
        value = self.value(option, default)
        if isinstance(value, list | tuple):
            return [as_text(item) for item in value]
        splitter: Callable[[str], list[str]] | None = getattr(self.values_mapping, method, None)
        if splitter is not None and option in self.values_mapping:
            return splitter(option)
        return split(as_text(value))

    def error(self, option: str, sentence: str, *, reference: str = "", hint: str = "") -> ProfileError:
        """A :class:`ProfileError` about one option of this section, to raise."""
        origin = self.origin(option) or self.origin("recipe")
        return profile_error(
            sentence, section=self.section, option=option, origin=origin, reference=reference, hint=hint
        )
