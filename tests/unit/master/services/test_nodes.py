"""Nodes: state since a generation, format, reports, supplies, how people see them."""

from __future__ import annotations

import pytest

from slapos.master.services import access, history, nodes, supplies
from slapos.model.errors import Conflict, InputError, NotFound, Refused
from slapos.model.objects import Address, Instance, InstanceReport, NodeFormat, Partition, PromiseResult, SupplyStatus
from slapos.model.states import Health, InstanceState, SupplyReport, SupplyState
from tests.unit.master.world import OPERATOR, RELEASE, START, World, node_principal, partition, user

DESTROYED = SupplyState.DESTROYED


def test_state_is_complete_then_only_what_changed(world: World) -> None:
    node, other = world.node(), world.node()
    first = world.request("first", sla={"computer_guid": node})
    state = world.state(node)
    assert state.complete and list(state.partitions) == ["slappart0", "slappart1", "slappart2"]
    assert state.partitions["slappart1"] is None
    assert [supply.release for supply in state.supplies] == [RELEASE]
    held = state.partitions["slappart0"]
    assert held is not None and held.guid == first.guid and 0 < held.generation <= state.generation

    world.request("second", sla={"computer_guid": other})
    world.supply(other, RELEASE + "2")
    quiet = world.state(node, state.generation)
    assert not quiet.complete and not quiet.partitions and not quiet.supplies
    third = world.request("third", sla={"computer_guid": node})
    world.supply(node, RELEASE + "3")
    news = world.state(node, quiet.generation)
    assert {name: each and each.guid for name, each in news.partitions.items()} == {"slappart1": third.guid}
    assert [supply.release for supply in news.supplies] == [RELEASE + "3"]
    assert world.state(node, news.generation + 1).complete  # from a database that was replaced


def test_a_freed_partition_is_news(world: World) -> None:
    node = world.node()
    site = world.request("site")
    world.destroy(site)
    known = world.state(node).generation
    world.report_destroyed(site)
    news = world.state(node, known)
    assert (news.complete, dict(news.partitions)) == (False, {"slappart0": None})
    world.report_destroyed(site)  # reported twice


def test_format_again_changes_nothing(world: World) -> None:
    node = world.node(partitions=2)
    generation = world.storage.generation()
    world.format(node, (partition(0), partition(1)))
    assert world.storage.generation() == generation


def test_format_moves_addresses_and_forgets_partitions(world: World) -> None:
    node = world.node(partitions=3)
    first, second = world.request("first"), world.request("second")
    known = world.state(node).generation
    world.now += 5
    world.format(node, (Partition("slappart0", (Address("lo", "127.9.9.9"),)),))
    found = world.find(first)
    assert (found.timestamp, found.addresses[0].ip) == (START + 5, "127.9.9.9")
    assert world.find(second).timestamp == START
    state = world.state(node, known)
    assert state.complete and list(state.partitions) == ["slappart0", "slappart1"]  # the busy one stays
    world.destroy(second)
    world.report_destroyed(second)
    assert list(world.state(node).partitions) == ["slappart0"]
    assert world.request("third").reasons == (f"{node} is full (1/1).",)


@pytest.mark.parametrize(
    ("partitions", "field"),
    [
        ((Partition("../x"),), "format.partitions[0].reference"),
        ((Partition("a"), Partition("a")), "format.partitions[1].reference"),
        ((Partition("a", (Address("lo", "\0"),)),), "format.partitions[0]"),
    ],
)
def test_a_bad_format_is_refused_with_its_field(world: World, partitions: tuple[Partition, ...], field: str) -> None:
    node = world.enrol()
    with pytest.raises(InputError) as caught:
        world.format(node, partitions)
    assert caught.value.context["field"] == field


def report(instance: Instance, health: Health, sentence: str, timestamp: int = 0) -> InstanceReport:
    promises = (PromiseResult("url.py", health is Health.OK, "200", START, 0.5),)
    return InstanceReport(instance.guid, health, sentence, "started", timestamp, promises)


