"""JSON, read strictly: what two readers could understand differently is refused.

Refused: duplicate members, ``NaN`` and ``Infinity``, bytes that are not UTF-8, more bytes than the limit (10 MiB where
none is given), more than 64 levels.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

from slapos.model.errors import InputError
from slapos.model.text import check_text

SIZE_LIMIT = 10 * 1024 * 1024  # bytes
DEPTH_LIMIT = 64


def loads(data: bytes, field: str = "body", *, limit: int = SIZE_LIMIT) -> Any:
    """The value; :class:`InputError` ``invalid-json`` or ``too-large`` names ``field`` and the reason."""
    if len(data) > limit:
        raise too_large(len(data), field, limit)
    try:
        text = data.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_number)
    except RecursionError as error:
        raise _invalid(field, f"it has more than {DEPTH_LIMIT} levels") from error
    except ValueError as error:
        raise _invalid(field, str(error)) from error
    check_depth(value, field)
    return value


def loads_object(data: bytes, field: str = "body", *, limit: int = SIZE_LIMIT) -> dict[str, Any]:
    """As :func:`loads`, and the value is an object."""
    value = loads(data, field, limit=limit)
    if not isinstance(value, dict):
        raise _invalid(field, "it is not an object")
    return value


def dumps(value: Any) -> bytes:
    """Compact UTF-8; the order of members is kept, so equal values in equal order give equal bytes.

    :class:`InputError` ``invalid-text`` for half of a surrogate pair, which UTF-8 cannot say.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        check_text("body", text)
        raise


def check_depth(value: Any, field: str) -> None:
    """:class:`InputError` when ``value`` nests deeper than 64 levels; works level by level, without recursion."""
    level = [value]
    for _ in range(DEPTH_LIMIT + 1):
        level = [
            member
            for outer in level
            if isinstance(outer, dict | list)
            for member in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(member, dict | list)
        ]
        if not level:
            return
    raise _invalid(field, f"it has more than {DEPTH_LIMIT} levels")


def too_large(size: int, field: str = "body", limit: int = SIZE_LIMIT) -> InputError:
    """The error for a body of ``size`` bytes (or of at least that many)."""
    return InputError(
        f"{field}: {size} bytes, more than the limit of {limit}.",
        reference="too-large",
        context={"field": field, "size": size, "limit": limit},
        hint="Publish large data at a URL and send the URL.",
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the member {twice!r} occurs twice in one object")
    return found


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:40]} is larger than any number here")
    return value


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _invalid(field: str, reason: str) -> InputError:
    return InputError(
        f"{field}: not acceptable as JSON: {reason}.",
        reference="invalid-json",
        context={"field": field, "reason": reason},
        hint="Send one JSON object in UTF-8, each member once, without NaN or Infinity.",
    )
