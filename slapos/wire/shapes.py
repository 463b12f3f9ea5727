"""Small words to write JSON Schemas (draft 7) of messages with, and schemas derived from the model's dataclasses."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Mapping
from typing import Any

from slapos.model.text import TITLE_LIMIT

Schema = Mapping[str, Any]

TEXT: Schema = {"type": "string"}
NAME: Schema = {"type": "string", "minLength": 1}
TITLE: Schema = {"type": "string", "minLength": 1, "maxLength": TITLE_LIMIT}
FLAG: Schema = {"type": "boolean"}
INTEGER: Schema = {"type": "integer"}
COUNT: Schema = {"type": "integer", "minimum": 0}
OBJECT: Schema = {"type": "object"}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}


def message(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """An object with exactly these members."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


def open_message(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """An object with at least these members."""
    return {**message(required, optional), "additionalProperties": True}


def array(items: Schema) -> Schema:
    """Any number of ``items``."""
    return {"type": "array", "items": items}


def one_of(*values: str) -> Schema:
    """One of these texts."""
    return {"type": "string", "enum": list(values)}


def results(items: Schema) -> Schema:
    """The answer of an ``allDocs`` method."""
    return message({"result_list": array(items)})


def shape_of(kind: Any) -> Schema:
    """The schema of what ``codec.to_data`` makes of a value of type ``kind`` (dataclass, enumeration, container)."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return {}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [{"type": "null"} if part is type(None) else shape_of(part) for part in arguments]}
    if origin is not None:  # tuple[T, ...] or Mapping[str, T]
        inner = shape_of(arguments[0] if origin is tuple else arguments[1])
        return array(inner) if origin is tuple else {"type": "object", "additionalProperties": inner}
    if dataclasses.is_dataclass(kind):
        return _shape_of_dataclass(kind)
    if issubclass(kind, enum.Enum):
        return one_of(*(str(member.value) for member in kind))
    return {"type": {str: "string", int: "integer", float: "number", bool: "boolean"}[kind]}


def _shape_of_dataclass(kind: Any) -> Schema:
    annotations = typing.get_type_hints(kind)
    required: dict[str, Schema] = {}
    optional: dict[str, Schema] = {}
    for field in dataclasses.fields(kind):
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        (optional if has_default else required)[field.name] = shape_of(annotations[field.name])
    return message(required, optional)
