"""A master that speaks only XML, behind the calls of our client: over a transport that plays a script."""

from __future__ import annotations

import threading
from typing import Any
from urllib.parse import parse_qs

import pytest

from slapos.model.errors import InputError, NotFound, Unavailable
from slapos.model.objects import Address, InstanceReport, InstanceRequest, NodeFormat, Partition, SupplyStatus
from slapos.model.states import Health, InstanceState, SupplyReport, SupplyState
from slapos.model.text import is_file_name
from slapos.slap.field_client import FieldClient
from slapos.slap.foreign import documents
from slapos.slap.foreign.master import ForeignMaster
from slapos.slap.foreign.polling import Pace
from slapos.slap.retry import Patience
from slapos.slap.transport import Request
from slapos.testing.transport import Canned, Scripted
from slapos.wire import marshal, parameter_document
from slapos.wire.marshal import FieldObject

RELEASE = "/r/software.cfg"
NODE = "local_computer"
QUICK = Patience(total=0.3, first=0.001, longest=0.01)


def release(state: str = "available", url: str = RELEASE) -> FieldObject:
    return FieldObject("SoftwareRelease", (url, NODE), {"_software_release": url, "_requested_state": state})


def partition(name: str = "slappart0", state: str = "started", **parameters: Any) -> FieldObject:
    """As a slapproxy sends it."""
    reserved = {
        "ip_list": [("lo", "127.1.1.1"), ("lo", "::1")],
        "full_address_list": [],
        "slap_software_type": "RootSoftwareInstance",
        "instance_title": "site",
        "root_instance_title": "root",
        "slap_computer_id": NODE,
        "slap_computer_partition_id": name,
        "slap_software_release_url": RELEASE,
        "slave_instance_list": [],
        "timestamp": "1795406930.0079634",
    }
    return FieldObject(
        "ComputerPartition",
        (NODE, name, None),
        {
            "_computer_id": NODE,
            "_partition_id": name,
            "_instance_guid": f"{NODE}-{name}",
            "_requested_state": state,
            "_software_release_document": release(),
            "_parameter_dict": {**parameters, **reserved},
            "_connection_dict": {"url": "http://x", "empty": None},
        },
    )


def free(name: str) -> FieldObject:
    state = {"_partition_id": name, "_requested_state": "destroyed", "_software_release_document": None}
    return FieldObject("ComputerPartition", (NODE, name, None), state)


def computer(*partitions: FieldObject, releases: tuple[FieldObject, ...] = (release(),)) -> FieldObject:
    return FieldObject(
        "Computer",
        (NODE,),
        {"_computer_partition_list": list(partitions), "_software_release_list": list(releases)},
    )


def ok(value: Any) -> Canned:
    return Canned(200, marshal.dumps(value))


def master(*answers: Canned | Exception, **more: Any) -> tuple[ForeignMaster, Scripted]:
    transport = Scripted(*answers)
    client = FieldClient.over(transport, "http://master")
    return ForeignMaster(client=client, node=NODE, patience=QUICK, **more), transport


def form(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(request.body.decode(), keep_blank_values=True).items()}


def endpoint(request: Request) -> str:
    return request.url.partition("?")[0].rsplit("/", 1)[1]


def test_what_a_slapproxy_wants_is_a_state_of_ours() -> None:
    asked, transport = master(
        ok(computer(partition(text="é", empty=None), free("slappart1"), releases=(release("destroyed"),)))
    )
    state = asked.node_state(NODE)
    assert state.complete
    assert [(item.release, item.state) for item in state.supplies] == [(RELEASE, SupplyState.DESTROYED)]
    assert state.partitions["slappart1"] is None
    found = state.partitions["slappart0"]
    assert found is not None
    assert (found.guid, found.title, found.root_title) == (f"{NODE}-slappart0", "site", "root")
    assert found.parameters == {"text": "é", "empty": ""}, "reserved keys are not the requester's; none was empty"
    assert found.connection == {"url": "http://x", "empty": ""}
    assert found.addresses == (Address("lo", "127.1.1.1"), Address("lo", "::1"))
    assert found.state is InstanceState.STARTED
    assert found.timestamp == 1795406930007963
    assert endpoint(transport.seen[0]) == "getFullComputerInformation"


