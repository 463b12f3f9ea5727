"""64 clients, 2,000 orders: no partition given twice, every acknowledged order found, none lost."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from slapos.master.services.requests import request_instance
from slapos.master.storage.database import Storage, open_storage
from slapos.model.objects import Instance, InstanceRequest
from tests.unit.master.world import OPERATOR, RELEASE, World, partition

CLIENTS = 64
ORDERS = 2_000
NODES = 8
PARTITIONS = 225  # 1,800 places: 200 orders must wait


def order(storage: Storage, world: World, title: str) -> Instance:
    request = InstanceRequest(title, RELEASE)
    return storage.write(lambda tx: request_instance(tx, OPERATOR, request, now=world.now))


def ask_all(world: World, storages: list[Storage]) -> list[Instance]:
    """Each order is sent twice, by two clients: a retry must find the first one."""
    jobs = [(storages[number % len(storages)], f"site {number // 2}") for number in range(2 * ORDERS)]
    begin = threading.Barrier(CLIENTS)
    chunks = [jobs[client::CLIENTS] for client in range(CLIENTS)]

    def client(chunk: list[tuple[Storage, str]]) -> list[Instance]:
        begin.wait(30)
        return [order(storage, world, title) for storage, title in chunk]

    with ThreadPoolExecutor(CLIENTS) as pool:
        return [instance for answers in pool.map(client, chunks) for instance in answers]


@pytest.mark.timeout(900)  # about a minute alone on two processors
@pytest.mark.parametrize("masters", [1, 3])
def test_no_partition_twice(world: World, url: str, masters: int) -> None:
    for _ in range(NODES):
        world.node(partitions=PARTITIONS)
    storages = [open_storage(url) for _ in range(masters)]
    try:
        answers = ask_all(world, storages)
    finally:
        commits = sum(storage.commits for storage in storages)
        for storage in storages:
            storage.close()
    assert len(answers) == 2 * ORDERS
    guids = {answer.title: set[str]() for answer in answers}
    for answer in answers:
        guids[answer.title].add(answer.guid)
    assert len(guids) == ORDERS
    assert {title: found for title, found in guids.items() if len(found) != 1} == {}

    found = {guid: world.find(guid) for each in guids.values() for guid in each}
    places = Counter((instance.node, instance.partition) for instance in found.values() if instance.node)
    assert max(places.values()) == 1
    assert len(places) == NODES * PARTITIONS
    waiting = [instance for instance in found.values() if not instance.node]
    assert len(waiting) == ORDERS - NODES * PARTITIONS
    assert all(instance.reasons == (f"{NODES} nodes: {NODES} are full (225/225).",) for instance in waiting)
    for answer in answers:  # what was acknowledged once is still so
        if answer.node:
            assert (found[answer.guid].node, found[answer.guid].partition) == (answer.node, answer.partition)
    assert commits <= 2 * ORDERS


def test_freed_partitions_serve_the_oldest_waiting(world: World) -> None:
    node = world.node(partitions=2)
    first, second = world.request("a"), world.request("b")
    waiting = [world.request(f"w{number}") for number in range(3)]
    assert [instance.node for instance in waiting] == ["", "", ""]
    world.destroy(first)
    assert world.find(waiting[0]).node == ""  # wished is not done
    world.report_destroyed(first)
    assert [world.find(instance).node for instance in waiting] == [node, "", ""]
    world.format(node, tuple(partition(number) for number in range(3)))
    assert [world.find(instance).node for instance in waiting] == [node, node, ""]
    world.destroy(second)
    world.report_destroyed(second)
    assert [world.find(instance).node for instance in waiting] == [node, node, node]
