"""The OpenAPI document of the JSON methods, made from the tables by which every message is checked: so it is true."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from slapos.model import objects
from slapos.wire import field_methods, own_methods
from slapos.wire.messages import Method
from slapos.wire.problems import PROBLEM_TYPE
from slapos.wire.shapes import INTEGER, NAME, OBJECT, TEXT, Schema, message, shape_of

VERSION = "3.1.0"
JSON = "application/json"
REFERENCE = "#/components/schemas/"

FIELD_ERROR = message({"status": INTEGER, "type": TEXT, "title": TEXT})
PROBLEM = message(
    {
        "type": NAME,
        "title": NAME,
        "status": INTEGER,
        "detail": TEXT,
        "reference": NAME,
        "context": OBJECT,
        "hint": TEXT,
        "kind": NAME,
    }
)
#: Statuses of errors; of the field's methods: what does not exist, and what the state forbids, is 403.
FIELD_STATUSES = (400, 401, 403, 405, 406, 413, 415, 500, 503, 523)
OWN_STATUSES = (400, 401, 403, 404, 405, 406, 409, 413, 415, 500, 503, 507)

NAMED: Mapping[str, Schema] = {
    "FieldError": FIELD_ERROR,
    "Problem": PROBLEM,
    "FieldInstance": field_methods.INSTANCE,
    "FieldNotReady": field_methods.NOT_READY,
    "FieldAcknowledgement": field_methods.ACKNOWLEDGEMENT,
    "Instance": own_methods.INSTANCE,
    "SharedInstance": shape_of(objects.SharedInstance),
    "PromiseResult": shape_of(objects.PromiseResult),
    "Node": own_methods.NODE_VIEW,
    "Supply": shape_of(objects.Supply),
    "Event": own_methods.EVENT,
}
_DESCRIPTION = (
    "Every method is called by POST with one JSON object, and answers one JSON object. "
    "`slapos.*` are the methods of the field, with its error documents; `hyperopenx.*` are our own, with RFC 9457 "
    "problem documents. A write may be sent again with the same Idempotency-Key: it acts once."
)
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same text with the same message acts once, and gets the same answer.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[ -~]+$"},
}


@dataclass(frozen=True)
class Operation:
    """One method as it is served.  ``pending``: it also answers 202; ``anonymous``: to who proved nothing, too."""

    method: Method
    summary: str
    anonymous: bool = False
    pending: bool = False
    keyed: bool = False


def document(operations: Iterable[Operation], url: str, version: str) -> dict[str, Any]:
    """The document for a client that reached us at ``url``."""
    return {
        "openapi": VERSION,
        "info": {"title": "Hyper Open X master", "version": version, "description": _DESCRIPTION},
        "jsonSchemaDialect": "http://json-schema.org/draft-07/schema#",
        "servers": [server(url)],
        "paths": {f"/{each.method.name}": {"post": _operation(each)} for each in operations},
        "components": {
            "schemas": {name: _inside(schema) for name, schema in NAMED.items()},
            "securitySchemes": {"certificate": {"type": "mutualTLS", "description": "A certificate of this master."}},
        },
    }


def server(url: str) -> dict[str, str]:
    """The entry of a server at ``url``."""
    return {"url": url.rstrip("/") or "/"}


def _operation(known: Operation) -> dict[str, Any]:
    method = known.method
    answers = {"200": _answer("Done.", JSON, method.answer)}
    if known.pending:
        answers["202"] = _answer("Accepted and kept; not served yet, and it says why.", JSON, method.answer)
    return {
        "operationId": method.name,
        "summary": known.summary,
        "tags": ["field" if method.of_field else "own", method.name.split(".")[1]],
        "security": [] if known.anonymous else [{"certificate": []}],
        **({"parameters": [_KEY]} if known.keyed else {}),
        "requestBody": {"required": True, "content": {JSON: {"schema": _named(method.request)}}},
        "responses": {**answers, **_errors(of_field=method.of_field)},
    }


def _errors(*, of_field: bool) -> dict[str, Any]:
    if of_field:
        return {str(status): _answer(_phrase(status), JSON, FIELD_ERROR) for status in FIELD_STATUSES}
    return {str(status): _answer(_phrase(status), PROBLEM_TYPE, PROBLEM) for status in OWN_STATUSES}


def _answer(description: str, content: str, schema: Schema) -> dict[str, Any]:
    return {"description": description, "content": {content: {"schema": _named(schema)}}}


def _phrase(status: int) -> str:
    if status == 523:
        return "The other master that serves it does not answer."
    return f"{HTTPStatus(status).phrase}."


def _named(schema: Any) -> Any:
    """``schema`` with what has a name replaced by a reference to it."""
    for name, known in NAMED.items():
        if schema == known:
            return {"$ref": REFERENCE + name}
    return _inside(schema)


def _inside(schema: Any) -> Any:
    if isinstance(schema, Mapping):
        return {key: _named(value) for key, value in schema.items()}
    if isinstance(schema, list | tuple):
        return [_named(value) for value in schema]
    return schema
