"""Python values as option values: how they are written into a profile and read back.

A template writes ``name = {{ dumps(value) }}``; the engine reads exactly that value back and never evaluates it.
The encoding is one line, ``!json!`` followed by JSON in which every character that a profile, a template or a
shell could give a meaning to (``$ { } % # ; @ < > &`` and all non-ASCII) is written as ``\\uXXXX`` inside texts.
Texts that nothing could misread stay as they are, so that generated profiles can be read by people.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from slapos.model.errors import InputError

Value = str | int | float | bool | None | list[Any] | dict[str, Any]

MARKER = "!json!"

_PLAIN = re.compile(r"[A-Za-z0-9_./+-](?:[A-Za-z0-9_.,/:+-]*[A-Za-z0-9_./:+-])?")
_TEXT_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"')
_MEANINGFUL = re.compile(r"[^A-Za-z0-9 _.,/:+\-\"\\=()\[\]!?*'|^~]")


def dumps(value: Any) -> str:
    """Option text that is read back as exactly ``value``; :class:`InputError` for what JSON cannot hold."""
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return value
    return MARKER + _TEXT_TOKEN.sub(_escape, _json(value))


def loads(text: str) -> Value:
    """The inverse of :func:`dumps`; text without the marker is itself.  ``ValueError`` when it is damaged."""
    if not text.startswith(MARKER):
        return text
    value: Value = json.loads(text[len(MARKER) :])
    return value


def as_text(value: Value) -> str:
    """What a value looks like inside a longer text: numbers as digits, ``true``/``false``, the rest as dumps text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return json.dumps(value)
    return dumps(value)


def checked(value: Any) -> Value:
    """``value`` as plain JSON types (tuples and sets become lists, sets sorted); :class:`InputError` for others."""
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"The number {value} cannot be an option.", reference="invalid-option-value")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {_key(key): checked(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return [checked(item) for item in sorted(value)]
    if isinstance(value, list | tuple):
        return [checked(item) for item in value]
    raise InputError(
        f"A value of type {type(value).__name__} cannot be an option.",
        reference="invalid-option-value",
        context={"type": type(value).__name__},
        hint="Use texts, numbers, booleans, None, lists and dictionaries with text keys.",
    )


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise InputError(
            f"A dictionary with the key {key!r} cannot be an option: keys are texts.",
            reference="invalid-option-value",
            context={"key": repr(key)},
        )
    return key


def _json(value: Any) -> str:
    return json.dumps(checked(value), sort_keys=True)


def _escape(token: re.Match[str]) -> str:
    return _MEANINGFUL.sub(lambda found: f"\\u{ord(found.group()):04x}", token.group())
