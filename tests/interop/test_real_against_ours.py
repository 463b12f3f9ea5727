"""The real node and the real command line with our master: over TLS, and on the insecure legacy listener."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from slapos.model.states import Health, InstanceState, SupplyReport
from slapos.testing.peers import checked
from slapos.testing.peers.node import FAILED, OFFLINE, PROMISE_FAILED
from tests.interop.stage import PARTITIONS, Stage, copy_release, fetch, open_stage

pytestmark = pytest.mark.timeout(900)  # seconds; on a busy machine, the real tools take their time
TEXT = "é <&> \"quoted\" 'too'"
USAGE = (
    '<?xml version="1.0" encoding="utf-8"?>\n<consumption><movement><resource>service_module/cpu</resource>'
    "<title>CPU</title><reference/><quantity>1.5</quantity><price>0.0</price><VAT/><category/></movement></consumption>"
)


PLAIN = "plain"  # an instance that several tests use, made by the first of them
#: What does not depend on how people and nodes prove who they are.
ON_ONE = pytest.mark.parametrize("stage", ["legacy"], indirect=True)


@pytest.fixture(scope="module", params=["legacy", "tls"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with open_stage(request.param) as made:
        yield made


def test_what_the_node_said_when_it_was_formatted(stage: Stage) -> None:
    (node,) = stage.master.operator.nodes()
    assert node.partitions == PARTITIONS
    assert node.online
    state = stage.master.operator.node_state(node.reference)
    assert sorted(state.partitions)[:2] == ["slappart0", "slappart1"]
    assert stage.computer in checked(stage.slapos("computer list")).text
    shown = checked(stage.slapos("computer info", stage.computer)).text
    assert f"Computer Reference: {stage.reference}" in shown


def test_an_order_is_served(stage: Stage) -> None:
    instance = stage.serve("served", "--parameters", "name=Ada", "x=<&é>")
    assert instance.parameters == {"name": "Ada", "x": "<&é>"}
    assert (instance.health, instance.state, instance.reported_state) == (Health.OK, InstanceState.STARTED, "started")
    socket = f"{stage.partition('served')}/var/run/http.sock"
    assert instance.connection == {"socket": socket, "release": stage.release, "text": TEXT}
    assert fetch(instance) == "Hello Ada, from served.\nStructured: nothing\n"
    info = stage.info("served")
    assert info["connection-parameters"] == dict(instance.connection)
    assert info["instance-parameters"] == {"name": "Ada", "x": "<&é>"}
    assert (info["software-url"], info["requested-state"], info["status"]) == (stage.release, "started", "green")
    assert json.loads(checked(stage.slapos("service list")).text)["served"] == stage.release
    again = stage.order("served", "--parameters", "name=Ada", "x=<&é>")
    assert again.code == 0 and "State is : started." in again.text and socket in again.text, again.text
    stamp = stage.partition("served") / ".timestamp"
    before = stamp.stat().st_mtime_ns
    stage.process("served")
    assert stamp.stat().st_mtime_ns == before, "processed without a reason"
    changed = stage.serve("served", "--parameters", "name=two")
    assert (changed.guid, changed.partition) == (instance.guid, instance.partition)
    assert fetch(changed).startswith("Hello two")


def test_structured_parameters_travel_as_json(stage: Stage) -> None:
    wanted = {"list": [1, 2.5, None, True], "text": TEXT, "nested": {"empty": ""}}
    path = stage.slapos.machine.write("parameters.json", json.dumps(wanted))
    instance = stage.serve("structured", "--parameters-file", path, "--force-serialisation", "json-in-xml")
    assert json.loads(instance.parameters["_"]) == wanted
    page = fetch(instance)
    assert json.loads(page.partition("Structured: ")[2]) == wanted


def test_shared_instances_are_served_by_their_host(stage: Stage) -> None:
    host = stage.serve("host", "--parameters", "name=host")
    words = ("--slave", "--node", f"instance_guid={host.guid}", "--parameters", "name=guest")
    stage.order("guest", *words)
    stage.process("host")
    assert "Also for guest." in fetch(host)
    told = stage.order("guest", *words)
    assert told.code == 0 and "'greeting': 'Hello guest'" in told.text, told.text
    guest = stage.instance("guest")
    assert guest.shared and guest.connection == {"greeting": "Hello guest"}
    assert stage.info("guest")["shared"] is True


@ON_ONE
def test_stopped_and_started_again(stage: Stage) -> None:
    running = stage.serve("paused")
    stopped = stage.serve("paused", "--state", "stopped")
    assert (stopped.state, stopped.reported_state, stopped.health) == (
        InstanceState.STOPPED,
        "stopped",
        Health.STOPPED,
    )
    with pytest.raises(OSError):
        fetch(running)
    started = stage.serve("paused", "--state", "started")
    assert started.health is Health.OK
    assert fetch(started).startswith("Hello world")


@ON_ONE
def test_promises_of_the_field_fail_when_their_service_does(stage: Stage) -> None:
    instance = stage.serve(PLAIN)
    checked(stage.node("promise", "--only-cp", instance.partition))
    checked(stage.node("stop", f"{instance.partition}:server-on-watch"))
    failed = stage.node("promise", "--only-cp", instance.partition)
    assert failed.code == PROMISE_FAILED, failed.text
    assert "listening" in failed.text
    assert stage.serve(PLAIN, "--parameters", "name=again").health is Health.OK


def test_bang_makes_the_node_process_again(stage: Stage) -> None:
    stage.serve(PLAIN)
    stamp = stage.partition(PLAIN) / ".timestamp"
    before = int(stamp.read_text())
    checked(stage.node("bang", "-m", "look again"))
    stage.process(PLAIN)
    assert int(stamp.read_text()) > before


def test_console_offers_the_library(stage: Stage) -> None:
    instance = stage.serve(PLAIN, "--parameters", "name=Ada")
    script = (
        f"made = request({stage.release!r}, {PLAIN!r}, partition_parameter_kw={{'name': 'Ada'}})\n"
        "published = sorted(made.getConnectionParameterDict())\n"
        "print('told', made.getId(), made.getState(), made.getInstanceGuid(), published)\n"
        f"supply({stage.release!r}, {stage.computer!r})\n"
    )
    done = stage.slapos.console(script)
    told = f"told {instance.partition} started {instance.guid} ['release', 'socket', 'text']"
    assert done.code == 0 and told in done.text, done.text


@ON_ONE
def test_usage_is_reported(stage: Stage) -> None:
    instance = stage.serve(PLAIN)
    machine, place = stage.node.machine, f"instances/var/xml_report/{instance.partition}"
    machine.make("instances/var/xml_report")
    machine.make(place)
    usage = Path(machine.write(f"{place}/usage.xml", USAGE))
    done = checked(stage.node("report"))
    assert '"POST /useComputer HTTP/1.1" 200' in done.text, done.text
    assert not usage.exists()


def test_destroyed_instances_leave_nothing(stage: Stage) -> None:
    instance = stage.serve("destroyed")
    home = stage.partition("destroyed")
    stage.serve("destroyed", "--state", "destroyed")
    with pytest.raises(OSError):
        fetch(instance)
    checked(stage.node("report"))
    assert list(home.iterdir()) == []
    state = stage.master.operator.node_state(stage.reference)
    assert state.partitions[instance.partition] is None
    assert "destroyed" not in json.loads(checked(stage.slapos("service list")).text)
    checked(stage.node.format())  # .slapos-resource goes with the instance; format brings it back


@ON_ONE
def test_removed_releases_go(stage: Stage) -> None:
    release = copy_release(stage.directory, "other")
    stage.supply(release)
    assert supply_of(stage, release) is SupplyReport.AVAILABLE
    checked(stage.slapos("remove", release, stage.computer))
    done = checked(stage.node("software"))
    assert f"Destroyed '{release}'" in done.text, done.text
    assert supply_of(stage, release) in (None, SupplyReport.DESTROYED)


@ON_ONE
def test_releases_that_cannot_be_built(stage: Stage) -> None:
    release = copy_release(stage.directory, "broken")
    Path(release).write_text("[buildout]\nparts = missing\n")
    checked(stage.slapos("supply", release, stage.computer))
    failed = stage.node("software")
    assert failed.code == FAILED, failed.text
    assert supply_of(stage, release) is SupplyReport.ERROR
    checked(stage.slapos("remove", release, stage.computer))
    checked(stage.node("software"))
    assert supply_of(stage, release) in (None, SupplyReport.DESTROYED)


@ON_ONE
def test_services_go_on_without_the_master(stage: Stage) -> None:
    alone = stage.serve("alone")
    stage.master.stop()
    try:
        offline = stage.node("instance")
        assert offline.code == OFFLINE, offline.text
        assert fetch(alone).startswith("Hello world")
    finally:
        stage.master.start()
    stage.process("alone")


def supply_of(stage: Stage, release: str) -> SupplyReport | None:
    found = [supply for supply in stage.master.operator.node(stage.reference).supplies if supply.release == release]
    return found[0].reported if found else None
