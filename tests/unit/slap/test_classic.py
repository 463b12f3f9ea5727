"""The classic library: what it sends, and the exceptions that scripts catch.  Over a transport that plays a script."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests

import slapos.slap
from slapos.model.errors import Refused, Unavailable
from slapos.slap.classic_calls import CA_VARIABLE, known_authority
from slapos.slap.classic_requests import ComputerPartition, OpenOrder
from slapos.slap.exception import (
    ConnectionError,
    NotFoundError,
    ResourceNotReady,
    ServerError,
    SlapException,
)
from slapos.slap.field_client import FieldClient
from slapos.slap.slap import SoftwareProductCollection, SoftwareRelease, slap
from slapos.slap.transport import Request
from slapos.testing.transport import Canned, Scripted
from slapos.wire import marshal
from slapos.wire.marshal import FieldObject

RELEASE = "http://x/software.cfg"
WISHED = FieldObject("SoftwareRelease", (RELEASE, "COMP-1"), {"_requested_state": "available"})
UNWISHED = FieldObject("SoftwareRelease", (RELEASE, "COMP-1"), {"_requested_state": "destroyed"})
PARTITION = FieldObject(
    "ComputerPartition",
    ("COMP-1", "slappart0", None),
    {
        "_instance_guid": "SOFTINST-1",
        "_requested_state": "started",
        "_software_release_document": WISHED,
        "_parameter_dict": {"a": "1", "slap_software_type": "default", "ip_list": [("lo", "::1")]},
        "_connection_dict": {"url": "http://x"},
    },
)
COMPUTER = FieldObject(
    "Computer",
    ("COMP-1",),
    {
        "_software_release_list": [UNWISHED],
        "_computer_partition_list": [PARTITION],
    },
)  # fmt: skip


def _ok(value: Any) -> Canned:
    return Canned(200, marshal.dumps(value))


def connected(*answers: Canned | Exception) -> tuple[slap, Scripted]:
    connection = slap()
    connection.initializeConnection("https://master/", slapgrid_rest_uri="https://master/hateoas/")
    transport = Scripted(*answers)
    connection._connection_helper.client = FieldClient.over(transport)
    return connection, transport


def form(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(request.body.decode(), keep_blank_values=True).items()}


def test_names_of_the_field_lead_here() -> None:
    program = (
        "import sys, slapos.slap\n"
        "assert 'requests' not in sys.modules and 'lxml' not in sys.modules\n"
        "from slapos.slap.slap import NotFoundError\n"  # the import system binds the module now
        "from slapos.slap import slap, ServerError, ResourceNotReady\n"
        "from slapos.slap.exception import SlapException\n"
        "assert slapos.slap.slap() is not None and slap is slapos.slap.slap\n"
        "assert slapos.slap.NotFoundError is NotFoundError and issubclass(ServerError, SlapException)\n"
        "import slapos.slap.hateoas\n"
        "assert not hasattr(slapos.slap, 'get_everything')\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_partition_requests_with_all_fields_and_on_its_own_behalf() -> None:
    answer = FieldObject(
        "SoftwareInstance",
        (),
        {
            "slap_computer_id": "COMP-1",
            "slap_computer_partition_id": "slappart4",
            "_parameter_dict": {"b": "2"},
            "_connection_dict": {"url": "u"},
            "_requested_state": "stopped",
            "_instance_guid": "SOFTINST-9",
        },
    )
    connection, transport = connected(_ok(answer))
    partition = connection.registerComputerPartition("COMP-1", "slappart0")
    made = partition.request(RELEASE, None, "child", True, {"n": 1}, {"computer_guid": "COMP-1"}, "stopped")
    assert (made.getId(), made.getState(), made.getInstanceGuid()) == ("slappart4", "stopped", "SOFTINST-9")
    assert made.getConnectionParameter("url") == "u"
    assert made.getInstanceParameter("b") == "2"
    with pytest.raises(NotFoundError):
        made.getConnectionParameter("none")
    (request,) = transport.seen
    assert request.headers["Authorization"].endswith("computer_id=COMP-1, computer_partition_id=slappart0")
    fields = form(request)
    decoded = {name for name in fields if "xml" in name or name == "state"}
    assert {name: marshal.loads(fields.pop(name).encode()) for name in decoded} == {
        "partition_parameter_xml": {"n": 1},
        "filter_xml": {"computer_guid": "COMP-1"},
        "shared_xml": True,
        "state": "stopped",
    }  # fmt: skip
    assert fields == {
        "computer_id": "COMP-1",
        "computer_partition_id": "slappart0",
        "software_release": RELEASE,
        "software_type": "default",
        "partition_reference": "child",
    }


def test_person_requests_without_identity_and_may_wait() -> None:
    connection, transport = connected(Canned(408, b""))
    waiting = connection.registerOpenOrder().request(RELEASE, "root")
    assert "Authorization" not in transport.seen[0].headers
    assert "computer_id" not in form(transport.seen[0])
    for ask in (waiting.getId, waiting.getState, waiting.getInstanceGuid, waiting.started):
        with pytest.raises(ResourceNotReady):
            ask()


def test_answer_of_another_master_is_a_partition_too() -> None:
    connection, _ = connected(_ok(PARTITION))
    made = connection.registerOpenOrder().request(RELEASE, "root")
    assert (made.getId(), made.getInstanceGuid()) == ("slappart0", "SOFTINST-1")


@pytest.mark.parametrize("wrong", [{"partition_parameter_kw": [1]}, {"filter_kw": "x"}])
def test_orders_take_dictionaries(wrong: dict[str, Any]) -> None:
    connection, transport = connected(_ok(None))
    with pytest.raises(ValueError, match=next(iter(wrong))):
        connection.registerOpenOrder().request(RELEASE, "t", **wrong)
    assert transport.seen == []


def test_partition_is_asked_once_for_what_is_unknown() -> None:
    connection, transport = connected(_ok(PARTITION))
    partition = connection.registerComputerPartition("COMP-1", "slappart0")
    assert partition.getInstanceGuid() == "SOFTINST-1"
    assert partition.getState() == "started"
    assert partition.getType() == "default"
    assert partition.getConnectionParameterDict() == {"url": "http://x"}
    assert partition.getInstanceParameterDict()["ip_list"] == [("lo", "::1")]
    assert partition.getSoftwareRelease().getURI() == RELEASE
    assert len(transport.seen) == 1
    assert "computer_reference=COMP-1&computer_partition_reference=slappart0" in transport.seen[0].url


def test_computer_is_read_once_and_an_old_master_by_the_old_name() -> None:
    connection, transport = connected(Canned(404, b""), _ok(COMPUTER), Canned(200, b"done"))
    computer = connection.registerComputer("COMP-1")
    (release,), (partition,) = computer.getSoftwareReleaseList(), computer.getComputerPartitionList()
    assert (release.getURI(), release.getState(), partition.getState()) == (RELEASE, "destroyed", "started")
    assert [request.url.split("?")[0].rsplit("/", 1)[1] for request in transport.seen] == [
        "getFullComputerInformation",
        "getComputerInformation",
    ]
    release.destroyed()
    partition.setConnectionDict({"é": "<&>"}, slave_reference="SOFTINST-2")
    assert form(transport.seen[2]) == {"url": RELEASE, "computer_id": "COMP-1"}
    fields = form(transport.seen[3])
    assert marshal.loads(fields["connection_xml"].encode()) == {"é": "<&>"}
    assert fields["slave_reference"] == "SOFTINST-2"


def test_master_cannot_take_over_the_connection() -> None:
    evil = FieldObject("Computer", ("COMP-1",), {"_connection_helper": "mine", "__class__": "int"})
    connection, _ = connected(_ok(evil))
    computer = connection.registerComputer("COMP-1")
    assert computer.getComputerPartitionList() == []
    assert computer._connection_helper is connection._connection_helper


def test_objects_with_wrong_arguments_are_an_error_of_the_server() -> None:
    connection, _ = connected(_ok(FieldObject("Computer", (), {"a": 1})))
    with pytest.raises(ServerError):
        connection.registerComputer("COMP-1").getSoftwareReleaseList()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Canned(404, b""), NotFoundError),
        (Canned(408, b""), ResourceNotReady),
        *((Canned(status, b""), ServerError) for status in (500, 502, 503, 520, 523, 524, 526)),
        *((Canned(status, b"why"), requests.HTTPError) for status in (400, 401, 403, 405, 409, 501, 504)),
        (Canned(200, b"<html>"), ServerError),
        (Unavailable("no"), ConnectionError),
        (Refused("not trusted", reference="server-not-trusted"), ConnectionError),
    ],
)
def test_failures_are_the_exceptions_of_the_field(answer: Canned | Exception, kind: type[Exception]) -> None:
    connection, _ = connected(answer)
    with pytest.raises(kind) as caught:
        connection.registerComputer("COMP-1").getStatus()
    assert type(caught.value) is kind
    if isinstance(caught.value, requests.HTTPError) and isinstance(answer, Canned):
        assert caught.value.response is not None
        assert (caught.value.response.status_code, caught.value.response.text) == (answer.status, "why")
    elif kind is not requests.HTTPError:
        assert isinstance(caught.value, SlapException)


def test_errors_about_errors_are_swallowed() -> None:
    connection, transport = connected(Canned(500, b""))
    connection.registerComputerPartition("COMP-1", "p").error("traceback")
    SoftwareRelease(RELEASE, "COMP-1", connection_helper=connection._connection_helper).error("log")
    assert [form(request)["error_log"] for request in transport.seen] == ["traceback", "log"]


def test_products() -> None:
    connection, transport = connected(_ok([RELEASE, "old"]), _ok([]))
    products = SoftwareProductCollection(slapos.slap.classic_objects.log, connection)
    assert products.kvm == RELEASE
    with pytest.raises(AttributeError):
        products.get("unknown-thing")
    assert "software_product_reference=kvm" in transport.seen[0].url
    for wrong in ((None, None), ("a", "b")):
        with pytest.raises(AttributeError):
            connection.getSoftwareReleaseListFromSoftwareProduct(*wrong)


@pytest.mark.parametrize(
    "make",
    [
        lambda connection: connection.registerComputerPartition("", "p"),
        lambda connection: connection.registerComputerPartition("c", ""),
        lambda connection: connection.registerComputer("").getSoftwareReleaseList(),
    ],
)
def test_empty_identifiers_are_not_found(make: Callable[[slap], Any]) -> None:
    connection, transport = connected(_ok(None))
    with pytest.raises(NotFoundError):
        make(connection)
    assert transport.seen == []


def test_a_partition_is_placed_or_an_order() -> None:
    wrong: list[tuple[Any, ...]] = [("c", "p", {}), (), ("c",)]
    for arguments in wrong:
        with pytest.raises(TypeError):
            ComputerPartition(*arguments)


def test_requested_titles_are_noted_for_the_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLAPGRID_INSTANCE_ROOT", str(tmp_path))
    (tmp_path / "slappart0").mkdir()
    connection, _ = connected(Canned(408, b""))
    partition = connection.registerComputerPartition("COMP-1", "slappart0")
    note = tmp_path / "slappart0" / ".slapos-request-transaction-slappart0"
    assert note.read_text() == ""
    partition.request(RELEASE, None, "é one")
    partition.request(RELEASE, None, "two", shared=True)
    connection.registerComputerPartition("COMP-1", "slappart0")
    assert note.read_text() == "é one\ntwo\n"
    connection.registerComputerPartition("COMP-1", "absent")
    assert not (tmp_path / "absent").exists()
    OpenOrder(connection._connection_helper).request(RELEASE, "of a person")
    assert note.read_text() == "é one\ntwo\n"


def test_authority_of_the_master_is_found_where_the_node_puts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CA_VARIABLE, raising=False)
    certificate = os.fspath(tmp_path / "slappart0.crt")
    assert known_authority(certificate) == known_authority("") == ""
    (tmp_path / "ca.pem").write_text("x")
    assert known_authority(certificate) == os.fspath(tmp_path / "ca.pem")
    monkeypatch.setenv(CA_VARIABLE, "/named.pem")
    assert known_authority(certificate) == "/named.pem"
