"""Which texts and names the system accepts, alike in all dialects.

Text allowed: the characters of XML 1.0 (Fifth Edition, §2.2) without surrogates.  A NUL, another control
character or a lone surrogate is refused with the field named, because no dialect could carry it back unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from slapos.model.errors import InputError

TITLE_LIMIT = 200
PARAMETERS_LIMIT = 10 * 1024 * 1024

_REFUSED = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def check_text(field: str, value: str) -> str:
    """``value`` unchanged; :class:`InputError` ``invalid-text`` when a character cannot travel."""
    found = _REFUSED.search(value)
    if found:
        raise InputError(
            f"{field}: the character U+{ord(found.group()):04X} at position {found.start()} is not allowed.",
            reference="invalid-text",
            context={"field": field, "position": found.start(), "character": f"U+{ord(found.group()):04X}"},
            hint="Remove it, or encode the value, for example in base64.",
        )
    return value


def printable(value: str) -> str:
    """``value`` with each character that cannot travel replaced by U+FFFD: for texts of programs, as in reports."""
    return _REFUSED.sub("\ufffd", value)


def check_texts(field: str, values: Mapping[str, str]) -> dict[str, str]:
    """Keys and values of a flat mapping, each checked; the field of a value is ``field.key``."""
    total = 0
    for key, value in values.items():
        check_text(f"{field} (a key)", key)
        check_text(f"{field}.{key}", value)
        total += len(key) + len(value)
    if total > PARAMETERS_LIMIT:
        raise InputError(
            f"{field}: {total} characters, more than the limit of {PARAMETERS_LIMIT}.",
            reference="too-large",
            context={"field": field, "size": total, "limit": PARAMETERS_LIMIT},
            hint="Publish large data at a URL and give the URL as parameter.",
        )
    return dict(values)


def check_title(field: str, value: str) -> str:
    """A title: 1 to 200 characters (slap protocol), no control character."""
    check_text(field, value)
    if not 1 <= len(value) <= TITLE_LIMIT or _CONTROL.search(value) or value != value.strip():
        raise InputError(
            f"{field}: a title has 1 to {TITLE_LIMIT} characters, no line break, no space at its ends; not {value!r}.",
            reference="invalid-title",
            context={"field": field, "value": value[: TITLE_LIMIT + 1]},
            hint="Choose another title.",
        )
    return value


def is_file_name(value: str) -> bool:
    """Whether a service, promise, partition or log may have this name: ``[A-Za-z0-9._-]``, no leading dot or dash."""
    return _FILE_NAME.fullmatch(value) is not None


def size_text(size: float) -> str:
    """``1536`` -> ``1.5 KiB``."""
    unit = 0
    while abs(size) >= 1024 and unit < len(_UNITS) - 1:
        size /= 1024
        unit += 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 else f"{size:.1f} {_UNITS[unit]}"
