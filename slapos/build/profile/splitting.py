"""Splits an option into lines, names or words *before* its references are replaced by values.

``environment = NAME=${slap:configuration.x}`` is one line whatever the parameter holds, and a word of a command stays
one argument.  A line or name that is one reference to text of the profile is split like that text, a word only when it
is the whole option, unquoted; a reference to data is one item, or the items of a list.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING

from slapos.build.profile.expression import Reference
from slapos.build.values import Value, as_text

if TYPE_CHECKING:
    from slapos.build.profile.section import Options

Split = Callable[[str], list[str]]

_REFERENCE = re.compile(r"\$\$|\$\{[^}]*\}")
_HOLE = re.compile("\ue000([0-9]+)\ue001")


def split_lines(text: str) -> list[str]:
    """Non-empty lines, stripped."""
    return [line for line in map(str.strip, text.split("\n")) if line]


def split_names(text: str) -> list[str]:
    """What white space divides, references whole."""
    return _split_around_references(text, str.split)


def split_words(text: str) -> list[str]:
    """Words as a POSIX shell splits them, references whole.  ``ValueError`` for an open quotation."""
    return _split_around_references(text, shlex.split)


def _split_around_references(text: str, split: Split) -> list[str]:
    references: list[str] = []

    def hide(found: re.Match[str]) -> str:
        references.append(found.group())
        return f"\ue000{len(references) - 1}\ue001"

    hidden = _REFERENCE.sub(hide, text.replace("\ue000", "").replace("\ue001", ""))
    return [_HOLE.sub(lambda hole: references[int(hole[1])], word) for word in split(hidden)]


def items(section: Options, option: str, split: Split) -> list[str]:
    """The items of an option; :class:`ProfileError` where a reference is wrong."""
    if section.is_data(option):
        return data_items(section[option])
    raw = section.raw(option)
    found: list[str] = []
    for item in split(raw):
        found += _item(section, item, option, split, follow=split is not split_words or item == raw.strip())
    return found


def data_items(value: Value) -> list[str]:
    """A list value gives its items, another value is one item."""
    if isinstance(value, list):
        return [as_text(item) for item in value]
    return [as_text(value)]


def _item(section: Options, text: str, option: str, split: Split, *, follow: bool) -> list[str]:
    origin = section.origin(option)
    parts = section.compile(text, origin, option)
    if len(parts) != 1 or not isinstance(parts[0], Reference):
        return [as_text(section.evaluate(text, origin, option))]
    reference = parts[0]
    value = section.resolve(reference, origin, option)
    other = section.buildout[reference.section] if reference.section else section
    if follow and reference.option in other and not other.is_data(reference.option):
        return items(other, reference.option, split)
    return data_items(value)
