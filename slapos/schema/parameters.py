"""The two ways in which parameters travel: flat texts (``xml``), or one JSON text under ``_`` (``json-in-xml``)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from slapos.model.errors import InputError
from slapos.model.text import check_text
from slapos.schema.documents import read_json
from slapos.schema.violations import path_step

Serialisation = Literal["xml", "json-in-xml"]
JSON_KEY = "_"


def decode(parameters: Mapping[str, Any], serialisation: Serialisation) -> Any:
    """The value that a schema speaks about.  The member ``$schema``, which editors add, is dropped."""
    value: Any = dict(parameters)
    if serialisation == "json-in-xml" and JSON_KEY in parameters:
        value = decode_json(parameters)
    if isinstance(value, dict):
        value.pop("$schema", None)
    return value


def decode_json(parameters: Mapping[str, Any]) -> Any:
    """The JSON value under ``_``; :class:`InputError` ``schema-violation`` when it is none or not alone."""
    others = sorted(set(parameters) - {JSON_KEY})
    if others:
        raise _wrong(others[0], "json-in-xml: all parameters are in the one member '_'", "stands beside '_'")
    text = parameters[JSON_KEY]
    try:
        value = read_json(text)
    except (TypeError, ValueError) as error:
        raise _wrong(JSON_KEY, "json", f"is not JSON ({error})") from error
    _check_escapes(text, value)
    return value


def check_structure(parameters: Mapping[str, Any]) -> None:
    """``invalid-text`` with the field when ``_`` is JSON that says what no text may hold, whatever the release says."""
    text = parameters.get(JSON_KEY, "")
    if "\\u" not in text:
        return
    try:
        value = read_json(text)
    except ValueError:
        return  # a plain text, for a release that wants one
    _check_escapes(text, value)


def _check_escapes(text: str, value: Any) -> None:
    """JSON's escapes can say what no text may hold (a NUL, half of a surrogate pair); flat texts cannot."""
    if "\\u" in text:
        _check_strings("$", value)


def _check_strings(field: str, value: Any) -> None:
    if isinstance(value, str):
        check_text(field, value)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_strings(f"{field}[{index}]", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            check_text(f"{field} (a key)", key)
            _check_strings(f"{field}{path_step(key)}", item)


def encode(value: Any, serialisation: Serialisation) -> dict[str, str]:
    """The inverse of :func:`decode`.  Flat texts: a value that is no text becomes its JSON text."""
    if serialisation == "json-in-xml":
        return {JSON_KEY: json.dumps(value, sort_keys=True, ensure_ascii=False)}
    if not isinstance(value, Mapping):
        raise _wrong("$", "xml: parameters are an object of texts", "is no object")
    return {
        str(key): item if isinstance(item, str) else json.dumps(item, sort_keys=True) for key, item in value.items()
    }


def _wrong(field: str, rule: str, why: str) -> InputError:
    return InputError(
        f"Parameter {field} {why}.",
        reference="schema-violation",
        context={"field": field, "rule": rule},
        hint="Give the parameters as one JSON object.",
    )
