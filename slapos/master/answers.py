"""Errors and answers as HTTP: the one place."""

from __future__ import annotations

from starlette.responses import Response

from slapos.master.calls import Answer
from slapos.model.errors import HyperopenxError, Unavailable
from slapos.wire import problems, strict_json
from slapos.wire.messages import FIELD_PREFIX

JSON = "application/json"


def to_response(answer: Answer) -> Response:
    """A JSON answer."""
    return Response(strict_json.dumps(answer.body), answer.status, media_type=JSON)


def to_error_response(error: HyperopenxError, method: str) -> Response:
    """``error`` in the dialect of ``method``: the field's body for ``slapos.*``, else a problem document."""
    headers = {"Retry-After": "1"} if isinstance(error, Unavailable) else {}
    if error.reference == "wrong-http-method":
        headers["Allow"] = "POST"
    if method.startswith(FIELD_PREFIX):
        body = strict_json.dumps(problems.to_field_error(error))
        return Response(body, problems.field_status_of(error), headers, JSON)
    body = strict_json.dumps(problems.to_problem(error))
    return Response(body, problems.status_of(error), headers, problems.PROBLEM_TYPE)
