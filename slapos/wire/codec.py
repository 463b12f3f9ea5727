"""Objects of the model as JSON-compatible data, and back.

Encoding follows the dataclass: its fields in their order, enumerations as their texts, tuples as arrays.
Decoding is strict: an unknown member, a missing one without default, or a wrong type is an
:class:`InputError` ``invalid-message`` that names the field (``instances[2].promises[0].date``).
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from slapos.model import objects
from slapos.model.errors import InputError

T = TypeVar("T")


def to_data(value: Any) -> Any:
    """JSON-compatible data of a model object (or of a container of them)."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: to_data(getattr(value, name)) for name in _fields(type(value))}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): to_data(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [to_data(member) for member in value]
    return value


def from_data(kind: type[T], data: Any, field: str = "") -> T:
    """The inverse of :func:`to_data` for the dataclass ``kind``; ``field`` is the path named in errors."""
    if not isinstance(data, Mapping):
        raise _wrong(field or kind.__name__, "an object", data)
    known = _fields(typing.cast(Any, kind))
    for name in data:
        if name not in known:
            raise InputError(
                f"{_path(field, str(name))}: unknown member.",
                reference="invalid-message",
                context={"field": _path(field, str(name)), "rule": "additionalProperties"},
            )
    values = {}
    for name, (annotation, optional) in known.items():
        if name in data:
            values[name] = _decode(annotation, data[name], _path(field, name))
        elif not optional:
            raise InputError(
                f"{_path(field, name)}: missing.",
                reference="invalid-message",
                context={"field": _path(field, name), "rule": "required"},
            )
    return kind(**values)


def _decode(annotation: Any, data: Any, field: str) -> Any:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any:
        return data
    if origin in (typing.Union, types.UnionType):
        if data is None and type(None) in arguments:
            return None
        return _decode(next(kind for kind in arguments if kind is not type(None)), data, field)
    if origin is not None:
        return _decode_container(origin, arguments, data, field)
    if dataclasses.is_dataclass(annotation):
        return from_data(typing.cast(type[Any], annotation), data, field)
    return _decode_scalar(annotation, data, field)


def _decode_container(origin: Any, arguments: tuple[Any, ...], data: Any, field: str) -> Any:
    """``tuple[T, ...]`` from an array, ``Mapping[str, T]`` from an object."""
    if origin is tuple:
        if not isinstance(data, list | tuple):
            raise _wrong(field, "an array", data)
        return tuple(_decode(arguments[0], member, f"{field}[{index}]") for index, member in enumerate(data))
    if not isinstance(data, Mapping) or not all(isinstance(key, str) for key in data):
        raise _wrong(field, "an object", data)
    return {key: _decode(arguments[1], member, _path(field, key)) for key, member in data.items()}


def _decode_scalar(kind: Any, data: Any, field: str) -> Any:
    if issubclass(kind, enum.Enum):
        try:
            return kind(data)
        except ValueError as error:
            raise _wrong(field, "one of " + ", ".join(str(member.value) for member in kind), data) from error
    if kind is float and isinstance(data, int | float) and not isinstance(data, bool):
        return float(data)
    if type(data) is not kind:  # exact: JSON true is no number here
        raise _wrong(field, {str: "a text", int: "an integer", float: "a number", bool: "true or false"}[kind], data)
    return data


@functools.cache
def _fields(kind: type[Any]) -> dict[str, tuple[Any, bool]]:
    """Field name → (resolved annotation, whether it has a default)."""
    annotations = typing.get_type_hints(kind)
    missing = dataclasses.MISSING
    return {
        field.name: (
            annotations[field.name],
            field.default is not missing or field.default_factory is not missing,
        )
        for field in dataclasses.fields(kind)
    }


def _path(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name


def _wrong(field: str, expected: str, data: Any) -> InputError:
    return InputError(
        f"{field}: {expected} is expected, not {data!r:.100}.",
        reference="invalid-message",
        context={"field": field, "rule": "type", "expected": expected},
    )


def instance_to_data(instance: objects.Instance) -> dict[str, Any]:
    """The instance document of ``hyperopenx.*``: all fields of the model's Instance."""
    return typing.cast(dict[str, Any], to_data(instance))


def instance_from_data(data: Any) -> objects.Instance:
    """The inverse of :func:`instance_to_data`."""
    return from_data(objects.Instance, data)


def node_state_to_data(state: objects.NodeState) -> dict[str, Any]:
    """The answer of ``hyperopenx.get.v0.node_state``."""
    return typing.cast(dict[str, Any], to_data(state))


def node_state_from_data(data: Any) -> objects.NodeState:
    """The inverse of :func:`node_state_to_data`."""
    return from_data(objects.NodeState, data)


def request_to_data(request: objects.InstanceRequest) -> dict[str, Any]:
    """The message of ``hyperopenx.post.v0.instance``; a state None is left out."""
    data: dict[str, Any] = to_data(request)
    if data["state"] is None:
        del data["state"]
    return data


def request_from_data(data: Any) -> objects.InstanceRequest:
    """The inverse of :func:`request_to_data`."""
    return from_data(objects.InstanceRequest, data)


def node_format_from_data(data: Any) -> objects.NodeFormat:
    """The member ``format`` of ``hyperopenx.put.v0.node_format``."""
    return from_data(objects.NodeFormat, data, "format")
