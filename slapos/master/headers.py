"""Whether the headers of a call of a JSON method fit: verb, type of the body, types that the client takes."""

from __future__ import annotations

from starlette.datastructures import Headers

from slapos.model.errors import InputError
from slapos.wire.messages import FIELD_PREFIX
from slapos.wire.problems import PROBLEM_TYPE

JSON = "application/json"


def check_headers(verb: str, headers: Headers, method: str) -> None:
    """:class:`InputError` for 405, 415 and 406, in this order."""
    if verb != "POST":
        raise InputError(
            f"{verb} does not call a method.",
            reference="wrong-http-method",
            hint="Use POST with a JSON body.",
        )
    declared = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if declared != JSON:
        raise InputError(
            "Content-Type: application/json is expected.",
            reference="unsupported-content-type",
            context={"field": "Content-Type", "value": declared[:100]},
        )
    ranges = ",".join(headers.getlist("Accept"))
    # RFC 9110: without the header, everything; a client that only takes our problem documents takes JSON, too.
    fits = not ranges.strip() or accepts(ranges, JSON)
    if not fits and (method.startswith(FIELD_PREFIX) or not accepts(ranges, PROBLEM_TYPE)):
        raise InputError("Accept excludes application/json.", reference="not-acceptable", context={"field": "Accept"})


def accepts(ranges: str, kind: str) -> bool:
    """Whether an ``Accept`` header takes ``kind``: the most exact range that names it decides."""
    exact = {kind: 3, kind.partition("/")[0] + "/*": 2, "*/*": 1}
    best, taken = 0, False
    for text in ranges.split(","):
        name, *parameters = [part.strip().lower() for part in text.split(";")]
        rank = exact.get(name, 0)
        if rank > best:
            best, taken = rank, _quality(parameters) > 0
    return taken


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
