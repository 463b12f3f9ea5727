"""Where instances go, seen through orders: SLA, reasons, waiting and being served."""

from __future__ import annotations

import pytest

from slapos.master.services import placing, presence, sweep
from slapos.model.states import InstanceState, SupplyState
from tests.unit.master.world import RELEASE, World, partition


def test_reasons_say_who_was_considered_and_why_not(world: World) -> None:
    assert world.request("none").reasons == ("There is no node in the project.",)
    world.node(partitions=1)
    world.request("one")
    for _ in range(2):
        world.node(release="")
    waiting = world.request("two")
    assert waiting.reasons == ("3 nodes: 2 lack the release, 1 is full (1/1).",)
    assert waiting.sentence == "Waiting for a place: 3 nodes: 2 lack the release, 1 is full (1/1)."


@pytest.mark.parametrize(
    "capacity",
    [
        lambda world, node: world.supply(node),
        lambda world, node: world.supply(world.node(release="")),
    ],
)
def test_a_supply_serves_who_waits(world: World, capacity) -> None:  # type: ignore[no-untyped-def]
    node = world.node(release="")
    waiting = world.request("site")
    assert waiting.node == ""
    world.now += 60
    capacity(world, node)
    found = world.find(waiting)
    assert found.node and found.reasons == () and found.timestamp == world.now


def test_a_removed_supply_is_no_candidate(world: World) -> None:
    node = world.node()
    world.supply(node, state=SupplyState.DESTROYED)
    assert world.request("site").reasons == ("COMP-1 lacks the release.",)


def test_unknown_keys_keep_it_pending_until_it_is_changed(world: World) -> None:
    node = world.node()
    waiting = world.request("site", sla={"colour": "red", "mode": "x", "retention_delay": "soon"})
    assert waiting.node == "" and len(waiting.reasons) == 3
    assert waiting.reasons[0].startswith("The SLA key 'colour' is not known here (known: project_guid, computer_guid,")
    world.storage.write(lambda tx: sweep.sweep(tx, world.now))
    assert world.find(waiting).node == ""
    assert world.request("site", sla={}).node == node


def test_named_node_network_and_companion(world: World) -> None:
    first, second = world.node(network="a"), world.node(network="b")
    assert world.request("n", sla={"computer_guid": second}).node == second
    assert world.request("m", sla={"network_guid": "b"}).node == second
    companion = world.find(world.request("k", sla={"computer_guid": first}))
    assert world.request("l", sla={"instance_guid": companion.guid}).node == first
    assert world.request("o", sla={"network_guid": "c"}).reasons == ("2 nodes: 2 are not in the network c.",)
    assert world.request("p", sla={"computer_guid": "COMP-9"}).reasons == ("There is no node COMP-9 in the project.",)
    assert world.request("q", sla={"computer_guid": "nonsense"}).reasons == (
        "There is no node nonsense in the project.",
    )


def test_capabilities_are_kept_apart(world: World) -> None:
    node = world.node(partitions=0)
    world.format(node, (partition(0, ("gpu",)), partition(1), partition(2, ("gpu", "big"))))
    assert world.request("plain").partition == "slappart1"
    assert world.request("plain2").reasons == (f"{node} is full (1/1).",)
    assert world.request("big", sla={"capability": "big"}).partition == "slappart2"
    assert world.request("gpu", sla={"capability": "gpu"}).partition == "slappart0"
    assert world.request("gpu2", sla={"capability": "gpu"}).reasons == (f"{node} is full (2/2).",)
    assert world.request("tpu", sla={"capability": "tpu"}).reasons == (f"{node} lacks the capability tpu.",)
    world.format(node, (partition(0, ("gpu",)), partition(1), partition(2, ("gpu", "big")), partition(3, ("tpu",))))
    assert world.request("tpu").partition == "slappart3"


def test_spread_keeps_a_group_apart_in_its_tree(world: World) -> None:
    nodes = {world.node(), world.node()}
    root = world.request("root")
    replicas = [world.child(root, f"db{number}", sla={"spread": "db"}) for number in range(3)]
    assert {replicas[0].node, replicas[1].node} == nodes
    assert replicas[2].reasons == ("2 nodes: 2 already hold one of the spread group db.",)
    assert world.child(root, "web", sla={"spread": "web"}).node
    assert world.child(world.request("root2"), "db", sla={"spread": "db"}).node
    world.child(root, "db0", state=InstanceState.DESTROYED)
    world.report_destroyed(replicas[0])
    assert world.find(replicas[2]).node == replicas[0].node


def test_unique_by_network(world: World) -> None:
    world.node(network="a")
    world.node(network="a")
    lone = world.node()
    root = world.request("root", sla={"network_guid": "a"})
    one = world.child(root, "one", sla={"mode": "unique_by_network"})
    assert one.node == lone
    two = world.child(root, "two", sla={"mode": "unique_by_network"})
    assert two.reasons == ("3 nodes: 3 are in networks that the tree already uses.",)


def test_quiet_nodes_come_last_and_lost_ones_not_at_all(world: World) -> None:
    quiet = world.node(partitions=9)
    world.now += 1_000
    online = world.node(partitions=1)
    assert world.request("first").node == online
    second = world.request("second")
    assert second.node == quiet
    assert "is offline since" in second.sentence
    world.now += 86_400
    world.storage.write(lambda tx: presence.heartbeat(tx, [online], world.now))
    third = world.request("third")
    assert third.reasons[0].startswith("2 nodes: 1 is full (1/1), 1 is offline since 2027-")
    assert world.request("named", sla={"computer_guid": quiet}).node == quiet
    world.storage.write(lambda tx: presence.heartbeat(tx, [quiet, "COMP-99", "nonsense"], world.now))
    assert world.find(third).node == quiet


def test_the_emptiest_built_node_is_taken(world: World) -> None:
    small, large = world.node(partitions=2), world.node(partitions=3)
    assert [world.request(f"s{number}").node for number in range(4)] == [large, small, large, small]


def test_projects_do_not_share_nodes(world: World) -> None:
    world.node(project="other")
    assert world.request("site").reasons == ("There is no node in the project.",)
    assert world.request("site", sla={"project_guid": "other"}).node == "COMP-1"


def test_a_pending_order_can_be_destroyed(world: World) -> None:
    waiting = world.request("site")
    gone = world.destroy(waiting)
    assert gone.state is InstanceState.DESTROYED
    world.node()
    assert world.find(waiting).node == ""
    assert world.request("site").guid != waiting.guid


def test_a_change_of_release_of_a_pending_order_counts(world: World) -> None:
    node = world.node()
    assert world.request("site", release="https://example.org/other.cfg").node == ""
    assert world.request("site", release=RELEASE).node == node


def test_each_sweep_tries_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no event announces (here: a companion that was placed meanwhile) is served by the sweeps, page by page."""
    monkeypatch.setattr(placing, "SOME", 2)
    node = world.node(partitions=6)
    companion = world.request("companion", sla={"capability": "gpu"})
    waiting = [world.request(f"w{number}", sla={"instance_guid": companion.guid}) for number in range(3)]
    assert not any(instance.node for instance in waiting)
    world.request("companion", sla={})
    for _ in range(3):
        world.now += sweep.EVERY_SECONDS
        world.storage.write(lambda tx: sweep.sweep(tx, world.now))
    assert [world.find(instance).node for instance in waiting] == [node] * 3
