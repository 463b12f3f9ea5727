"""How an endpoint of the XML dialect is served: verb, fields, as whom it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from slapos.master.calls import Call, Preparation
from slapos.master.field.caller import Acting, Place
from slapos.model.errors import InputError
from slapos.model.text import check_text
from slapos.wire import marshal
from slapos.wire.field_documents import wrong_type
from slapos.wire.safe_xml import Limits

FIELDS_LIMIT = 50  # of a form or query
NODE, PARTITION = "computer_id", "computer_partition_id"


@dataclass(frozen=True)
class Field:
    """One argument of an endpoint.  ``kind``: of a marshalled value, its type; None for plain text.

    An optional one may be absent, empty, or say ``None`` as clients of the field do; it is "" or None then.
    ``free``: a text that may be empty.
    """

    name: str
    required: bool = True
    kind: type | tuple[type, ...] | None = None
    free: bool = False


@dataclass(frozen=True)
class Marshalled:
    """An answer that is a value; written after the transaction."""

    value: Any
    status: int = 200


@dataclass(frozen=True)
class Plain:
    """An answer that is a text."""

    text: str
    status: int = 200


FieldAnswer = Marshalled | Plain


@dataclass(frozen=True, eq=False)  # each is only itself
class FieldRoute:
    """One endpoint.  ``node`` and ``partition`` name the fields that say where the caller is; ``where`` finds it else.

    ``enrols``: on the legacy listener, a node that is not known yet is made.  ``issues``: a GET that records what it
    answers.  ``anonymous``, ``fences``, ``brief``, ``repeated`` and ``prepare`` as those of
    :class:`slapos.master.calls.Route`.
    """

    endpoint: Callable[[Call], FieldAnswer]
    verb: str
    fields: tuple[Field, ...] = ()
    acts: Acting = Acting.PERSON
    node: str = NODE
    partition: str = PARTITION
    anonymous: bool = False
    fences: bool = False
    enrols: bool = False
    issues: bool = False
    brief: bool = False
    repeated: bool = False
    prepare: Callable[[Preparation], Any] | None = None
    where: Callable[[Mapping[str, Any]], Place] | None = None

    @property
    def writes(self) -> bool:
        """What changes something is sent by POST."""
        return self.verb == "POST"

    def place(self, message: Mapping[str, Any]) -> Place:
        """Where the caller says to be."""
        if self.where is not None:
            return self.where(message)
        return Place(str(message.get(self.node) or ""), str(message.get(self.partition) or ""))


def parse(route: FieldRoute, form: bytes, limit: int) -> dict[str, Any]:
    """The arguments of a call, each read and of its type; :class:`InputError` names the field.

    Arguments that the endpoint does not know are passed over, as the field's masters do.
    """
    given = _pairs(form)
    return {field.name: _read(field, given.get(field.name), limit) for field in route.fields}


def _pairs(form: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            form.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_LIMIT, separator="&"
        )
    except ValueError as error:  # also UnicodeDecodeError: what is not ASCII is percent-encoded
        raise InputError(
            "The arguments cannot be read: percent-encoded UTF-8 is expected, at most 50 fields.",
            reference="invalid-form",
            context={"field": "body", "reason": str(error)[:200]},
        ) from error
    given = dict(pairs)
    if len(given) != len(pairs):
        twice = next(name for name, _ in pairs if sum(name == other for other, _ in pairs) > 1)
        raise _wrong(twice[:100], "it is there twice")
    return given


def _read(field: Field, value: str | None, limit: int) -> Any:
    absent = value is None or (not value and not field.free)
    if not field.required and value is not None:
        absent = absent or value.lower() == "none"
    if absent:
        if field.required:
            raise _wrong(field.name, "it is missing")
        return None if field.kind is not None else ""
    assert value is not None
    if field.kind is None:
        return check_text(field.name, value)
    found = marshal.loads(value.encode("utf-8"), limits=Limits(size=limit), field=field.name)
    if not isinstance(found, field.kind):
        kinds = field.kind if isinstance(field.kind, tuple) else (field.kind,)
        raise wrong_type(field.name, found, " or ".join(kind.__name__ for kind in kinds))
    return found


def _wrong(name: str, reason: str) -> InputError:
    return InputError(
        f"{name}: {reason}.",
        reference="invalid-message",
        context={"field": name},
        hint="See docs/reference/xml-endpoints.",
    )
