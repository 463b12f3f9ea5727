"""``${section:option}`` in an option: compiled once, evaluated once.

Stock buildout stores the result of a substitution and substitutes again when it is read, so that a value that came
from a parameter could name any option of the profile.  Here the text of the profile is the only thing that is ever
compiled; what comes out of an evaluation is data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_NAME = re.compile(r"[-a-zA-Z0-9 ._]*")


class BadReference(ValueError):
    """The text between ``${`` and ``}`` is no ``section:option``."""


@dataclass(frozen=True)
class Reference:
    """``${section:option}``; an empty section means the section that holds it."""

    section: str
    option: str

    def __str__(self) -> str:
        return f"${{{self.section}:{self.option}}}"


Part = str | Reference


@lru_cache(maxsize=4096)
def compiled(text: str) -> tuple[Part, ...]:
    """Literal pieces and references in order; ``$${`` is a literal ``${``, any other ``$$`` stays as it is.

    :class:`BadReference` says what is wrong with a malformed one.
    """
    parts: list[Part] = []
    for index, piece in enumerate(text.split("$$")):
        if index:
            _literal(parts, "$" if piece.startswith("{") else "$$")
        position = 0
        for found in _REFERENCE.finditer(piece):
            _literal(parts, piece[position : found.start()])
            parts.append(_reference(found.group(1)))
            position = found.end()
        _literal(parts, piece[position:])
    return tuple(parts)


def _literal(parts: list[Part], text: str) -> None:
    if not text:
        return
    if parts and isinstance(parts[-1], str):
        parts[-1] += text
    else:
        parts.append(text)


def _reference(inner: str) -> Reference:
    section, colon, option = inner.partition(":")
    if not colon:
        raise BadReference(f"${{{inner}}} has no colon: a reference is ${{section:option}}.")
    if ":" in option:
        raise BadReference(f"${{{inner}}} has more than one colon.")
    if not _NAME.fullmatch(section) or not _NAME.fullmatch(option) or not option:
        raise BadReference(f"${{{inner}}} is no reference: names have letters, digits, '-', '.', '_' and spaces.")
    return Reference(section, option)
