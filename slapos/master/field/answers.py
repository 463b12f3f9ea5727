"""Answers and errors of the XML dialect as HTTP."""

from __future__ import annotations

import hashlib

from starlette.requests import Request
from starlette.responses import Response

from slapos.master.field.routes import FieldAnswer, FieldRoute, Marshalled
from slapos.model.errors import HyperopenxError, Unavailable
from slapos.wire import marshal, problems

XML = "text/xml; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
# A cache of the client's own may serve a node while the master is down; no other, because answers are for one client.
CACHED = {"Cache-Control": "private, max-age=1, stale-if-error=604800", "Vary": "Authorization"}
# Where the field's clients know another status than ours (spec/01 §2.1).
_STATUS = {
    "not-ready": 408,
    "being-destroyed": 408,  # the title is free again when it is gone
    "destruction-not-wished": 404,
    "other-master-unavailable": 523,
}


def status_of(error: HyperopenxError) -> int:
    """The HTTP status of ``error`` in this dialect."""
    if error.reference in _STATUS:
        return _STATUS[error.reference]
    status = problems.status_of(error)
    return {202: 408, 507: 500}.get(status, status)


def encoded(answer: FieldAnswer) -> tuple[bytes, str, int]:
    """Body, media type and status."""
    if isinstance(answer, Marshalled):
        return marshal.dumps(answer.value), XML, answer.status
    return answer.text.encode("utf-8"), TEXT, answer.status


def to_response(request: Request, answer: tuple[bytes, str, int]) -> Response:
    """With an entity tag where it was read; 304 for who has it."""
    body, media_type, status = answer
    if request.method not in ("GET", "HEAD") or status != 200:
        return Response(body, status, media_type=media_type)
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {**CACHED, "ETag": tag}
    if tag in [each.strip().removeprefix("W/") for each in request.headers.get("If-None-Match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    return Response(body, status, headers, media_type)


def to_error_response(error: HyperopenxError, route: FieldRoute) -> Response:
    """Plain text for people: clients of the field look at the status only."""
    headers = {"Retry-After": "1"} if isinstance(error, Unavailable) else {}
    if error.reference == "wrong-http-method":
        headers["Allow"] = "GET, HEAD" if route.verb == "GET" else route.verb
    lines = [f"{error.reference}: {error.message}", *([error.hint] if error.hint else [])]
    text = "\n".join(lines) + "\n"
    return Response(text.encode("utf-8", "replace"), status_of(error), headers, TEXT)
