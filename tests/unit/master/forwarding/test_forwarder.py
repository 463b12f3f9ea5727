"""Asking again: when, how often, and whom not; the other masters play a script, the storage is real."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs

import pytest
from sqlalchemy import select

from slapos.master.allocation.sla import FORWARDED_BY
from slapos.master.forwarding.forwarder import (
    LONGEST_SECONDS,
    LONGEST_WAITING_SECONDS,
    Forwarder,
)
from slapos.master.forwarding.plan import OtherMaster, Ourselves
from slapos.master.forwarding.remote import Remote
from slapos.master.services import requests, standing
from slapos.master.storage import tables
from slapos.model.errors import Conflict, NotFound, Unavailable
from slapos.model.objects import Instance, InstanceRequest
from slapos.model.states import Health
from slapos.slap.field_client import FieldClient
from slapos.slap.transport import Request
from slapos.testing.transport import Canned
from slapos.wire import marshal
from slapos.wire.marshal import FieldObject
from tests.unit.master.world import OPERATOR, World

FAR, FULL = OtherMaster(url="http://far:1", releases=("far",)), OtherMaster(url="http://full:1", releases=("full",))
AWAY = Unavailable("away", context={"reason": "away"})


def served(**connection: str) -> Canned:
    state = {"slap_computer_id": "COMP-1", "slap_computer_partition_id": "p0", "_connection_dict": connection}
    return Canned(200, marshal.dumps(FieldObject("SoftwareInstance", (), state)))


class Script:
    """Answers by endpoint; changed by the test as it goes on."""

    def __init__(self, run_id: str, order: Canned | Exception) -> None:
        self.run_id = Canned(200, run_id.encode()) if run_id else Canned(404, b"")
        self.order = order
        self.asked: list[dict[str, Any]] = []

    def send(self, request: Request) -> Canned:
        answer: Canned | Exception = self.run_id
        if request.url.endswith("requestComputerPartition"):
            form = {name: value[0] for name, value in parse_qs(request.body.decode()).items()}
            self.asked.append({**form, "sla": marshal.loads(form["filter_xml"].encode())})
            answer = self.order
        if isinstance(answer, Exception):
            raise answer
        return answer


class Bench:
    """A forwarder with two other masters."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.far, self.full = Script("their-id", served()), Script("", served())
        scripts = {FAR.url: self.far, FULL.url: self.full}
        self.forwarder = Forwarder(
            storage=world.storage, others=[FAR, FULL], ourselves=Ourselves("our-id"), clock=lambda: world.now
        )
        monkeypatch.setattr(
            self.forwarder,
            "_remote",
            lambda other: Remote(other=other, client=FieldClient.over(scripts[other.url], other.url)),  # type: ignore[arg-type]
        )

    def order(self, title: str, release: str = "far", **sla: str) -> Instance:
        order = InstanceRequest(title, release, sla=sla)
        found = self.world.storage.read(lambda tx: standing.look(tx, OPERATOR, order, None))
        elsewhere = self.forwarder.forward(order, found)
        return self.world.storage.write(
            lambda tx: requests.request_instance(tx, OPERATOR, order, elsewhere=elsewhere, now=self.world.now)
        )

    def rows(self) -> list[Any]:
        return self.world.storage.read(lambda tx: list(tx.execute(select(tables.forwards)).mappings()))

    def asked_in(self, seconds: int, script: Script) -> list[int]:
        """At which seconds from now it is asked again."""
        start, found = self.world.now, []
        for second in range(1, seconds + 1):
            self.world.now = start + second
            before = len(script.asked)
            self.forwarder.refresh()
            found += [second] * (len(script.asked) - before)
        return found


