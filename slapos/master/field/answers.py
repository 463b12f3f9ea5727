"""Answers and errors of the XML dialect as HTTP."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Encoded:
    """An answer as it travels; ``tag`` is its entity tag, "" when it must not be kept."""

    body: bytes
    media_type: str
    status: int
    tag: str


def status_of(error: HyperopenxError) -> int:
    """The HTTP status of ``error`` in this dialect."""
    if error.reference in _STATUS:
        return _STATUS[error.reference]
    status = problems.status_of(error)
    return {202: 408, 507: 500}.get(status, status)


def encoded(answer: FieldAnswer, *, kept: bool = False) -> Encoded:
    """As bytes; ``kept``: the client may keep it, until it is another."""
    if isinstance(answer, Marshalled):
        body, media_type = marshal.dumps(answer.value), XML
    else:
        body, media_type = answer.text.encode("utf-8"), TEXT
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"' if kept and answer.status == 200 else ""
    return Encoded(body, media_type, answer.status, tag)


def to_response(request: Request, answer: Encoded) -> Response:
    """304 for who has it already.  What is made for one call, as a private key is, is kept nowhere."""
    if not answer.tag:
        return Response(answer.body, answer.status, {"Cache-Control": "no-store"}, answer.media_type)
    headers = {**CACHED, "ETag": answer.tag}
    known = [each.strip().removeprefix("W/") for each in request.headers.get("If-None-Match", "").split(",")]
    if answer.tag in known:
        return Response(status_code=304, headers=headers)
    return Response(answer.body, answer.status, headers, answer.media_type)


def to_error_response(error: HyperopenxError, route: FieldRoute) -> Response:
    """Plain text for people: clients of the field look at the status only."""
    headers = {"Retry-After": "1"} if isinstance(error, Unavailable) else {}
    if error.reference == "wrong-http-method":
        headers["Allow"] = "GET, HEAD" if route.verb == "GET" else route.verb
    lines = [f"{error.reference}: {error.message}", *([error.hint] if error.hint else [])]
    text = "\n".join(lines) + "\n"
    return Response(text.encode("utf-8", "replace"), status_of(error), headers, TEXT)