def test_generation_is_the_same_exactly_while_nothing_changes() -> None:
    first = documents.node_state(computer(partition(a="1")), NODE).generation
    assert documents.node_state(computer(partition(a="1")), NODE).generation == first
    assert documents.node_state(computer(partition(a="2")), NODE).generation != first
    assert documents.node_state(computer(partition(a="1"), free("slappart1")), NODE).generation != first


@pytest.mark.parametrize(
    ("text", "number"),
    [(None, 0), ("", 0), ("17", 17), (17, 17), ("1.5", 1500000), (1795406930007963, 1795406930007963), ("1e3", 1000)],
)
def test_timestamps_are_integers(text: Any, number: int) -> None:
    assert documents.timestamp(text) == number


def test_timestamps_that_are_no_numbers_still_differ() -> None:
    made = {documents.timestamp(text) for text in ("yesterday", "today", "Infinity", "NaN", "1e999999999")}
    assert len(made) == 5
    assert all(isinstance(item, int) for item in made)


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        {"a": 1},
        FieldObject("ComputerPartition", (NODE, "p", None), {"a": 1}),
        computer(FieldObject("SoftwareRelease", (RELEASE, NODE), {"a": 1})),
        computer(FieldObject("ComputerPartition", (), {"_software_release_document": None})),
        computer(FieldObject("ComputerPartition", (NODE, "p", None), {"_software_release_document": "x"})),
        computer(releases=(FieldObject("SoftwareRelease", (), {"a": 1}),)),
        *(computer(free(name)) for name in ("../../etc", "a/b", "", ".ssh", "a\nb")),
    ],
)
def test_nonsense_is_no_state_so_nothing_is_taken_for_free(wrong: Any) -> None:
    asked, _ = master(ok(wrong))
    with pytest.raises(Unavailable) as caught:
        asked.node_state(NODE)
    assert caught.value.reference == "invalid-answer"


def test_a_guid_never_leads_out_of_a_directory() -> None:
    hostile, other = partition(), partition()
    hostile.state["_instance_guid"] = "../../../etc/cron.d/x"
    other.state["_instance_guid"] = "é"
    found = [documents.instance(item, NODE) for item in (hostile, hostile, other)]
    guids = [item.guid for item in found if item is not None]
    assert guids[0] == guids[1] != guids[2]
    assert all(is_file_name(guid) for guid in guids)


def test_unknown_state_does_not_stop_an_instance() -> None:
    found = documents.instance(partition(state="hibernated"), NODE)
    assert found is not None and found.state is InstanceState.STARTED


def test_reports_are_told_once_and_in_the_words_of_the_field() -> None:
    asked, transport = master(ok(computer(partition())), Canned(200, b"OK"))
    guid = f"{NODE}-slappart0"
    asked.node_state(NODE)

    def report(health: Health, state: str = "", sentence: str = "", timestamp: int = 1) -> None:
        asked.report(NODE, [InstanceReport(guid, health, sentence, state, timestamp)])

    report(Health.WORKING, "", "running buildout")
    report(Health.WAITING, "", "waiting for db")
    report(Health.OK, "started")
    report(Health.OK, "started", "serving, 3 promises ok")
    report(Health.OK, "started", timestamp=2)  # after a bang
    report(Health.ERROR, "started", "promise x: \x00")
    report(Health.ERROR, "started", "promise x: \x00")
    report(Health.OK, "started", timestamp=2)
    report(Health.STOPPED, "stopped", timestamp=2)
    calls = transport.seen[1:]
    assert [endpoint(request) for request in calls] == [
        "startedComputerPartition",
        "startedComputerPartition",
        "softwareInstanceError",
        "startedComputerPartition",
        "stoppedComputerPartition",
    ]
    assert form(calls[2]) == {
        "computer_id": NODE,
        "computer_partition_id": "slappart0",
        "error_log": "promise x: \ufffd",
    }
    assert calls[0].headers["Authorization"].endswith(f"computer_id={NODE}, computer_partition_id=slappart0")


