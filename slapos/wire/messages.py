"""Which methods exist, and whether a message is one of theirs.

Requests are checked by the server for every method; answers for the methods of the field, whose readers are strict
(an answer of ours that breaks its schema is a defect: :class:`InternalError`).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError

from slapos.model.errors import InputError, InternalError
from slapos.model.text import check_text
from slapos.wire.field_methods import FIELD_METHODS
from slapos.wire.own_methods import OWN_METHODS
from slapos.wire.shapes import Schema

FIELD_PREFIX = "slapos."


@dataclass(frozen=True)
class Method:
    """One method: ``<prefix>.<verb>.<version>.<noun>``, its request and its answer."""

    name: str
    request: Schema
    answer: Schema

    @property
    def of_field(self) -> bool:
        """Whether it speaks the dialect of the field (spec/02) and not ours."""
        return self.name.startswith(FIELD_PREFIX)

    @property
    def writes(self) -> bool:
        """Whether it may change something: only ``get`` and ``allDocs`` never do."""
        return self.name.split(".")[1] not in ("get", "allDocs")


METHODS: Mapping[str, Method] = {
    name: Method(name, request, answer) for name, (request, answer) in {**FIELD_METHODS, **OWN_METHODS}.items()
}


def check_request(method: Method, message: Mapping[str, Any]) -> None:
    """:class:`InputError` ``invalid-message`` (or ``invalid-text``) with ``field`` and ``rule`` of the first fault."""
    error = _first_error(method.name, "request", message)
    if error is not None:
        field = _field_of(error)
        raise InputError(
            f"{field}: {_reason(error)}.",
            reference="invalid-message",
            context={"field": field, "rule": str(error.validator), "method": method.name},
            hint=f"GET /?method={method.name} shows the members of the message.",
        )
    for path, text in _texts("", message):
        check_text(path, text)


def check_answer(method: Method, answer: Mapping[str, Any]) -> None:
    """:class:`InternalError` when ``answer`` is not what the method promises."""
    error = _first_error(method.name, "answer", answer)
    if error is not None:
        raise InternalError(
            f"The answer of {method.name} breaks its schema.",
            context={"method": method.name, "field": _field_of(error), "rule": str(error.validator)},
            hint="Report this with the log of the master.",
        )


def _first_error(name: str, part: str, message: Mapping[str, Any]) -> ValidationError | None:
    return next(iter(_validator(name, part).iter_errors(message)), None)


@functools.cache
def _validator(name: str, part: str) -> Draft7Validator:
    schema = getattr(METHODS[name], part)
    return Draft7Validator(schema, format_checker=Draft7Validator.FORMAT_CHECKER)


def _field_of(error: ValidationError) -> str:
    """The path of the member at fault: ``instances[2].health``; a missing or unknown member is named too."""
    path = ""
    for step in error.absolute_path:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    member = ""
    if error.validator == "required":
        wanted, present = cast("list[str]", error.validator_value), cast("Mapping[str, Any]", error.instance)
        member = next((name for name in wanted if name not in present), "")
    elif error.validator == "additionalProperties" and isinstance(error.instance, Mapping):
        known = error.schema.get("properties", {}) if isinstance(error.schema, Mapping) else {}
        member = next((str(name) for name in error.instance if name not in known), "")
    return ".".join(part for part in (path, member) if part) or "message"


_REASONS = {"required": "missing", "additionalProperties": "unknown member", "oneOf": "exactly one way to name it"}


def _reason(error: ValidationError) -> str:
    """Why, in one short sentence: a megabyte of value is not repeated to the one who sent it."""
    return _REASONS.get(str(error.validator), error.message if len(error.message) <= 200 else error.message[:200] + "…")


def _texts(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """Every text in ``value`` with its path, keys of objects included."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, member in value.items():
            yield f"{path} (a key)", key
            yield from _texts(f"{path}.{key}" if path else str(key), member)
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from _texts(f"{path}[{index}]", member)
