"""Old rows go, at once only those that nothing refers to; references are not given again."""

from __future__ import annotations

import pytest

from slapos.master.services.housekeeping import CERTIFICATE_DAYS, DAY, GONE_DAYS, forget_old
from slapos.master.services.sweep import EVERY_SECONDS, FORGET_EVERY, sweep
from slapos.model.errors import NotFound
from tests.unit.master.world import World


def forget(world: World, days: float) -> int:
    return world.storage.write(lambda tx: forget_old(tx, world.now + days * DAY))


def test_an_instance_is_forgotten_some_months_after_its_end(world: World) -> None:
    world.node(partitions=2)
    root = world.request("root")
    child = world.child(root, "child")
    other = world.request("other")
    world.destroy(root)
    world.report_destroyed(root)
    assert forget(world, GONE_DAYS - 1) == 1  # the token of the node
    assert forget(world, GONE_DAYS + 1) == 0  # the root's child is still there
    world.report_destroyed(child)
    assert forget(world, GONE_DAYS - 1) == 0
    assert forget(world, GONE_DAYS + 1) == 1  # the child, then what it belonged to
    assert forget(world, GONE_DAYS + 1) == 1
    for each in (root, child):
        with pytest.raises(NotFound):
            world.find(each)
    assert world.find(other).title == "other"
    assert world.request("root").guid not in (root.guid, child.guid, other.guid)


def test_a_sweep_does_it_once_an_hour(world: World) -> None:
    world.node(partitions=1)
    instance = world.request("one")
    world.destroy(instance)
    world.report_destroyed(instance)
    hour = EVERY_SECONDS * FORGET_EVERY
    later = (int(world.now + (CERTIFICATE_DAYS + 1) * DAY) // hour + 1) * hour
    world.storage.write(lambda tx: sweep(tx, later - EVERY_SECONDS))
    assert world.find(instance).guid == instance.guid
    world.storage.write(lambda tx: sweep(tx, later))
    with pytest.raises(NotFound):
        world.find(instance)