def test_a_report_is_kept_word_for_word_and_touches_nothing(world: World) -> None:
    node = world.node()
    site = world.request("site")
    known = world.state(node).generation
    world.report(node, report(site, Health.WAITING, "Waiting for its child db: url", site.timestamp))
    found = world.find(site)
    assert (found.health, found.sentence) == (Health.WAITING, "Waiting for its child db: url")
    assert found.promises[0].message == "200" and found.reported_state == "started"
    assert found.timestamp == site.timestamp
    assert dict(world.state(node, known).partitions) == {}
    generation = world.storage.generation()
    assert generation > known  # those who look at the instance are woken
    world.report(node, report(site, Health.WAITING, "Waiting for its child db: url", site.timestamp))
    assert world.storage.generation() == generation


def test_an_old_report_cannot_say_that_all_is_well(world: World) -> None:
    node = world.node()
    site = world.request("site")
    changed = world.request("site", parameters={"a": "b"})
    assert changed.health is Health.WORKING
    world.report(node, report(site, Health.OK, "Runs.", site.timestamp))
    assert world.find(site).health is Health.WORKING
    world.report(node, report(site, Health.OK, "Runs.", changed.timestamp))
    assert world.find(site).health is Health.OK


def test_wrong_reports_leave_nothing(world: World) -> None:
    node, other = world.node(), world.node()
    site = world.request("site", sla={"computer_guid": node})
    with pytest.raises(Refused) as caught:
        world.report(other, report(site, Health.OK, "Mine."))
    assert caught.value.reference == "not-on-this-node"
    with pytest.raises(Conflict):
        world.report(node, report(site, Health.OK, "Half."), InstanceReport(site.guid, Health.OK, "", "destroyed"))
    with pytest.raises(InputError):
        world.report(node, InstanceReport(site.guid, Health.OK, "", "dancing"))
    assert world.find(site).sentence == f"Allocated on {node}; the node has not reported yet."


def test_supplies_are_wished_reported_and_forgotten(world: World) -> None:
    node = world.node()
    generation = world.storage.generation()
    world.supply(node)
    assert world.storage.generation() == generation
    world.report(node, supplies=(SupplyStatus(RELEASE, SupplyReport.ERROR, "cc: not found"),))
    found = world.storage.read(lambda tx: supplies.list_supplies(tx, OPERATOR, node))
    assert (found[0].reported, found[0].sentence) == (SupplyReport.ERROR, "cc: not found")
    with pytest.raises(Conflict):
        world.report(node, supplies=(SupplyStatus(RELEASE, SupplyReport.DESTROYED),))
    site = world.request("site")
    with pytest.raises(Conflict) as caught:
        world.supply(node, state=DESTROYED)
    assert caught.value.reference == "release-in-use"
    world.destroy(site)
    world.report_destroyed(site)
    assert world.supply(node, state=DESTROYED).state is DESTROYED
    known = world.state(node).generation
    assert world.supply(node).state is SupplyState.AVAILABLE  # wished again before it was gone
    world.supply(node, state=DESTROYED)
    world.report(node, supplies=(SupplyStatus(RELEASE, SupplyReport.DESTROYED),))
    state = world.state(node, known)
    assert state.complete and state.supplies == ()
    world.report(node, supplies=(SupplyStatus("never-wished", SupplyReport.AVAILABLE),))


def test_people_see_nodes(world: World) -> None:
    node = world.node(network="lan")
    world.node(project="other")
    world.request("site", sla={"computer_guid": node})
    seen = world.storage.read(lambda tx: nodes.list_nodes(tx, user(), world.now))
    assert [(view.reference, view.partitions, view.busy, view.online) for view in seen] == [(node, 3, 1, True)]
    view = world.storage.read(lambda tx: nodes.find_node(tx, user(), node, world.now + 301))
    assert (view.online, view.network, view.supplies[0].release) == (False, "lan", RELEASE)
    for reference in ("COMP-2", "COMP-9", "x"):
        with pytest.raises(NotFound):
            world.storage.read(lambda tx, name=reference: nodes.find_node(tx, user(), name, world.now))