def test_releases_are_reported_once() -> None:
    asked, transport = master(Canned(200, b"Ignored"))
    for status in (
        SupplyStatus(RELEASE, SupplyReport.BUILDING, "part 1 of 9"),
        SupplyStatus(RELEASE, SupplyReport.BUILDING, "part 2 of 9"),
        SupplyStatus(RELEASE, SupplyReport.ERROR, "no gcc"),
        SupplyStatus(RELEASE, SupplyReport.AVAILABLE),
        SupplyStatus(RELEASE, SupplyReport.UNKNOWN),
        SupplyStatus(RELEASE, SupplyReport.DESTROYED),
    ):
        asked.report(NODE, supplies=[status])
    assert [endpoint(request) for request in transport.seen] == [
        "buildingSoftwareRelease",
        "softwareReleaseError",
        "availableSoftwareRelease",
        "destroyedSoftwareRelease",
    ]


def test_what_could_not_be_told_is_told_again() -> None:
    asked, transport = master(ok(computer(partition())), Canned(500, b""), Canned(200, b""))
    asked.node_state(NODE)
    report = InstanceReport(f"{NODE}-slappart0", Health.OK, "", "started")
    with pytest.raises(Unavailable):
        asked.report(NODE, [report])
    asked.report(NODE, [report])
    asked.report(NODE, [report])
    assert len(transport.seen) == 3


def test_a_refused_destruction_is_told_again_until_the_partition_is_free() -> None:
    ending = ok(computer(partition(state="destroyed")))
    asked, transport = master(
        ending, Canned(200, b"busy"), ending, Canned(200, b"busy"), ok(computer(free("slappart0")))
    )
    asked.node_state(NODE)
    asked.report(NODE, [InstanceReport(f"{NODE}-slappart0", Health.DESTROYED, "", "destroyed")])
    assert asked.node_state(NODE).partitions["slappart0"] is not None
    assert asked.node_state(NODE).partitions["slappart0"] is None
    asked.node_state(NODE)
    told = [endpoint(request) for request in transport.seen if request.method == "POST"]
    assert told == ["destroyedComputerPartition"] * 2


def test_an_instance_that_nobody_knows_is_reported_to_nobody() -> None:
    asked, transport = master(ok(computer(free("slappart0"))))
    with pytest.raises(NotFound):
        asked.report(NODE, [InstanceReport("gone", Health.OK, "", "started")])
    assert {request.method for request in transport.seen} == {"GET"}


def test_events_come_when_the_answer_is_another_one() -> None:
    same = [ok(computer(partition(a="1")))] * 3
    asked, transport = master(*same, Unavailable("away"), ok(computer(partition(a="2"))), poll_period=0.02)
    first = asked.node_state(NODE).generation
    stop = threading.Event()
    number, data = next(asked.events(NODE, first, stop))
    assert number != first and data["event"] == "changed"
    assert len(transport.seen) >= 5
    stop.set()
    assert list(asked.events(NODE, number, stop)) == []


def test_pace_grows_while_nothing_happens_and_more_while_nobody_answers() -> None:
    pace = Pace(period=20.0)
    largest = lambda low, high: high  # noqa: E731
    bounds = []
    for _ in range(8):
        bounds.append(pace.delay(largest))
        pace.quiet()
    assert bounds == [1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0, 20.0]
    for _ in range(5):
        pace.failed()
    assert pace.delay(largest) == 80.0
    pace.changed()
    assert 0.5 <= pace.delay() <= 1.0


def test_a_request_of_an_instance_names_it_and_sends_every_field() -> None:
    answer = FieldObject(
        "SoftwareInstance",
        (),
        {"slap_computer_id": NODE, "slap_computer_partition_id": "slappart3", "_connection_dict": {"u": "1"}},
    )
    asked, transport = master(ok(answer), partition="slappart0", guid="g")
    made = asked.request(InstanceRequest("child", RELEASE, parameters={"_": "{}"}, state=InstanceState.STARTED))
    assert (made.node, made.partition, made.guid, made.connection) == (
        NODE,
        "slappart3",
        f"{NODE}-slappart3",
        {"u": "1"},
    )
    assert set(form(transport.seen[0])) == {
        "computer_id", "computer_partition_id", "software_release", "software_type", "partition_reference",
        "partition_parameter_xml", "filter_xml", "state", "shared_xml",
    }  # fmt: skip
    assert "computer_partition_id=slappart0" in transport.seen[0].headers["Authorization"]


