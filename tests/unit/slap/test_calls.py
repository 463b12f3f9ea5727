"""What a caller does with answers, silence and refusals: over a transport that breaks on purpose."""

from __future__ import annotations

import json

import pytest

from slapos.model.errors import InputError, NotFound, Refused, Unavailable
from slapos.model.objects import Instance, InstanceRequest
from slapos.model.states import InstanceState
from slapos.slap.client import Client
from slapos.slap.retry import Patience, backoff, delays
from slapos.testing.transport import Canned, Scripted
from slapos.wire import codec, problems

QUICK = Patience(total=0.5, first=0.001, longest=0.01)
INSTANCE = Instance(
    guid="SOFTINST-1",
    title="t",
    root_guid="SOFTINST-1",
    root_title="t",
    project="main",
    release="/r/software.cfg",
    software_type="default",
    state=InstanceState.STARTED,
    parameters={"a": "${x:y} {{ }} %(z)s \n \"' 😀"},
    sla={},
    connection={},
)


def _ok(data: object) -> Canned:
    return Canned(200, json.dumps(data).encode())


def test_write_is_repeated_with_the_same_key() -> None:
    transport = Scripted(Unavailable("gone"), Canned(503, b"busy"), _ok(codec.to_data(INSTANCE)))
    client = Client.over(transport, patience=QUICK)
    assert client.request(InstanceRequest("t", "/r/software.cfg")) == INSTANCE
    keys = {request.headers["Idempotency-Key"] for request in transport.seen}
    assert len(transport.seen) == 3
    assert len(keys) == 1


def test_each_write_has_a_key_of_its_own_and_reads_have_none() -> None:
    transport = Scripted(_ok(codec.to_data(INSTANCE)))
    client = Client.over(transport, patience=QUICK)
    client.request(InstanceRequest("t", "/r"))
    client.request(InstanceRequest("t", "/r"), idempotency_key="mine")
    client.instance(title="t")
    keys = [request.headers.get("Idempotency-Key") for request in transport.seen]
    assert keys[0] not in (None, "mine")
    assert keys[1:] == ["mine", None]


def test_gives_up_and_names_the_address_and_how_to_check() -> None:
    transport = Scripted(Unavailable("https://master cannot be reached", context={"address": "https://master"}))
    with pytest.raises(Unavailable) as caught:
        Client.over(transport, patience=QUICK).roots()
    assert caught.value.context["tries"] == len(transport.seen) > 3
    assert caught.value.context["address"] == "https://master"


@pytest.mark.parametrize(
    "error",
    [
        InputError("a: no", reference="invalid-parameters", context={"field": "a", "rule": "type"}, hint="h"),
        Refused("no"),
        NotFound("none", reference="no-such-instance"),
    ],
)
def test_errors_come_back_as_they_were_and_are_not_repeated(error: InputError) -> None:
    transport = Scripted(Canned(problems.status_of(error), json.dumps(problems.to_problem(error)).encode()))
    with pytest.raises(type(error)) as caught:
        Client.over(transport, patience=QUICK).roots()
    assert caught.value.as_data() == error.as_data()
    assert len(transport.seen) == 1


@pytest.mark.parametrize(
    ("status", "kind"), [(404, NotFound), (403, Refused), (400, InputError), (302, Exception), (200, Exception)]
)
def test_a_stranger_answers(status: int, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        Client.over(Scripted(Canned(status, b"<html>hello</html>")), patience=QUICK).roots()
    assert "master" in str(caught.value.args)


def test_pending_is_an_answer() -> None:
    reply = Canned(202, json.dumps(codec.to_data(INSTANCE)).encode())
    assert Client.over(Scripted(reply), patience=QUICK).instance(guid="SOFTINST-1") == INSTANCE


def test_tree() -> None:
    leaf = {"instance": codec.to_data(INSTANCE), "children": []}
    tree = Client.over(Scripted(_ok({**leaf, "children": [leaf, leaf]}))).tree(guid="SOFTINST-1")
    assert [child.instance for child in tree.children] == [INSTANCE, INSTANCE]


def test_delays_are_bounded_and_grow() -> None:
    now = [0.0]
    waits = []
    for wait in delays(Patience(total=20.0), clock=lambda: now[0]):
        waits.append(wait)
        now[0] += wait
    assert 17 < sum(waits) < 20
    assert max(waits) <= 3.0
    assert waits[0] <= 0.1


def test_backoff_has_jitter() -> None:
    assert len({next(backoff(Patience())) for _ in range(10)}) > 1
