"""Trees: children, orphans, destruction, stopping, renaming, bang."""

from __future__ import annotations

import pytest

from slapos.master.services import trees
from slapos.model.errors import Conflict, Refused
from slapos.model.objects import Instance
from slapos.model.states import Health, InstanceState
from tests.unit.master.world import OPERATOR, START, World, instance_principal, node_principal, user

STOPPED, DESTROYED, STARTED = InstanceState.STOPPED, InstanceState.DESTROYED, InstanceState.STARTED


def keep(world: World, parent: Instance, *titles: str) -> None:
    who = instance_principal(parent.guid)
    world.storage.write(lambda tx: trees.set_requested_children(tx, who, parent.guid, titles, world.now))


def tree(world: World, instance: Instance) -> list[str]:
    found = world.storage.read(lambda tx: trees.tree(tx, OPERATOR, instance.guid))
    return [each.title for each in found]


def test_children_belong_to_the_tree(world: World) -> None:
    world.node(partitions=4)
    root = world.request("root")
    child = world.child(root, "child")
    grandchild = world.child(child, "grandchild")
    assert (child.requester_guid, grandchild.requester_guid) == (root.guid, child.guid)
    assert {each.root_guid for each in (child, grandchild)} == {root.guid}
    assert grandchild.root_title == "root"
    assert tree(world, grandchild) == ["root", "child", "grandchild"]
    assert world.request("child").guid != child.guid  # another root may carry the title


def test_destroying_the_root_destroys_the_tree_at_once(world: World) -> None:
    world.node(partitions=4)
    root = world.request("root")
    child = world.child(root, "child")
    grandchild = world.child(child, "grandchild")
    world.destroy(root)
    for each in (root, child, grandchild):
        found = world.find(each)
        assert found.state is DESTROYED
        assert found.timestamp == each.timestamp + 1
    world.report_destroyed(root)  # in any order
    assert world.find(child).node != ""
    world.report_destroyed(grandchild)
    world.report_destroyed(child)
    assert world.find(child).node == ""


def test_destroying_a_child_leaves_its_own_as_orphans(world: World) -> None:
    world.node(partitions=4)
    root = world.request("root")
    child = world.child(root, "child")
    grandchild = world.child(child, "grandchild")
    world.child(root, "child", state=DESTROYED)
    assert world.find(child).state is DESTROYED
    found = world.find(grandchild)
    assert (found.state, found.orphan) == (STARTED, True)
    assert world.find(root).state is STARTED


def test_a_child_no_longer_requested_is_an_orphan_and_lives(world: World) -> None:
    world.node(partitions=4)
    root = world.request("root")
    one, two = world.child(root, "one"), world.child(root, "two")
    keep(world, root, "one")
    assert [world.find(each).orphan for each in (one, two)] == [False, True]
    found = world.find(two)
    assert (found.state, found.timestamp) == (STARTED, two.timestamp)
    again = world.child(root, "two")
    assert (again.guid, again.orphan, again.timestamp) == (two.guid, False, two.timestamp)
    keep(world, root)
    keep(world, root, "one", "two")
    assert [world.find(each).orphan for each in (one, two)] == [False, False]


def test_a_stopped_root_stops_its_tree_and_remembers_the_wishes(world: World) -> None:
    world.node(partitions=4)
    root = world.request("root")
    child, halted = world.child(root, "child"), world.child(root, "halted", state=STOPPED)
    world.now += 10
    world.request("root", state=STOPPED)
    found = world.find(child)
    assert (found.state, found.timestamp) == (STOPPED, START + 10)
    assert world.find(halted).timestamp == halted.timestamp
    assert world.child(root, "child", state=STARTED).state is STOPPED
    world.now += 10
    world.request("root", state=STARTED)
    assert [world.find(each).state for each in (child, halted)] == [STARTED, STOPPED]
    assert world.find(child).timestamp == START + 20


def test_the_last_who_asks_is_the_requester(world: World) -> None:
    world.node(partitions=4)
    root = world.request("root")
    one, two = world.child(root, "one"), world.child(root, "two")
    shared_title = world.child(one, "db")
    assert world.child(two, "db").guid == shared_title.guid
    assert world.find(shared_title).requester_guid == two.guid
    keep(world, one)  # it does not own it any more
    assert not world.find(shared_title).orphan


def test_nobody_requests_its_requester(world: World) -> None:
    world.node(partitions=4)
    root = world.request("root")
    child = world.child(root, "child")
    grandchild = world.child(child, "grandchild")
    for asking, title, reference in (
        (grandchild, "child", "circular-request"),
        (grandchild, "root", "title-of-requester"),
        (child, "child", "title-of-requester"),
    ):
        with pytest.raises(Conflict) as caught:
            world.child(asking, title)
        assert caught.value.reference == reference


def test_rename_keeps_identity_and_moves_nothing(world: World) -> None:
    world.node(partitions=4)
    root, other = world.request("root"), world.request("other")
    child = world.child(root, "child")

    def rename(instance: Instance, title: str) -> None:
        world.storage.write(lambda tx: trees.rename(tx, user(), instance.guid, title, world.now))

    rename(root, "site")
    found = world.find(root)
    assert (found.guid, found.title, found.timestamp, found.partition) == (
        root.guid,
        "site",
        root.timestamp,
        root.partition,
    )
    assert world.find(child).root_title == "site"
    assert world.request("site").guid == root.guid
    rename(root, "site")
    for instance, title in ((root, "other"), (child, "site"), (other, "site")):
        with pytest.raises(Conflict) as caught:
            rename(instance, title)
        assert caught.value.reference == "title-taken"
    rename(child, "other")


def test_bang_processes_the_whole_tree_again(world: World) -> None:
    world.node(partitions=4)
    root, other = world.request("root"), world.request("other")
    child = world.child(root, "child")
    world.now += 5
    who = instance_principal(child.guid)
    world.storage.write(lambda tx: trees.bang_instance(tx, who, child.guid, "disk replaced", world.now))
    assert [world.find(each).timestamp for each in (root, child, other)] == [START + 5, START + 5, START]
    with pytest.raises(Refused):
        world.storage.write(lambda tx: trees.bang_instance(tx, who, other.guid, "", world.now))


def test_retention_keeps_it_stopped_for_days(world: World) -> None:
    node = world.node()
    site = world.request("site", sla={"retention_delay": "2"})
    world.destroy(site)
    assert world.find(site).state is DESTROYED
    held = world.state(node).partitions["slappart0"]
    assert held is not None and held.state is STOPPED and "kept until" in held.sentence
    with pytest.raises(Conflict):
        world.report_destroyed(site)
    world.now += 2 * 86_400 - 1
    assert world.storage.write(lambda tx: trees.expire_retained(tx, world.now)) == 0
    world.now += 1
    assert world.storage.write(lambda tx: trees.expire_retained(tx, world.now)) == 1
    held = world.state(node).partitions["slappart0"]
    assert held is not None and held.state is DESTROYED
    world.report_destroyed(site)
    assert world.find(site).health is Health.DESTROYED


def test_only_the_instance_or_its_node_says_what_it_requests(world: World) -> None:
    node = world.node()
    root = world.request("root")
    child = world.child(root, "child")
    world.storage.write(lambda tx: trees.set_requested_children(tx, node_principal(node), root.guid, (), world.now))
    assert world.find(child).orphan
    with pytest.raises(Refused):
        world.storage.write(
            lambda tx: trees.set_requested_children(tx, instance_principal(child.guid), root.guid, (), world.now)
        )
