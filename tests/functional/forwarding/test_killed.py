"""Both masters die while many order: nothing acknowledged is lost, nothing is served twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from slapos.model.errors import HyperopenxError
from slapos.model.objects import InstanceRequest
from slapos.testing.master import MasterServer
from tests.functional.forwarding.pair import BY_LEGACY, BY_TLS, Pair, add_legacy_node, add_node, near_master

ORDERS, CLIENTS = 96, 8


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with MasterServer(tmp_path / "far", legacy=True) as far:
        add_legacy_node(far, "far-node", partitions=ORDERS)
        add_node(far, BY_TLS, partitions=ORDERS)
        with near_master(tmp_path / "near", far) as near:
            yield Pair(near, far)


class Ordering:
    """Clients that order different things side by side; a refusal or a silence is not tried again."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.acknowledged: dict[str, str] = {}
        self._next = iter(range(ORDERS))
        self._lock = threading.Lock()
        self.half = threading.Event()

    def run(self) -> None:
        files = self.pair.near.files
        assert files is not None
        client = self.pair.near.client(files.certificate_path, files.key_path, patience=0)
        while True:
            with self._lock:
                number = next(self._next, None)
            if number is None:
                return
            if number >= ORDERS // 3:
                self.half.set()
            try:
                made = client.request(InstanceRequest(f"o{number}", BY_TLS if number % 2 else BY_LEGACY))
            except HyperopenxError:
                continue
            with self._lock:
                self.acknowledged[made.title] = made.guid


@pytest.mark.parametrize("victim", ["near", "far"])
def test_nothing_acknowledged_is_lost_and_nothing_is_there_twice(pair: Pair, victim: str) -> None:
    ordering = Ordering(pair)
    threads = [threading.Thread(target=ordering.run) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    assert ordering.half.wait(60)
    master = getattr(pair, victim)
    master.kill()
    master.start()
    for thread in threads:
        thread.join(120)
    acknowledged = dict(ordering.acknowledged)
    here = {root.title: root for root in pair.near.operator.roots()}
    there = {root.title: root for root in pair.far.operator.roots()}
    assert 0 < len(acknowledged) < ORDERS, "the kill hit"
    for title, guid in acknowledged.items():
        assert here[title].guid == guid
        assert here[title].node == there[f"user_{title}"].node
    for number in range(ORDERS):
        pair.near.operator.request(InstanceRequest(f"o{number}", BY_TLS if number % 2 else BY_LEGACY))
    now = {root.title: root for root in pair.near.operator.roots()}
    assert {title: now[title].guid for title in acknowledged} == acknowledged
    assert pair.titles_there() == {f"user_o{number}" for number in range(ORDERS)}
    places = [(root.node, root.partition) for root in now.values()]
    assert len(set(places)) == len(places) == ORDERS