def test_a_forwarded_request_is_answered_with_a_partition_of_another_master() -> None:
    state = {
        "_computer_id": "COMP-8",
        "_partition_id": "slappart9",
        "_instance_guid": "SOFTINST-12",
        "_requested_state": "stopped",
        "_master_url": "http://elsewhere/",
        "connection_xml": parameter_document.dumps({"url": "http://e"}),
    }
    asked, _ = master(ok(FieldObject("ComputerPartition", ("COMP-8", "slappart9", None), state)))
    made = asked.request(InstanceRequest("x", RELEASE))
    assert (made.node, made.partition, made.guid) == ("COMP-8", "slappart9", "SOFTINST-12")
    assert (made.state, made.connection) == (InstanceState.STOPPED, {"url": "http://e"})


@pytest.mark.parametrize("answer", [None, {"a": 1}, computer(), FieldObject("SoftwareRelease", (), {"a": 1})])
def test_an_answer_that_is_no_instance(answer: Any) -> None:
    asked, _ = master(ok(answer))
    with pytest.raises(Unavailable) as caught:
        asked.request(InstanceRequest("x", RELEASE))
    assert caught.value.reference == "invalid-answer"


def test_an_order_without_place_waits_and_a_refused_one_says_why() -> None:
    asked, _ = master(
        Canned(408, b""), Canned(404, b"<h1>Not Found</h1><p>No free computer partition found for: x</p>")
    )
    pending = asked.request(InstanceRequest("x", RELEASE))
    assert pending.node == "" and pending.reasons
    with pytest.raises(NotFound) as caught:
        asked.request(InstanceRequest("x", RELEASE))
    assert caught.value.reference == "no-place"
    assert "No free computer partition found" in str(caught.value)


def test_publication_of_our_own_and_of_a_shared_instance() -> None:
    asked, transport = master(Canned(200, b"done"), partition="slappart0", guid="own")
    asked.publish("own", {"url": "x"})
    asked.publish("root_shared", {"url": "y"})
    first, second = (form(request) for request in transport.seen)
    assert "slave_reference" not in first
    assert second["slave_reference"] == "root_shared"
    assert marshal.loads(second["connection_xml"].encode()) == {"url": "y"}


def test_a_master_that_lacks_the_list_of_children_does_not_miss_it() -> None:
    asked, transport = master(Canned(404, b""), partition="slappart0", guid="own")
    asked.requested_children("own", ["a", "b"])
    assert marshal.loads(form(transport.seen[0])["instance_reference_xml"].encode()) == ["a", "b"]


def test_format_describes_the_partitions() -> None:
    asked, transport = master(Canned(200, b"done"))
    places = (Partition("slappart0", (Address("lo", "127.1.1.1"), Address("lo", "fd00::1"))),)
    asked.format(NODE, NodeFormat(places, details={"os_type": "[]"}))
    sent = marshal.loads(form(transport.seen[0])["xml"].encode())
    assert (sent["reference"], sent["address"]) == (NODE, "127.1.1.1")
    (place,) = sent["partition_list"]
    assert [item["addr"] for item in place["address_list"]] == ["127.1.1.1", "fd00::1"]
    assert place["tap"] == {"name": "lo"}


def test_short_absences_are_sat_out_but_an_unknown_name_is_not_asked_for_again() -> None:
    asked, transport = master(Canned(503, b""), Unavailable("gone"), ok(computer()))
    asked.node_state(NODE)
    assert len(transport.seen) == 3
    unknown, transport = master(Canned(500, b""))
    with pytest.raises(Unavailable):
        unknown.node_state(NODE)
    assert len(transport.seen) == 1


def test_no_certificates_are_signed() -> None:
    asked, _ = master(ok({"certificate": "", "key": ""}))
    with pytest.raises(InputError) as caught:
        asked.certificate("instance", "csr")
    assert caught.value.reference == "not-in-dialect"
    pair = asked.given_pair(NODE, "slappart0")
    assert pair is not None and (pair.certificate, pair.key) == ("", "")


def test_usage_and_bangs() -> None:
    asked, transport = master(ok(computer(partition())), Canned(200, b"OK"))
    asked.node_state(NODE)
    assert asked.usage(NODE, "id", "<journal/>")
    asked.bang(NODE, "all")
    asked.bang(f"{NODE}-slappart0", "one")
    assert [endpoint(request) for request in transport.seen[1:]] == [
        "useComputer",
        "computerBang",
        "softwareInstanceBang",
    ]
