"""An error on its way from where it happened to the people who must know of it: bounded, and only text that travels.

What it says may come from a program, a log, or somebody hostile.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from slapos.model.errors import HyperopenxError
from slapos.model.text import printable

TEXT_LIMIT = 2_000  # characters
LINE_LIMIT = 500  # … of one item of a list
ITEMS_LIMIT = 40
MEMBERS_LIMIT = 20


def told(error: HyperopenxError | Mapping[str, Any] | None) -> dict[str, Any]:
    """``{"kind", "reference", "message", "context", "hint"}`` within the bounds; empty without an error.

    The context is flat: texts, numbers, booleans, and lists of texts.
    """
    if not error:
        return {}
    data = error.as_data() if isinstance(error, HyperopenxError) else error
    texts = {key: _text(data.get(key, ""), TEXT_LIMIT) for key in ("kind", "reference", "message", "hint")}
    context = data.get("context")
    members = list(context.items())[:MEMBERS_LIMIT] if isinstance(context, Mapping) else []
    return texts | {"context": {_text(key, 100): _member(value) for key, value in members}}


def _member(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_text(_item(item), LINE_LIMIT) for item in value[-ITEMS_LIMIT:]]  # of a log, the end says why
    return _text(value, TEXT_LIMIT)


def _item(value: Any) -> Any:
    """A pair such as a place and what happened there becomes one text."""
    plain = isinstance(value, list | tuple) and all(isinstance(part, str) for part in value)
    return ": ".join(value) if plain else value


def _text(value: Any, limit: int) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    clean = printable(text)
    return clean if len(clean) <= limit else f"{clean[: limit - 1]}…"
