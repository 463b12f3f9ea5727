"""An instance that asks for another one, and what it waits for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from slapos.model.errors import InputError, ProfileError
from slapos.slap.documents import instance_to_data
from tests.unit.cookbook.engine import GUID, Master, Partition, connection_section, instance

METHOD = "hyperopenx.post.v0.instance"
PROFILE = """
[buildout]
parts = child other user
[child]
recipe = hyperopenx:request
name = backend
software-url = /r/software.cfg
config-title = ${given:title}
sla-computer_guid = COMP-1
sla-empty =
return = url
  port
[other]
recipe = hyperopenx:mkdirectory
data = srv/data
[user]
recipe = hyperopenx:mkdirectory
used = srv/${child:connection-port}
"""
HOSTILE = "a ${buildout:directory} {{ x }} %(y)s '\" \n ; # é 🙂 "


def answer(**changes: Any) -> dict[str, Any]:
    return instance_to_data(instance(**{"guid": "SOFTINST-8", "title": "backend", **changes}))


def run(partition: Partition, master: Master, profile: str = PROFILE, title: Any = HOSTILE, **connection: str) -> Any:
    section = connection_section(url=master.url) | connection
    return partition.run(profile, slap__connection=section, given={"title": title})


def test_what_is_asked_and_what_comes_back(partition: Partition, master: Master) -> None:
    master.answers[METHOD] = answer(connection={"url": "u v", "port": "80"})
    report = run(partition, master)
    assert report.outcome == "done"
    (message,) = master.messages(METHOD)
    assert message == {
        "title": "backend",
        "release": "/r/software.cfg",
        "software_type": "default",
        "parameters": {"title": HOSTILE},
        "sla": {"computer_guid": "COMP-1"},
        "state": "started",
        "shared": False,
        "requester": GUID,
    }
    option = partition.option
    assert (option("child", "connection-url"), option("child", "connection-port")) == ("u v", "80")
    assert (option("child", "instance-guid"), option("child", "instance-status")) == ("SOFTINST-8", "ok")
    assert (partition.directory / "srv/80").is_dir()
    transaction = partition.directory / ".slapos-request-transaction-slappart0"
    assert transaction.read_text() == "backend\n"
    run(partition, master)
    assert transaction.read_text() == "backend\nbackend\n"


def test_a_missing_value_is_waited_for_and_the_rest_goes_on(partition: Partition, master: Master) -> None:
    master.answers[METHOD] = answer(connection={"url": "u"})
    report = run(partition, master)
    assert (report.outcome, report.sentence) == ("waiting", "waiting for backend: port")
    assert partition.outcomes(report) == {"child": "waiting", "other": "installed", "user": "blocked"}
    assert (partition.directory / "srv/data").is_dir()
    master.answers[METHOD] = answer(connection={"_": json.dumps({"url": "u", "port": 80})})
    assert run(partition, master).outcome == "done"
    assert partition.option("child", "connection-port") == 80


def test_a_pending_order_says_why(partition: Partition, master: Master) -> None:
    master.answers[METHOD] = (202, answer(node="", partition="", reasons=("1 node: it is full (3/3).",)))
    report = run(partition, master)
    assert report.outcome == "waiting"
    assert report.sentence == "waiting for backend: url, port (not allocated yet: 1 node: it is full (3/3).)"


def test_an_optional_request_does_not_wait(partition: Partition, master: Master) -> None:
    master.answers[METHOD] = answer()
    profile = PROFILE.replace("hyperopenx:request", "hyperopenx:requestoptional")
    profile = profile.replace("srv/${child:connection-port}", "srv/x${child:connection-port}")
    assert run(partition, master, profile).outcome == "done"
    assert (partition.directory / "srv/x").is_dir()
    problem = {"type": "urn:hyperopenx:refused", "title": "x", "status": 403, "detail": "No.", "reference": "refused"}
    master.answers[METHOD] = (403, problem)
    assert run(partition, master, profile).outcome == "done"
    assert run(partition, master).outcome == "failed"


def test_serialised_parameters_keep_their_types(partition: Partition, master: Master) -> None:
    master.answers[METHOD] = answer(connection={"url": "u", "port": "1"})
    profile = PROFILE.replace("hyperopenx:request", "hyperopenx:request.serialised")
    value = {"deep": [1, None, HOSTILE]}
    assert run(partition, master, profile, title=value).outcome == "done"
    assert json.loads(master.messages(METHOD)[0]["parameters"]["_"]) == {"title": value}


@pytest.mark.parametrize(("given", "expected"), [("", "stopped"), ("state = destroyed", "destroyed")])
def test_a_stopped_requester_keeps_its_children_stopped(
    partition: Partition, master: Master, given: str, expected: str
) -> None:
    master.answers[METHOD] = answer(connection={"url": "u", "port": "1"})
    profile = PROFILE.replace("name = backend", f"name = backend\nshared = true\n{given}")
    run(partition, master, profile, **{"requested-state": "stopped"})
    (message,) = master.messages(METHOD)
    assert (message["state"], message["shared"]) == (expected, True)


@pytest.mark.parametrize(
    ("old", "new", "title", "field"),
    [
        ("name = backend", "name = ${given:title}", "a\nb", "name"),
        ("name = backend", "name = ${given:title}", "x" * 201, "name"),
        ("name = backend", "", "", "name"),
        ("software-url = /r/software.cfg", "", "", "software-url"),
        ("sla-empty =", "sla = a b", "", "sla"),
        ("sla-empty =", "state = paused", "", "state"),
        ("sla-empty =", "", "a\0b", "config.title"),
    ],
)
def test_wrong_requests_never_leave(
    partition: Partition, master: Master, old: str, new: str, title: str, field: str
) -> None:
    report = run(partition, master, PROFILE.replace(old, new), title=title)
    error = report.first_error
    assert isinstance(error, InputError | ProfileError)
    assert field in (error.context.get("option"), error.context.get("field"))
    assert master.calls == []


def test_a_product_is_its_best_release(partition: Partition, master: Master) -> None:
    asked = "/getSoftwareReleaseListFromSoftwareProduct?software_product_reference="
    master.answers |= {METHOD: answer(connection={"url": "u", "port": "1"}), f"{asked}wiki": ["/r/2", "/r/1"]}
    profile = PROFILE.replace("hyperopenx:request", "slapos.cookbook:request")
    product = profile.replace("/r/software.cfg", "product.wiki")
    assert run(partition, master, product).outcome == "done"
    assert [message["release"] for message in master.messages(METHOD)] == ["/r/2"]
    assert partition.option("child", "instance_guid") == partition.option("child", "instance-guid") == "SOFTINST-8"
    master.answers[f"{asked}none"] = []
    report = run(partition, master, product.replace("product.wiki", "product.none"))
    assert report.first_error is not None and report.first_error.reference == "unknown-product"
