"""Orders: what changes, what does not, what is refused."""

from __future__ import annotations

import pytest

from slapos.model.errors import Conflict, InputError, NotFound, Refused
from slapos.model.states import Health, InstanceState
from tests.unit.master.world import OPERATOR, RELEASE, START, World, instance_principal, user

STOPPED, DESTROYED, STARTED = InstanceState.STOPPED, InstanceState.DESTROYED, InstanceState.STARTED


def test_a_first_order_is_allocated(world: World) -> None:
    node = world.node()
    instance = world.request("site", parameters={"title": "Hello"})
    assert (instance.node, instance.partition) == (node, "slappart0")
    assert instance.guid == "SOFTINST-1"
    assert instance.state is STARTED
    assert instance.timestamp == START
    assert instance.health is Health.WORKING
    assert [address.ip for address in instance.addresses] == ["127.1.1.1"]
    assert instance.root_guid == instance.guid and instance.root_title == "site"


def test_the_same_order_twice_changes_nothing(world: World) -> None:
    world.node()
    first = world.request("site", parameters={"a": "1", "b": "2"})
    generation = world.storage.generation()
    world.now += 100
    again = world.request("site", parameters={"b": "2", "a": "1"})
    assert again.timestamp == first.timestamp
    assert list(again.parameters) == ["a", "b"]
    assert world.storage.generation() == generation


@pytest.mark.parametrize("shared", [False, True])
def test_the_same_order_twice_needs_no_writing_transaction(world: World, shared: bool) -> None:
    world.node()
    root = world.request("site")
    first = world.child(root, "db", shared=shared, parameters={"a": "b"})
    commits = world.storage.commits
    again = world.child(root, "db", shared=shared, parameters={"a": "b"})
    assert world.request("site").guid == root.guid
    assert (again.guid, again.timestamp) == (first.guid, first.timestamp)
    assert world.storage.commits == commits


def test_what_waits_is_tried_again_with_each_order(world: World) -> None:
    world.request("site")
    commits = world.storage.commits
    assert world.request("site").node == ""
    assert world.storage.commits == commits + 1


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": {"a": "2"}},
        {"release": RELEASE + "2"},
        {"software_type": "other"},
        {"state": STOPPED},
    ],
)
def test_a_change_moves_the_timestamp_in_place(world: World, change: dict[str, object]) -> None:
    world.node()
    first = world.request("site")
    changed = world.request("site", **change)  # type: ignore[arg-type]
    assert changed.timestamp == first.timestamp + 1  # the clock stood still
    assert (changed.guid, changed.partition) == (first.guid, first.partition)
    world.now += 50
    back = world.request("site", state=STARTED)
    assert back.timestamp == START + 50


def test_another_sla_moves_nothing(world: World) -> None:
    world.node()
    first = world.request("site")
    again = world.request("site", sla={"computer_guid": "COMP-77"})
    assert (again.node, again.timestamp) == (first.node, first.timestamp)


def test_text_comes_back_unchanged(world: World) -> None:
    world.node()
    hostile = {"a": "${buildout:directory}\n{{ x }} %(x)s 'q' \"q\" ; # ", "ключ": "🐍", " ": "", "_": '{"n": 1}'}
    assert world.request("site", parameters=hostile).parameters == hostile


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("title", {"title": ""}),
        ("title", {"title": "a\nb"}),
        ("release", {"release": ""}),
        ("release", {"release": "x" * 2001}),
        ("software_type", {"software_type": " a"}),
        ("parameters.a", {"parameters": {"a": "\0"}}),
        ("parameters (a key)", {"parameters": {"\ud800": ""}}),
        ("sla.mode", {"sla": {"mode": "\x01"}}),
    ],
)
def test_bad_input_is_refused_with_its_field(world: World, field: str, values: dict[str, object]) -> None:
    with pytest.raises(InputError) as caught:
        world.request(**{"title": "site", **values})  # type: ignore[arg-type]
    assert caught.value.context["field"] == field


def test_the_kind_cannot_change(world: World) -> None:
    world.node()
    world.request("site")
    with pytest.raises(Conflict) as caught:
        world.request("site", shared=True)
    assert caught.value.reference == "kind-is-fixed"


def test_a_late_order_never_revives(world: World) -> None:
    world.node()
    site = world.request("site")
    child = world.child(site, "db")
    gone = world.destroy(site)
    assert gone.state is DESTROYED and world.find(child).state is DESTROYED
    with pytest.raises(Conflict) as caught:
        world.request("site")
    assert caught.value.reference == "being-destroyed"
    for title in ("db", "another"):
        with pytest.raises(Conflict) as caught:
            world.child(site, title)
        assert caught.value.reference == "requester-destroyed"
    assert world.destroy(site).timestamp == gone.timestamp


def test_after_destruction_the_title_is_new(world: World) -> None:
    node = world.node(partitions=1)
    site = world.request("site")
    world.destroy(site)
    with pytest.raises(Conflict):
        world.request("site")
    world.report_destroyed(site)
    assert world.find(site).health is Health.DESTROYED
    anew = world.request("site")
    assert anew.guid != site.guid
    assert (anew.node, anew.partition) == (node, site.partition)


def test_destroying_what_is_gone_makes_nothing_new(world: World) -> None:
    world.node()
    site = world.request("site")
    world.destroy(site)
    world.report_destroyed(site)
    assert world.destroy(site).guid == site.guid
    with pytest.raises(NotFound):
        world.request("never", state=DESTROYED)


def test_a_gone_instance_asks_for_nothing(world: World) -> None:
    world.node()
    site = world.request("site")
    world.destroy(site)
    world.report_destroyed(site)
    with pytest.raises(Refused) as caught:
        world.child(site, "db")
    assert caught.value.reference == "instance-gone"


def test_people_order_in_their_project_only(world: World) -> None:
    world.node()
    assert world.request("site", by=user()).project == "main"
    with pytest.raises(Refused):
        world.request("other", by=user(project="elsewhere"), sla={"project_guid": "main"})
    with pytest.raises(InputError):
        world.request("other", by=OPERATOR, sla={"project_guid": "unknown"})


def test_an_instance_asks_for_itself_only(world: World) -> None:
    from slapos.master.services.requests import request_instance
    from slapos.model.objects import InstanceRequest

    world.node()
    first, second = world.request("one"), world.request("two")
    order = InstanceRequest("child", RELEASE)
    with pytest.raises(Refused):
        world.storage.write(
            lambda tx: request_instance(tx, instance_principal(first.guid), order, requester=second.guid, now=world.now)
        )
