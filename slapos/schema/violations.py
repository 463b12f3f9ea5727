"""A broken schema rule as an error for people: which field, which rule, which value."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from jsonschema.exceptions import ValidationError

from slapos.model.errors import InputError

VALUE_LIMIT = 200
_MAXIMUM_SHOWN = 10
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def violation(
    worst: ValidationError, errors: Iterable[ValidationError], *, release: str, software_type: str
) -> InputError:
    """``worst`` as sentence and ``field``/``rule``/``value``; the first ten of ``errors`` in ``context["errors"]``."""
    field, rule = field_of(worst), rule_of(worst)
    return InputError(
        f"Parameter {field}: {_sentence(worst)} (rule {rule}).",
        reference="schema-violation",
        context={
            "field": field,
            "rule": rule,
            "value": _limited(worst.instance),
            "release": release,
            "software_type": software_type,
            "errors": [
                {"field": field_of(error), "rule": rule_of(error), "message": _cut(_sentence(error))}
                for error, _ in zip(errors, range(_MAXIMUM_SHOWN), strict=False)
            ],
        },
        hint="Correct the parameter; the release's input schema says what is allowed.",
    )


def field_of(error: ValidationError) -> str:
    """JSON path of the failing field; a missing or unexpected member is the field, not the object around it."""
    path = "$" + "".join(path_step(step) for step in error.absolute_path)
    name = _culprit(error)
    return path if name is None else path + path_step(name)


def rule_of(error: ValidationError) -> str:
    """Keyword and value: ``minimum 1``, ``required``."""
    value = error.validator_value
    if error.validator is None:
        return "false"
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return _cut(f"{error.validator} {value}")
    if error.validator in ("type", "enum"):
        return _cut(f"{error.validator} {json.dumps(value, ensure_ascii=False)}")
    return str(error.validator)


def _culprit(error: ValidationError) -> str | None:
    instance: Any = error.instance
    schema: Any = error.schema
    if not isinstance(instance, dict) or not isinstance(schema, dict):
        return None
    if error.validator == "required":
        # jsonschema yields one error per missing member and names it only in its message.
        wanted: Any = error.validator_value
        missing = [name for name in wanted if name not in instance]
        return next((name for name in missing if error.message.startswith(repr(name))), None)
    if error.validator == "additionalProperties" and error.validator_value is False:
        patterns = schema.get("patternProperties", {})
        known = schema.get("properties", {})
        extra = (key for key in instance if key not in known and not any(re.search(p, key) for p in patterns))
        return next(extra, None)
    return None


def _sentence(error: ValidationError) -> str:
    if error.validator == "required":
        return "it is missing"
    if error.validator == "additionalProperties" and error.validator_value is False:
        return "it is not known to the release"
    return _cut(error.message)


def path_step(step: str | int) -> str:
    """One step of a JSON path: ``.name``, ``[3]`` or ``["odd name"]``."""
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if _PLAIN.fullmatch(step) else f"[{_cut(json.dumps(step, ensure_ascii=False))}]"


def _limited(value: Any) -> Any:
    """``value`` itself when small, else the start of its JSON text."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return value if len(text) <= VALUE_LIMIT else _cut(text)


def _cut(text: str) -> str:
    return text if len(text) <= VALUE_LIMIT else text[: VALUE_LIMIT - 1] + "…"