def test_a_node_does_nothing_for_another(world: World) -> None:
    node, other = world.node(), world.node()
    who = node_principal(other)
    wanted = NodeFormat((partition(0),))
    for act in (
        lambda tx: nodes.node_state(tx, who, node),
        lambda tx: nodes.format_node(tx, who, node, wanted, world.now),
        lambda tx: nodes.report(tx, who, node, (), (), world.now),
        lambda tx: nodes.keep_plan(tx, who, node, {}, world.now),
        lambda tx: nodes.bang_node(tx, who, node, "", world.now),
        lambda tx: supplies.supply(tx, who, other, RELEASE, DESTROYED, world.now),
    ):
        with pytest.raises(Refused):
            world.storage.write(act)


def test_bang_and_plan(world: World) -> None:
    node = world.node()
    site = world.request("site")
    world.now += 9
    world.storage.write(lambda tx: nodes.bang_node(tx, OPERATOR, node, "new disk", world.now))
    assert world.find(site).timestamp == START + 9
    assert world.storage.read(lambda tx: nodes.last_plan(tx, OPERATOR, node))["date"] == 0
    world.storage.write(lambda tx: nodes.keep_plan(tx, node_principal(node), node, {"actions": []}, world.now))
    assert world.storage.read(lambda tx: nodes.last_plan(tx, OPERATOR, node))["plan"] == {"actions": []}


def test_the_history_says_who_did_what(world: World) -> None:
    node = world.node()
    site = world.request("site", by=user("jane"))
    events = world.storage.read(lambda tx: history.events(tx, user(), site.guid))
    assert [(event.kind, event.actor) for event in events] == [("requested", "user:jane"), ("allocated", "user:jane")]
    last = events[-1].number
    world.destroy(site)
    assert [e.kind for e in world.storage.read(lambda tx: history.events(tx, OPERATOR, site.guid, last))] == [
        "destroyed"
    ]
    of_supply = world.storage.read(lambda tx: history.events(tx, OPERATOR, f"{node} {RELEASE}"))
    assert [event.kind for event in of_supply] == ["supplied"]
    with pytest.raises(InputError):
        world.storage.read(lambda tx: history.events(tx, OPERATOR, "all"))
    with pytest.raises(NotFound):
        world.storage.read(lambda tx: history.events(tx, user(project="other"), site.guid))


def test_the_history_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    node = world.node()
    site = world.request("site")
    monkeypatch.setattr(history, "SUBJECT_LIMIT", 5)

    def many(tx) -> None:  # type: ignore[no-untyped-def]
        for number in range(2 * history.TRIM_EVERY):
            history.record(tx, ("main", site.guid), "test", str(number), by="test", now=world.now)
        history.trim(tx)

    world.storage.write(many)
    kept = world.storage.read(lambda tx: history.events(tx, OPERATOR, site.guid))
    assert [event.sentence for event in kept] == [str(2 * history.TRIM_EVERY - 5 + n) for n in range(5)]
    assert world.storage.read(lambda tx: history.events(tx, OPERATOR, node))
    monkeypatch.setattr(history, "TOTAL_LIMIT", 2)
    world.storage.write(history.trim)
    assert not world.storage.read(lambda tx: history.events(tx, OPERATOR, node))


def test_find_row_hides_from_people_and_refuses_machines(world: World) -> None:
    world.node()
    site = world.request("site")
    with pytest.raises(NotFound):
        world.storage.read(lambda tx: access.find_row(tx, user(project="other"), site.guid))
    with pytest.raises(Refused):
        world.storage.read(lambda tx: access.find_row(tx, node_principal("COMP-7"), site.guid))


def test_a_destroyed_state_is_reported_once_wished(world: World) -> None:
    node = world.node()
    site = world.request("site")
    world.destroy(site)
    stopped = InstanceReport(site.guid, Health.STOPPED, "Stopped; to be wiped.", InstanceState.STOPPED)
    world.report(node, stopped)
    found = world.find(site)
    assert (found.node, found.reported_state) == (node, "stopped")
