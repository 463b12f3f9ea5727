"""JSON-RPC messages (spec/02): nearly right, wrong, and no JSON at all."""

from __future__ import annotations

import functools
import json

from hypothesis import strategies as st

from slapos.wire.messages import METHODS
from tests.security.fuzz import values
from tests.security.fuzz.target import Case

MEMBERS: dict[str, st.SearchStrategy[object]] = {
    "computer_guid": values.nodes,
    "compute_partition_id": values.partitions,
    "instance_guid": values.guids,
    "title": values.titles,
    "software_release_uri": values.releases,
    "release": values.releases,
    "software_type": values.types,
    "state": values.states,
    "reported_state": values.states,
    "message": values.texts,
    "shared": st.booleans(),
    "parameters": st.dictionaries(values.texts, values.data, max_size=4),
    "connection_parameter_dict": st.dictionaries(values.texts, values.data, max_size=4),
    "sla_parameters": st.dictionaries(
        st.sampled_from(("computer_guid", "instance_guid", "project_guid", "retention_delay", "master_url"))
        | values.texts,
        values.scalars,
        max_size=3,
    ),
    "compute_partition_list": st.lists(
        st.fixed_dictionaries(
            {"partition_id": values.partitions},
            optional={
                "ip_list": st.lists(values.data, max_size=2),
                "capability_list": st.lists(values.texts, max_size=2),
            },
        ),
        max_size=3,
    ),
    "tioxml": values.texts | st.just("<journal><transaction/></journal>"),
}
READ_ONLY = ("slapos.get.", "slapos.allDocs.", "hyperopenx.get.", "hyperopenx.allDocs.")
LITERALS = (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"{}", b"[]", b'""', b"nul", b"01", b"'x'", b"\xef\xbb\xbf{}")
TYPES = ("application/json", "application/json; charset=utf-8", "text/plain", "", "application/json; charset=utf-16")


@functools.cache
def methods(prefix: str) -> list[str]:
    """Names of the methods that begin with ``prefix``, sorted."""
    return sorted(name for name in METHODS if name.startswith(prefix))


@functools.cache
@st.composite
def messages(draw: st.DrawFn, name: str) -> dict[str, object]:
    """Members as the method wants them, some wrong, some missing, some too many."""
    schema = METHODS[name].request
    message: dict[str, object] = {}
    for member in schema.get("properties", {}):
        if draw(values.one_in(30)):
            continue
        if member not in MEMBERS or draw(values.one_in(20)):
            message[member] = draw(values.data)
        elif member in schema.get("required", ()) or draw(values.one_in(2)):
            message[member] = draw(MEMBERS[member])
    if draw(values.one_in(20)):
        message[draw(values.texts)] = draw(values.data)
    return message


@functools.cache
@st.composite
def bodies(draw: st.DrawFn, name: str) -> bytes:
    """The bytes of a message, sometimes damaged on the way."""
    text = json.dumps(draw(messages(name)), ensure_ascii=draw(values.one_in(2)))
    body = text.encode("utf-8", "surrogatepass")
    if draw(values.one_in(20)):
        return values.mutated(draw, body)
    if draw(values.one_in(20)):
        literal = draw(values.among(*LITERALS))
        return body.replace(b"null", literal) if b"null" in body else b'{"title": ' + literal + b"}"
    if draw(values.one_in(30)):  # a member twice
        return body[:-1] + (b", " if len(body) > 2 else b"") + b'"title": "a", "title": "b"}'
    if draw(values.one_in(40)):
        depth = draw(values.among(10, 100, 1_000, 3_000))
        return b'{"parameters": ' + b"[" * depth + b"]" * depth + b"}"
    return body


@st.composite
def cases(draw: st.DrawFn, prefix: str) -> Case:
    """One call of a method whose name begins with ``prefix``, or of one that does not exist."""
    name = draw(values.among(*methods(prefix)))
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if draw(values.one_in(40)):
        headers["Content-Type"] = draw(values.among(*TYPES))
    if draw(values.one_in(40)):
        headers["Accept"] = draw(values.among("text/html", "application/*", "*/*;q=0", ",,,"))
    if draw(values.one_in(8)):
        headers["Authorization"] = draw(claims)
    verb = (
        "POST"
        if not draw(values.one_in(40))
        else draw(values.among("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"))
    )
    path = (
        f"/{name}"
        if not draw(values.one_in(40))
        else f"/{name}{draw(values.among('x', '/', '?a=b', '%00', '%ff', '.v1'))}"
    )
    return Case(verb, path, draw(bodies(name)) if verb == "POST" else b"", headers)


claims = st.builds(
    "X-SlapPartition computer_id={}, computer_partition_id={}".format,
    st.sampled_from(("COMP-1", "COMP-2", "", "x" * 300, "a,b", "=")),
    st.sampled_from(("slappart0", "slappart1", "slappart9", "", "../x", "a=b")),
) | st.sampled_from(
    ("X-SlapPartition", "Bearer x", "x-slappartition COMPUTER_ID=COMP-1", "X-SlapPartition ,,,", "Basic Og==")
)
