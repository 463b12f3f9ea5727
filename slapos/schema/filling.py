"""Defaults and texts: what a schema says a value becomes.

Both walk the value with the schema's own validator, so that ``$ref``, ``allOf`` and the rest mean exactly what they
mean in validation; only the branches of ``anyOf`` and ``oneOf`` that accept the value are followed.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

Keyword = Callable[[Any, Any, Any, Any], Iterable[ValidationError] | None]
_MISSING = object()


def with_defaults(validator: Any, value: Any) -> Any:
    """A copy of a valid ``value`` in which the defaults met on its valid path are filled in, recursively."""
    return _rewritten(validator, value, _set_default)


def unstringified(validator: Any, value: Any) -> Any:
    """A copy of ``value`` in which texts are integers, numbers, booleans where the schema wants those, not texts."""
    return _rewritten(validator, value, _set_typed)


Visit = Callable[[Any, Any, Any, Any], None]
"""(validator, subschema, container, key): may change ``container[key]``."""


def _rewritten(validator: Any, value: Any, visit: Visit) -> Any:
    result = copy.deepcopy(value)
    original = validator.VALIDATORS
    changed = {
        "properties": _properties(visit, original["properties"]),
        "patternProperties": _around(visit, original["patternProperties"], _matching),
        "additionalProperties": _around(visit, original["additionalProperties"], _additional),
        "items": _around(visit, original["items"], _elements),
    }
    if "prefixItems" in original:
        changed["prefixItems"] = _around(visit, original["prefixItems"], _elements)
    changed |= {name: _first_accepting for name in ("anyOf", "oneOf")} | {"not": _skip, "contains": _skip}
    kind = extend(  # type: ignore[no-untyped-call]
        type(validator), {name: keyword for name, keyword in changed.items() if name in original}
    )
    walking = kind(
        validator.schema,
        format_checker=validator.format_checker,
        registry=validator._registry,
    )
    for _ in walking.iter_errors(result):
        pass  # errors are reported by validation; here only the effects count
    return result


def _properties(visit: Visit, original: Keyword) -> Keyword:
    def keyword(validator: Any, properties: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        if isinstance(instance, dict) and isinstance(properties, Mapping):
            for name, subschema in properties.items():
                visit(validator, subschema, instance, name)
        yield from original(validator, properties, instance, schema) or ()

    return keyword


def _around(visit: Visit, original: Keyword, pairs: Callable[[Any, Any, Any], Iterable[tuple[Any, Any]]]) -> Keyword:
    def keyword(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        for key, subschema in list(pairs(value, instance, schema)):
            visit(validator, subschema, instance, key)
        yield from original(validator, value, instance, schema) or ()

    return keyword


def _matching(patterns: Any, instance: Any, _: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(instance, dict):
        for pattern, subschema in patterns.items():
            yield from ((key, subschema) for key in instance if re.search(pattern, key))


def _additional(subschema: Any, instance: Any, schema: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(instance, dict) and isinstance(subschema, Mapping):
        known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        for key in instance:
            if key not in known and not any(re.search(pattern, key) for pattern in patterns):
                yield key, subschema


def _elements(subschema: Any, instance: Any, schema: Any) -> Iterator[tuple[Any, Any]]:
    if not isinstance(instance, list):
        return
    if isinstance(subschema, list):
        yield from enumerate(subschema[: len(instance)])
    else:
        first = len(schema.get("prefixItems", ()))
        yield from ((index, subschema) for index in range(first, len(instance)))


def _first_accepting(validator: Any, branches: Any, instance: Any, _: Any) -> Iterator[ValidationError]:
    for branch in branches:
        if validator.evolve(schema=branch).is_valid(copy.deepcopy(instance)):
            yield from validator.descend(instance, branch)
            return


def _skip(*_: Any) -> tuple[ValidationError, ...]:
    return ()


def _set_default(validator: Any, subschema: Any, container: Any, key: Any) -> None:
    if isinstance(container, dict) and key not in container:
        default = _default(validator, subschema)
        if default is not _MISSING:
            container[key] = copy.deepcopy(default)


def _default(validator: Any, subschema: Any) -> Any:
    """The ``default`` beside or behind a ``$ref`` (at most ten steps: a chain may be a circle)."""
    resolver = validator._resolver
    for _ in range(10):
        if not isinstance(subschema, Mapping):
            return _MISSING
        if "default" in subschema:
            return subschema["default"]
        if "$ref" not in subschema:
            return _MISSING
        resolved = resolver.lookup(subschema["$ref"])
        subschema, resolver = resolved.contents, resolved.resolver
    return _MISSING


def _set_typed(validator: Any, subschema: Any, container: Any, key: Any) -> None:
    text = container[key] if isinstance(container, list) else container.get(key)
    if not isinstance(text, str) or not _has_wrong_type(validator, subschema, text):
        return
    for candidate in _readings(text):
        if not _has_wrong_type(validator, subschema, candidate):
            container[key] = candidate
            return


def _has_wrong_type(validator: Any, subschema: Any, value: Any) -> bool:
    """Whether the value's type is what is wrong: another type that breaks another rule is still the right type."""
    errors = list(validator.evolve(schema=subschema).iter_errors(value))
    return any(not error.path and error.validator in ("type", "anyOf", "oneOf", "enum", "const") for error in errors)


def _readings(text: str) -> Iterator[int | float | bool]:
    if text.lower() in ("true", "false"):
        yield text.lower() == "true"
    if len(text) > 40 or text != text.strip() or "_" in text:
        return
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if math.isfinite(number):
            yield number
