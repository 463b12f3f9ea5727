"""What another master answers, and what becomes of it here: over a transport that plays a script."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import pytest

from slapos.master.forwarding.objects import Asked, Served
from slapos.master.forwarding.plan import OtherMaster
from slapos.master.forwarding.remote import NAME_LIMIT, SLOTS, Remote
from slapos.model.errors import (
    Conflict,
    HyperopenxError,
    InputError,
    NotFound,
    Refused,
    Unauthenticated,
    Unavailable,
)
from slapos.model.states import InstanceState
from slapos.slap.field_client import FieldClient
from slapos.testing.transport import Canned, Scripted
from slapos.wire import marshal
from slapos.wire.marshal import FieldObject

OTHER = OtherMaster(url="http://far.example.org:5000")
ASKED = Asked("user_shop", "http://x/software.cfg", "web", False, InstanceState.STARTED, {"a": "é"}, {"b": "c"})
DESTROY = replace(ASKED, state=InstanceState.DESTROYED)
PLACE = {"slap_computer_id": "COMP-1", "slap_computer_partition_id": "slappart0", "_instance_guid": "SOFTINST-1"}


def remote(*answers: Canned | Exception, other: OtherMaster = OTHER) -> tuple[Remote, Scripted]:
    transport = Scripted(*answers)
    return Remote(other=other, client=FieldClient.over(transport, other.url)), transport


def served(**state: Any) -> Canned:
    return Canned(200, marshal.dumps(FieldObject("SoftwareInstance", (), {**PLACE, **state})))


def test_all_fields_are_sent_because_slapproxy_needs_them() -> None:
    found, transport = remote(served(_connection_dict={}))
    found.ask(ASKED)
    form = {name: value[0] for name, value in parse_qs(transport.seen[0].body.decode()).items()}
    assert form.pop("partition_reference") == "user_shop"
    assert (form.pop("software_release"), form.pop("software_type")) == ("http://x/software.cfg", "web")
    read = {name: marshal.loads(value.encode()) for name, value in form.items()}
    assert read == {
        "shared_xml": False,
        "partition_parameter_xml": {"a": "é"},
        "filter_xml": {"b": "c"},
        "state": "started",
    }
    assert "Authorization" not in transport.seen[0].headers


def test_as_an_instance_there_it_says_where_it_lives() -> None:
    found, transport = remote(served(), other=replace(OTHER, node="COMP-9", partition="slappart3"))
    found.ask(ASKED)
    form = parse_qs(transport.seen[0].body.decode())
    assert (form["computer_id"], form["computer_partition_id"]) == (["COMP-9"], ["slappart3"])
    assert "computer_id=COMP-9, computer_partition_id=slappart3" in transport.seen[0].headers["Authorization"]


@pytest.mark.parametrize(
    ("state", "connection"),
    [
        (
            {"_connection_dict": {"url": "x", "none": None, "n": 1, "l": [True]}},
            {"url": "x", "none": "", "n": "1", "l": "[true]"},
        ),
        (
            {"connection_xml": "<instance><parameter id='a'>b</parameter><parameter id='e'/></instance>"},
            {"a": "b", "e": ""},
        ),
        ({"connection_xml": ""}, {}),
        ({"_connection_dict": None}, {}),
        ({}, {}),
    ],
)
def test_connection_parameters_come_back_as_texts(state: dict[str, Any], connection: dict[str, str]) -> None:
    found, _ = remote(served(**state))
    assert found.ask(ASKED) == Served("COMP-1", "slappart0", "SOFTINST-1", connection)


def test_what_the_master_itself_serves_lives_at_that_master() -> None:
    """slapproxy answers some requests for frontends without any instance."""
    answer = served(
        slap_computer_id="", slap_computer_partition_id="", _instance_guid=None, _connection_dict={"a": "b"}
    )
    found, _ = remote(answer)
    assert found.ask(ASKED) == Served("far.example.org:5000", "", "", {"a": "b"})


def test_not_yet_and_no_longer() -> None:
    assert remote(Canned(408, b""))[0].ask(ASKED) is None
    for answer in (Canned(408, b""), Canned(404, b"gone"), served(), Canned(200, b"done")):
        assert remote(answer)[0].ask(DESTROY) is None


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (Canned(404, b"No free computer partition found for: shop"), NotFound, "No free computer partition"),
        (Canned(409, b"forwarding-loop: in a circle."), Conflict, "in a circle"),
        (Canned(400, b"<html>bad</html>"), InputError, "answered 400"),
        (Canned(403, b""), Refused, "answered 403"),
        (Canned(401, b""), Refused, "answered 401"),
        (Canned(500, b"Traceback"), Unavailable, "Traceback"),
        (Canned(503, b""), Unavailable, "status 503"),
        (Canned(200, b"<html>a proxy</html>"), Unavailable, "none of a master"),
        (Canned(200, b"<marshal><string>x</string></marshal>"), Unavailable, "names no place"),
        (Canned(200, b"<marshal><broken>"), Unavailable, "does not answer"),
        (served(_instance_guid="x" * (NAME_LIMIT + 1)), Unavailable, "more than 200 characters"),
        (served(connection_xml="<instance>"), Unavailable, "none of a master"),
        (Unavailable("Silence.", context={"reason": "Connection refused"}), Unavailable, "Connection refused"),
        (Refused("The certificate is not trusted.", reference="server-not-trusted"), Unavailable, "not trusted"),
    ],
)
def test_what_is_refused_there_is_refused_here(answer: Any, kind: type[HyperopenxError], said: str) -> None:
    with pytest.raises(kind) as caught:
        remote(answer)[0].ask(ASKED)
    error = caught.value
    assert said in error.message and "http://far.example.org:5000" in error.message
    assert not isinstance(error, Unauthenticated), "our requester is not the one who is unknown there"
    assert error.context["master"] == OTHER.url
    assert (error.reference == "other-master-unavailable") == (kind is Unavailable)
    assert not error.message.endswith("..")


def test_a_full_master_has_no_run_id() -> None:
    assert remote(Canned(200, b"abc\n"))[0].run_id() == "abc"
    assert remote(Canned(404, b"no"))[0].run_id() == ""
    for answer in (Canned(500, b""), Unavailable("away")):
        with pytest.raises(Unavailable, match="does not answer"):
            remote(answer)[0].run_id()


def test_no_more_calls_at_once_than_it_has_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slapos.master.forwarding.remote.SLOT_SECONDS", 0.01)
    found, transport = remote(served())
    slots = [found._slot() for _ in range(SLOTS)]
    for slot in slots:
        slot.__enter__()
    with pytest.raises(Unavailable, match="calls wait for it already"):
        found.ask(ASKED)
    assert transport.seen == []
    slots[0].__exit__(None, None, None)
    assert found.ask(ASKED) is not None
