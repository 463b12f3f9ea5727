"""Connection parameters and shared instances: who is processed again, and who is not."""

from __future__ import annotations

import pytest

from slapos.master.services import instances
from slapos.model.errors import InputError, Refused
from slapos.model.objects import Instance
from slapos.model.states import Health, InstanceState
from tests.unit.master.world import OPERATOR, START, World, instance_principal

DESTROYED = InstanceState.DESTROYED


def test_publishing_touches_the_direct_requester_only(world: World) -> None:
    world.node(partitions=4)
    root = world.request("root")
    child = world.child(root, "child")
    grandchild = world.child(child, "grandchild")
    world.now += 7
    world.publish(grandchild, {"url": "https://[::1]:80"})
    assert [world.find(each).timestamp for each in (root, child, grandchild)] == [START, START + 7, START]
    assert world.find(grandchild).connection == {"url": "https://[::1]:80"}
    generation = world.storage.generation()
    world.now += 7
    world.publish(grandchild, {"url": "https://[::1]:80"})
    assert world.storage.generation() == generation


def test_only_the_instance_publishes(world: World) -> None:
    world.node(partitions=4)
    root, other = world.request("root"), world.request("other")
    child = world.child(root, "child")
    for who in (other, root):
        with pytest.raises(Refused):
            world.publish(child, {"a": "b"}, by=instance_principal(who.guid))
    with pytest.raises(InputError):
        world.publish(child, {"a": "\0"})


def shared_world(world: World) -> tuple[Instance, Instance, Instance]:
    """A host, a root that asks for a shared instance of it, and that one."""
    world.node(partitions=4)
    host, root = world.request("host"), world.request("root")
    return host, root, world.child(root, "guest", shared=True, parameters={"domain": "a"})


def test_a_shared_instance_is_served_by_a_host(world: World) -> None:
    host, _, guest = shared_world(world)
    assert guest.shared and (guest.node, guest.partition) == (host.node, host.partition)
    found = world.find(host)
    assert [shared.guid for shared in found.shared_instances] == [guest.guid]
    assert found.shared_instances[0].parameters == {"domain": "a"}
    assert found.timestamp == host.timestamp + 1
    state = world.state(host.node)
    assert sum(1 for each in state.partitions.values() if each is not None) == 2


def test_changes_of_a_shared_instance_touch_its_host(world: World) -> None:
    host, root, guest = shared_world(world)
    world.now += 5
    world.child(root, "guest", shared=True, parameters={"domain": "a"})
    assert world.find(host).timestamp < world.now
    world.child(root, "guest", shared=True, parameters={"domain": "b"})
    assert world.find(host).timestamp == world.now
    world.now += 5
    world.publish(guest, {"url": "x"}, by=instance_principal(host.guid))
    assert [world.find(each).timestamp for each in (root, host)] == [world.now, world.now - 5]
    world.now += 5
    gone = world.child(root, "guest", shared=True, state=DESTROYED)
    assert gone.health is Health.DESTROYED
    found = world.find(host)
    assert (found.timestamp, found.shared_instances) == (world.now, ())


def test_guests_of_a_destroyed_host_move_to_another(world: World) -> None:
    host, _, guest = shared_world(world)
    spare = world.find(world.request("root"))  # the same release: it can serve too
    assert world.find(guest).node
    world.destroy(host)
    found = world.find(guest)
    assert found.partition == spare.partition
    assert [each.guid for each in world.find(spare).shared_instances] == [guest.guid]


def test_a_guest_waits_for_its_host(world: World) -> None:
    world.node(partitions=2)
    root = world.request("root", software_type="client")
    guest = world.child(root, "guest", shared=True, software_type="server")
    assert guest.node == ""
    assert guest.reasons == ("1 instance of this release: 1 of another software type than server.",)
    host = world.request("host", software_type="server")
    assert world.find(guest).partition == host.partition
    other = world.child(root, "other", shared=True, software_type="server", sla={"instance_guid": "SOFTINST-99"})
    assert other.reasons == ("2 instances of this release: 2 not SOFTINST-99.",)


def test_a_stopped_root_stops_its_guests(world: World) -> None:
    host, _, _ = shared_world(world)
    world.now += 5
    world.request("root", state=InstanceState.STOPPED)
    found = world.find(host)
    assert (found.timestamp, found.shared_instances[0].state) == (world.now, InstanceState.STOPPED)


def test_readers(world: World) -> None:
    host, root, guest = shared_world(world)

    def read(function, *arguments):  # type: ignore[no-untyped-def]
        return world.storage.read(lambda tx: function(tx, OPERATOR, *arguments))

    assert [each.title for each in read(instances.list_roots)] == ["host", "root"]
    assert read(instances.find_instance_by_title, "root").guid == root.guid
    assert [each.title for each in read(instances.list_node_instances, host.node)] == ["host", "root"]
    assert [each.guid for each in read(instances.list_shared, host.guid)] == [guest.guid]
    assert read(instances.instance_of_partition, host.node, host.partition).guid == host.guid
