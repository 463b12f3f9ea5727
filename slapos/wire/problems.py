"""Errors as they travel: the closed table of problem types, the same objects on the server and in the client.

Our own methods answer RFC 9457 (``application/problem+json``); the ``slapos.*`` methods answer the body of
spec/02 §1.1, with status 403 for what does not exist.  An error whose reference is not in the table travels with the
type of its kind; its own reference stays in the body.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from slapos.model import errors
from slapos.model.errors import HyperopenxError
from slapos.wire.problem_table import PROBLEMS, Problem

__all__ = [
    "PROBLEMS",
    "PROBLEM_TYPE",
    "Problem",
    "from_answer",
    "problem_of",
    "status_of",
    "to_field_error",
    "to_problem",
]

URN = "urn:hyperopenx:"
PROBLEM_TYPE = "application/problem+json"


# Statuses of the slapos.* dialect where they differ from the kind's own (spec/02 §1.1: never 404).
_FIELD_STATUS = {401: 401, 404: 403, 409: 403, 507: 500}
_FIELD_STATUS_OF_REFERENCE = {"unknown-method": 404, "other-master-unavailable": 523}
_OWN_STATUS = {"unsupported-content-type": 415, "not-acceptable": 406, "too-large": 413, "wrong-http-method": 405}


def problem_of(error: HyperopenxError) -> Problem:
    """The type of ``error``: by its reference, else by its class."""
    found = PROBLEMS.get(error.reference)
    if found is not None and isinstance(error, found.kind):
        return found
    return PROBLEMS[type(error).default_reference]


def status_of(error: HyperopenxError) -> int:
    """The HTTP status of ``error`` in our own dialect."""
    return _OWN_STATUS.get(error.reference, type(error).status)


def to_problem(error: HyperopenxError) -> dict[str, Any]:
    """The RFC 9457 body: ``type, title, status, detail`` and our ``reference, context, hint, kind``."""
    problem = problem_of(error)
    reference = error.reference if PROBLEMS.get(error.reference) is problem else type(error).default_reference
    return {
        "type": URN + reference,
        "title": problem.title,
        "status": status_of(error),
        "detail": error.message,
        "reference": error.reference,
        "context": {str(key): _plain(value) for key, value in error.context.items()},
        "hint": error.hint,
        "kind": type(error).__name__,
    }


def to_field_error(error: HyperopenxError) -> dict[str, Any]:
    """The body of the ``slapos.*`` dialect: exactly ``status, type, title``."""
    status = field_status_of(error)
    code = problem_of(error).field_code or _phrase(status)
    return {"status": status, "type": code, "title": error.message}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # 523 and its like
        return "Unknown Error"


def field_status_of(error: HyperopenxError) -> int:
    """The HTTP status of ``error`` in the ``slapos.*`` dialect."""
    if error.reference in _FIELD_STATUS_OF_REFERENCE:
        return _FIELD_STATUS_OF_REFERENCE[error.reference]
    status = status_of(error)
    return _FIELD_STATUS.get(status, status)


def from_answer(status: int, body: object, where: str) -> HyperopenxError:
    """The error that an answer with ``status`` and decoded JSON ``body`` (or None) stands for.

    ``where`` names the server and method for the context when the body says nothing useful.
    """
    if isinstance(body, Mapping):
        if isinstance(body.get("kind"), str) and "detail" in body:
            context = body.get("context")
            return errors.from_data({**body, "message": body["detail"], "context": _mapping(context)})
        if isinstance(body.get("title"), str):
            return _of_status(status)(body["title"], context={"status": status, "type": str(body.get("type", ""))})
    return _of_status(status)(
        f"{where} answered {status} without an explanation.",
        context={"status": status, "where": where},
        hint="Check that the address is that of a Hyper Open X master; one of another kind needs dialect = slap.",
    )


def _of_status(status: int) -> type[HyperopenxError]:
    kinds: dict[int, type[HyperopenxError]] = {
        401: errors.Unauthenticated,
        403: errors.Refused,
        404: errors.NotFound,
        409: errors.Conflict,
        502: errors.Unavailable,
        503: errors.Unavailable,
        504: errors.Unavailable,
        523: errors.Unavailable,
    }
    return kinds.get(status, errors.InputError if 400 <= status < 500 else errors.InternalError)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _plain(value: object) -> object:
    """``value`` when JSON has it, else its text: a context must never be what makes an answer fail."""
    if value is None or isinstance(value, str | int | bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(member) for key, member in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(member) for member in value]
    return str(value)
