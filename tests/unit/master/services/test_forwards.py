"""Rows of forwarded requests: reserved, bound, learned from, taken back; on both databases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from slapos.master.forwarding.objects import Asked, Elsewhere, Served
from slapos.master.services import forwards, requests, standing
from slapos.master.services.instances import list_roots
from slapos.master.services.standing import Found
from slapos.master.storage import tables
from slapos.model.errors import Conflict, Refused, Unavailable
from slapos.model.objects import Instance, InstanceRequest
from slapos.model.principal import Principal
from slapos.model.states import Health, InstanceState, Role
from tests.unit.master.world import OPERATOR, RELEASE, World, instance_principal, node_principal, user

FAR, THIRD = "http://far.example.org:80/", "http://third.example.org:80/"
SERVED = Served("COMP-1", "slappart7", "SOFTINST-70", {})
DESTROYED, STOPPED, STARTED = InstanceState.DESTROYED, InstanceState.STOPPED, InstanceState.STARTED


def look(
    world: World, title: str, by: Principal = OPERATOR, state: InstanceState | None = None, shared: bool = False
) -> Found:
    order = InstanceRequest(title, RELEASE, state=state, shared=shared)
    return world.storage.read(lambda tx: standing.look(tx, by, order, None))


def reserve(world: World, found: Found, master: str = FAR) -> Any:
    asked = Asked("", RELEASE, "default", False, found.state, {}, {})
    return world.storage.write(lambda tx: forwards.reserve(tx, found.key, found.requester, asked, master, world.now))


def forward(
    world: World,
    title: str,
    served: Served | None = SERVED,
    by: Principal = OPERATOR,
    state: InstanceState | None = None,
) -> Instance:
    """The order as it is written once the other master has accepted it."""
    found = look(world, title, by, state)
    row = found.forward or reserve(world, found)
    order = InstanceRequest(title, RELEASE, state=state)
    elsewhere = Elsewhere(row["number"], FAR, served)
    return world.storage.write(lambda tx: requests.request_instance(tx, by, order, elsewhere=elsewhere, now=world.now))


def rows(world: World) -> list[Any]:
    return world.storage.read(lambda tx: list(tx.execute(select(tables.forwards)).mappings()))


def learn(world: World, instance: Instance, served: Served | None) -> bool:
    def write(tx: Any) -> bool:
        row = forwards.forward_of(tx, int(instance.guid.removeprefix("SOFTINST-")))
        assert row is not None
        return forwards.learn(tx, row["number"], served, world.now)

    return world.storage.write(write)


def test_it_lives_where_the_other_master_says_and_takes_no_place_here(world: World) -> None:
    world.node(partitions=1)
    found = forward(world, "shop")
    assert (found.node, found.partition, found.master) == ("COMP-1", "slappart7", FAR.rstrip("/"))
    assert found.health is Health.WORKING and found.reasons == ()
    assert world.request("ours").node == "COMP-1", "the only partition was still free"
    assert [(row["title"], row["instance"]) for row in rows(world)] == [("user_shop", 1)]
    known = world.find(found)
    world.now += 10
    assert forward(world, "shop") == known == world.find(found), "ordered again, nothing changes and nobody is woken"
    assert len(rows(world)) == 1


def test_no_place_there_is_pending_here_and_no_node_here_serves_it(world: World) -> None:
    found = forward(world, "shop", None)
    assert (found.node, found.health) == ("", Health.PENDING)
    assert found.reasons == (found.sentence,)
    world.node()
    assert world.find(found).node == ""
    learn(world, found, SERVED)
    assert (world.find(found).node, world.find(found).reasons) == ("COMP-1", ())


@pytest.mark.parametrize(
    ("status", "connection", "health"),
    [
        ("", {}, Health.WORKING),
        ("", {"url": "x"}, Health.OK),
        ("#access Instance correctly started.", {}, Health.OK),
        ("#error The disk is full.", {"url": "x"}, Health.ERROR),
        ("#building it", {"url": "x"}, Health.WORKING),
    ],
)
def test_health_is_what_that_master_tells(
    world: World, status: str, connection: dict[str, str], health: Health
) -> None:
    found = forward(world, "shop", Served("N", "p", "g", connection, status))
    assert found.health is health
    assert found.sentence.startswith("Served by http://far.example.org:80 on N, partition p.")


def test_only_news_are_news(world: World) -> None:
    found = forward(world, "shop")
    assert not learn(world, found, SERVED)
    assert learn(world, found, Served("COMP-1", "slappart7", "SOFTINST-70", {"url": "x"}))
    assert world.find(found).connection == {"url": "x"}
    assert not learn(world, found, Served("COMP-1", "slappart7", "SOFTINST-70", {"url": "x"}))


def test_what_cannot_travel_is_said_and_what_was_known_stays(world: World) -> None:
    found = forward(world, "shop", Served("N", "p", "g", {"url": "x"}))
    learn(world, found, Served("N", "p", "g", {"url": "x" * (10 * 1024 * 1024 + 1)}))
    now = world.find(found)
    assert (now.connection, now.health) == ({"url": "x"}, Health.ERROR)
    assert "connection: " in now.sentence


def test_the_requester_is_processed_again_when_a_child_published_there(world: World) -> None:
    node = world.node()
    root = world.request("root")
    by = instance_principal(root.guid)
    child = forward(world, "db", by=by)
    assert child.requester_guid == root.guid
    assert [row["title"] for row in rows(world)] == ["slappart0_db"]
    before = world.state(node).partitions[root.partition]
    world.now += 10
    learn(world, child, Served("COMP-1", "slappart7", "SOFTINST-70", {"url": "sql"}))
    after = world.state(node).partitions[root.partition]
    assert before is not None and after is not None and after.timestamp == world.now > before.timestamp
    world.now += 10
    learn(world, child, Served("COMP-1", "slappart7", "SOFTINST-70", {"url": "sql"}))
    again = world.state(node).partitions[root.partition]
    assert again is not None and again.timestamp == after.timestamp


def test_titles_there_are_never_shared(world: World) -> None:
    """Two nodes have a slappart0 each; two projects have persons."""
    titles = []
    for _ in range(2):
        node = world.node()
        root = world.request(f"on-{node}", sla={"computer_guid": node})
        assert root.partition == "slappart0"
        forward(world, "db", by=instance_principal(root.guid))
        titles = [row["title"] for row in rows(world)]
    assert titles == ["slappart0_db", "slappart0-2_db"]
    reserve(world, look(world, "db"), THIRD)
    assert [row["title"] for row in rows(world)][2:] == ["user_db"], "on another master it is free"


def test_an_order_that_is_tried_again_has_the_same_row(world: World) -> None:
    found = look(world, "shop")
    first, second = reserve(world, found), reserve(world, found)
    assert first["number"] == second["number"]
    world.storage.write(lambda tx: forwards.drop_reservation(tx, first["number"]))
    assert rows(world) == []
    forward(world, "shop")
    world.storage.write(lambda tx: forwards.drop_reservation(tx, rows(world)[0]["number"]))
    assert len(rows(world)) == 1, "what is served is no reservation"


def test_what_was_never_written_is_due_to_be_taken_back(world: World) -> None:
    row = reserve(world, look(world, "shop"))
    assert world.storage.read(lambda tx: forwards.due(tx, [FAR], world.now)) == []
    world.now += forwards.RESERVED_SECONDS
    (due,) = world.storage.read(lambda tx: forwards.due(tx, [FAR], world.now))
    asked = world.storage.read(lambda tx: forwards.asked_now(tx, due))
    assert (asked.title, asked.state, asked.release) == ("user_shop", DESTROYED, RELEASE)
    world.storage.write(lambda tx: forwards.taken_back(tx, row["number"], world.now))
    assert rows(world) == []


def test_destroyed_here_when_it_is_known_there(world: World) -> None:
    found = forward(world, "shop")
    gone = forward(world, "shop", None, state=DESTROYED)
    assert (gone.guid, gone.health, gone.node, gone.master) == (found.guid, Health.DESTROYED, "", "")
    assert rows(world) == []
    again = forward(world, "shop")
    assert again.guid != found.guid


def test_a_tree_that_is_destroyed_keeps_what_is_still_there(world: World) -> None:
    world.node()
    root = world.request("root")
    child = forward(world, "db", by=instance_principal(root.guid))
    world.now += 100
    world.destroy(root)
    left = world.find(child)
    assert (left.state, left.node) == (DESTROYED, "COMP-1") and left.health is not Health.DESTROYED
    (due,) = world.storage.read(lambda tx: forwards.due(tx, [FAR, THIRD], world.now))
    assert world.storage.read(lambda tx: forwards.asked_now(tx, due)).state is DESTROYED
    world.storage.write(lambda tx: forwards.taken_back(tx, due["number"], world.now))
    assert world.find(child).health is Health.DESTROYED


def test_a_root_that_stops_has_the_other_master_told_at_once(world: World) -> None:
    world.node()
    root = world.request("root")
    forward(world, "db", by=instance_principal(root.guid))
    world.now += 100
    world.storage.write(lambda tx: forwards.ask_again(tx, 1, due=int(world.now) + 1_000, tries=9))
    world.request("root", state=STOPPED)
    (due,) = world.storage.read(lambda tx: forwards.due(tx, [FAR], world.now))
    assert due["tries"] == 0
    assert world.storage.read(lambda tx: forwards.asked_now(tx, due)).state is STOPPED
    assert look(world, "db", instance_principal(root.guid)).state is STOPPED
    assert look(world, "db", instance_principal(root.guid), DESTROYED).state is DESTROYED


def test_nothing_is_written_that_the_other_master_did_not_accept(world: World) -> None:
    found = forward(world, "shop")
    for change in ({"parameters": {"a": "1"}}, {"state": DESTROYED}):
        with pytest.raises(Unavailable, match="was not asked"):
            world.request("shop", **change)
    assert replace(world.find(found), generation=0) == replace(found, generation=0)
    other = reserve(world, look(world, "other"))
    order = InstanceRequest("shop", RELEASE)
    with pytest.raises(Unavailable):
        world.storage.write(
            lambda tx: requests.request_instance(
                tx, OPERATOR, order, elsewhere=Elsewhere(other["number"], FAR, SERVED), now=world.now
            )
        )
    with pytest.raises(Unavailable):
        world.storage.write(
            lambda tx: requests.request_instance(
                tx, OPERATOR, InstanceRequest("new", RELEASE), elsewhere=Elsewhere(99, FAR, SERVED), now=world.now
            )
        )
    assert [root.title for root in world.storage.read(lambda tx: list_roots(tx, OPERATOR))] == ["shop"]


def test_a_pending_one_goes_elsewhere_when_that_is_decided_later(world: World) -> None:
    waiting = world.request("shop")
    assert waiting.health is Health.PENDING and not look(world, "shop").standing.placed
    moved = forward(world, "shop")
    assert (moved.guid, moved.node, moved.master) == (waiting.guid, "COMP-1", FAR.rstrip("/"))
    world.node()
    assert world.find(moved).partition == "slappart7", "and is not served here any more"


def test_rights_and_states_are_checked_before_anybody_is_asked(world: World) -> None:
    node = world.node()
    forward(world, "shop")
    root = world.request("root")
    for stranger in (user(role=Role.VIEWER), node_principal(node)):
        with pytest.raises(Refused):
            look(world, "new", stranger)
    with pytest.raises(Conflict, match="exists and is"):
        look(world, "shop", shared=True)
    world.destroy(root)
    with pytest.raises(Conflict, match=r"too late|being destroyed"):
        look(world, "late", instance_principal(root.guid))
    with pytest.raises(Conflict, match="being destroyed"):
        look(world, "root", state=STARTED)


def test_complaints_change_the_sentence_only(world: World) -> None:
    found = forward(world, "shop", Served("N", "p", "g", {"url": "x"}))
    number = rows(world)[0]["number"]
    world.storage.write(lambda tx: forwards.complain(tx, number, "It is away.", error=False, now=world.now))
    now = world.find(found)
    assert (now.sentence, now.health, now.connection, now.node) == ("It is away.", Health.OK, {"url": "x"}, "N")
    world.storage.write(lambda tx: forwards.complain(tx, number, "It refuses.", error=True, now=world.now))
    assert world.find(found).health is Health.ERROR
    learn(world, found, Served("N", "p", "g", {"url": "x"}))
    assert world.find(found).health is Health.OK