@pytest.fixture
def bench(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(world, monkeypatch)
    yield made
    made.forwarder.close()


def test_asked_often_after_a_change_and_rarely_later_but_always(bench: Bench) -> None:
    bench.order("shop")
    seconds = bench.asked_in(400, bench.far)
    assert seconds[:2] == [1, 2] and len(seconds) < 25
    gaps = [later - earlier for earlier, later in pairwise(seconds)]
    assert max(gaps) <= LONGEST_SECONDS and gaps[-1] >= LONGEST_SECONDS / 2 - 1
    bench.far.order = served(url="new")
    while not bench.world.find("SOFTINST-1").connection:
        assert bench.asked_in(int(LONGEST_SECONDS), bench.far)
    assert bench.world.find("SOFTINST-1").health is Health.OK


def test_what_waits_for_a_place_is_asked_for_more_often(bench: Bench) -> None:
    bench.far.order = Canned(408, b"")
    assert bench.order("shop").health is Health.PENDING
    seconds = bench.asked_in(200, bench.far)
    assert max(later - earlier for earlier, later in pairwise(seconds)) <= LONGEST_WAITING_SECONDS


def test_a_master_that_is_away_is_left_alone_ever_longer_and_no_other_is(bench: Bench) -> None:
    for number in range(5):
        bench.order(f"far{number}")
    bench.order("full", "full")
    bench.far.order = AWAY
    seconds = bench.asked_in(300, bench.far)
    assert 6 <= len(seconds) <= 16, "one of five at a time"
    assert len(bench.full.asked) > 5
    assert all("does not answer: away" in bench.world.find(f"SOFTINST-{number}").sentence for number in range(1, 6))
    bench.far.order = served(url="back")
    bench.asked_in(int(LONGEST_SECONDS), bench.far)
    assert [bench.world.find(f"SOFTINST-{number}").health for number in range(1, 6)] == [Health.OK] * 5


def test_an_order_that_breaks_there_keeps_no_other_from_being_asked(bench: Bench) -> None:
    bench.order("bad")
    bench.order("good")
    bench.far.order = Canned(500, b"")
    bench.asked_in(10, bench.far)
    assert {form["partition_reference"] for form in bench.far.asked[2:]} == {"user_bad", "user_good"}
    assert bench.world.find("SOFTINST-1").health is Health.ERROR


def test_a_full_master_is_not_sent_a_key_that_it_would_wait_for(bench: Bench) -> None:
    bench.order("shop", "full", **{FORWARDED_BY: "somebody"})
    bench.order("shop2", "far", **{FORWARDED_BY: "somebody"})
    assert FORWARDED_BY not in bench.full.asked[0]["sla"]
    assert bench.far.asked[0]["sla"][FORWARDED_BY] == "somebody our-id"


def test_refused_or_never_sent_nothing_is_kept_and_in_doubt_it_is(bench: Bench) -> None:
    bench.far.order = Canned(404, b"No free partition")
    with pytest.raises(NotFound):
        bench.order("refused")
    assert bench.rows() == []
    bench.far.order = AWAY  # perhaps it was sent
    with pytest.raises(Unavailable):
        bench.order("doubt")
    assert [(row["title"], row["instance"]) for row in bench.rows()] == [("user_doubt", None)]
    bench.far.order = served()
    assert bench.asked_in(170, bench.far) == []
    assert bench.asked_in(20, bench.far) != []
    assert bench.far.asked[-1]["state"] == marshal.dumps("destroyed").decode()
    assert (bench.far.asked[-1]["software_release"], bench.rows()) == ("far", [])


def test_ourselves_under_another_name_is_no_other_master(bench: Bench) -> None:
    bench.far.run_id = Canned(200, b"our-id")
    assert bench.order("shop").master == ""
    assert bench.far.asked == [] and bench.rows() == []


def test_who_needs_no_other_master_is_not_looked_at(world: World) -> None:
    alone = Forwarder(storage=world.storage, others=[], ourselves=Ourselves("our-id"))
    assert not alone.concerns(InstanceRequest("a", "r", sla={"computer_guid": "COMP-1"}))
    assert alone.concerns(InstanceRequest("a", "r", sla={"master_url": "http://x"}))
    order = InstanceRequest("a", "r", sla={FORWARDED_BY: "x our-id"})
    assert alone.concerns(order)
    found = world.storage.read(lambda tx: standing.look(tx, OPERATOR, order, None))
    with pytest.raises(Conflict, match="circle"):
        alone.forward(order, found)
    alone.refresh()
    alone.close()
