"""64 clients at once over TLS: no partition is given twice, and no acknowledged order is lost, also by SIGKILL."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from slapos.model.objects import Instance, InstanceRequest
from slapos.slap.client import Client
from slapos.testing.master import MasterServer
from slapos.testing.postgresql import PostgresServer, missing

CLIENTS = 64
ORDERS = 2_000
PARTITIONS = 1_900  # fewer than orders: the rest stays pending, and nobody gets a place twice


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgresServer]:
    reason = missing()
    if reason:
        pytest.skip(reason)
    with PostgresServer() as server:
        yield server


def _database(kind: str, request: pytest.FixtureRequest) -> str:
    if kind == "sqlite":
        return ""
    server: PostgresServer = request.getfixturevalue("postgresql")
    return server.create_database(f"load_{request.node.originalname[-10:]}")


def _order_all(client: Client, titles: list[str], release: str, acknowledge: Callable[[Instance], None]) -> None:
    """Order each title with 64 threads; every answer is acknowledged."""

    def order(title: str) -> None:
        acknowledge(client.request(InstanceRequest(title, release)))

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(order, titles))


def _places(client: Client, node: str) -> Counter[str]:
    return Counter(found.guid for found in client.node_state(node).partitions.values() if found is not None)


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def test_no_partition_is_given_twice(
    tmp_path: Path, kind: str, release: str, releases: Path, request: pytest.FixtureRequest
) -> None:
    with MasterServer(tmp_path, database=_database(kind, request), release_roots=[str(releases)]) as master:
        node, client = master.client_for_new_node("big", PARTITIONS)
        operator = master.operator
        operator.supply(node, release)
        answers: list[Instance] = []
        _order_all(operator, [f"order {i % ORDERS}" for i in range(ORDERS)], release, answers.append)
        assert len(answers) == ORDERS
        given = Counter((found.node, found.partition) for found in answers if found.node)
        assert max(given.values()) == 1
        assert len(given) == PARTITIONS
        assert len({found.guid for found in answers}) == ORDERS
        places = _places(client, node)
        assert len(places) == PARTITIONS
        assert max(places.values()) == 1


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def test_killed_in_the_middle(
    tmp_path: Path, kind: str, release: str, releases: Path, request: pytest.FixtureRequest
) -> None:
    with MasterServer(tmp_path, database=_database(kind, request), release_roots=[str(releases)]) as master:
        node, client = master.client_for_new_node("big", 400)
        assert master.files is not None
        # One order may meet both kills, and a busy machine takes seconds to start a master.
        operator = master.client(master.files.certificate_path, master.files.key_path, patience=60)
        operator.supply(node, release)
        acknowledged: dict[str, Instance] = {}
        killed = threading.Event()
        lock = threading.Lock()

        def note(instance: Instance) -> None:
            with lock:
                acknowledged[instance.title] = instance
                if len(acknowledged) in (100, 250):
                    killed.set()

        def kill() -> None:
            for _ in "12":
                assert killed.wait(120)
                killed.clear()
                master.kill()
                master.start()

        killer = threading.Thread(target=kill)
        killer.start()
        _order_all(operator, [f"order {i}" for i in range(400)], release, note)
        killer.join(120)
        assert len(acknowledged) == 400
        roots = {root.title: root for root in operator.roots()}
        for title, instance in acknowledged.items():
            found = roots[title]
            assert (found.guid, found.node, found.partition) == (instance.guid, instance.node, instance.partition)
        places = _places(client, node)
        assert len(places) == 400
        assert max(places.values()) == 1
