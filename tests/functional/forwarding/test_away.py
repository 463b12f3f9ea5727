"""The other master is away, hangs, or sends everything back: nothing is lost, and nothing is half-done."""

from __future__ import annotations

import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from slapos.master.forwarding.forwarder import Forwarder
from slapos.master.forwarding.objects import Asked
from slapos.master.forwarding.plan import OtherMaster, Ourselves, Standing
from slapos.master.legacy import LegacyListener
from slapos.master.services import forwards
from slapos.master.services.standing import Found
from slapos.master.storage.database import open_storage
from slapos.model.errors import Conflict, NotReady, Unavailable
from slapos.model.objects import InstanceRequest
from slapos.model.states import Health, InstanceState
from slapos.slap.field_client import FieldClient
from slapos.testing.master import MasterServer, free_port
from slapos.testing.waiting import wait_for
from tests.functional.forwarding.pair import (
    BY_LEGACY,
    BY_TLS,
    HERE,
    SECONDS,
    Pair,
    add_legacy_node,
    add_node,
    near_master,
    xml_form,
)

DESTROYED = InstanceState.DESTROYED


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Of its own for each test, because masters die here."""
    with MasterServer(tmp_path / "far", legacy=True) as far:
        add_legacy_node(far, "far-node", partitions=5)
        add_node(far, BY_TLS, partitions=5)
        with near_master(tmp_path / "near", far) as near:
            yield Pair(near, far)


def rows(master: MasterServer) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(master.config.below("master.db"))) as connection:
        return connection.execute("SELECT title, instance, sent FROM forwards ORDER BY number").fetchall()


def test_an_order_for_a_master_that_is_away_says_so_in_every_dialect_and_leaves_nothing(pair: Pair) -> None:
    pair.far.stop()
    files = pair.near.files
    assert files is not None
    for release in (BY_LEGACY, BY_TLS):
        order = InstanceRequest("away", release)
        with pytest.raises(Unavailable, match="Connection refused") as caught:
            pair.near.client(files.certificate_path, files.key_path, patience=0).request(order)
        assert (caught.value.reference, caught.value.status) == ("other-master-unavailable", 503)
        form = requests.post(
            f"{pair.near.legacy_url}/requestComputerPartition", data=xml_form(order), timeout=30, proxies={"http": ""}
        )
        assert form.status_code == 523 and "other-master-unavailable" in form.text
        message = {"title": "away", "software_release_uri": release, "software_type": "default"}
        answer = requests.post(
            f"{pair.near.legacy_url}/slapos.post.v0.software_instance", json=message, timeout=30, proxies={"http": ""}
        )
        assert answer.status_code == 523
        assert answer.json() == {"status": 523, "type": "Unknown Error", "title": caught.value.message}
    assert pair.near.operator.roots() == ()
    assert rows(pair.near) == []
    pair.far.start()
    assert pair.near.operator.request(InstanceRequest("away", BY_TLS)).node
    assert pair.titles_there() == {"user_away"}


def test_a_change_that_could_not_be_told_is_no_change(pair: Pair) -> None:
    kept = pair.near.operator.request(InstanceRequest("kept", BY_TLS, parameters={"a": "1"}))
    pair.far.operator.publish(pair.there("user_kept").guid, {"url": "x"})
    pair.find("kept", until=lambda instance: bool(instance.connection))
    pair.far.stop()
    files = pair.near.files
    assert files is not None
    client = pair.near.client(files.certificate_path, files.key_path, patience=0)
    for order in (
        InstanceRequest("kept", BY_TLS, parameters={"a": "2"}),
        InstanceRequest("kept", BY_TLS, parameters={"a": "1"}, state=DESTROYED),
    ):
        with pytest.raises(Unavailable):
            client.request(order)
    now = pair.near.operator.instance(guid=kept.guid)
    assert (now.parameters, now.connection, now.state) == ({"a": "1"}, {"url": "x"}, InstanceState.STARTED)
    pair.find("kept", until=lambda instance: "does not answer" in instance.sentence)
    pair.far.start()
    back = pair.find("kept", until=lambda instance: "Served by" in instance.sentence)
    assert (back.health, back.guid) == (Health.OK, kept.guid)


def test_what_a_tree_leaves_there_is_taken_back_when_the_master_returns(pair: Pair) -> None:
    node, node_client = add_node(pair.near, HERE, partitions=1)
    root = pair.near.operator.request(InstanceRequest("root", HERE, sla={"computer_guid": node}))
    child = pair.near.client_for_instance(root.guid, node_client).request(InstanceRequest("db", BY_TLS))
    pair.far.kill()
    pair.near.operator.request(InstanceRequest("root", HERE, state=DESTROYED))
    pair.near.kill()
    pair.near.start()
    waiting = pair.near.operator.instance(guid=child.guid)
    assert waiting.state is DESTROYED and waiting.health is not Health.DESTROYED
    pair.far.start()
    wait_for(
        lambda: pair.there("slappart0_db"), SECONDS, "it is destroyed there", until=lambda it: it.state is DESTROYED
    )
    wait_for(
        lambda: pair.near.operator.instance(guid=child.guid),
        SECONDS,
        "it is gone here",
        until=lambda it: it.health is Health.DESTROYED,
    )
    assert rows(pair.near) == []


def test_an_acknowledged_order_outlives_both_masters(pair: Pair) -> None:
    pending = pair.near.operator.request(InstanceRequest("patient", BY_TLS, sla={"network_guid": "none-yet"}))
    pair.near.kill()
    pair.far.kill()
    pair.far.start()
    pair.near.start()
    again = pair.near.operator.request(InstanceRequest("patient", BY_TLS))
    assert (again.guid, bool(again.node)) == (pending.guid, True), "the SLA that hindered it is gone"
    assert pair.titles_there() == {"user_patient"}


def test_what_a_crash_left_there_is_taken_back(pair: Pair, tmp_path: Path) -> None:
    """The other master has accepted an order, and this one died before it wrote it."""
    now = [time.time()]
    storage = open_storage(f"sqlite:///{tmp_path / 'crashed.db'}")
    other = OtherMaster(url=pair.far.legacy_url, releases=(BY_LEGACY,))
    order = InstanceRequest("crashed", BY_LEGACY)
    found = Found(Standing(), ("main", 0, "crashed"), "user", InstanceState.STARTED)

    def forwarder() -> Forwarder:
        return Forwarder(storage=storage, others=[other], ourselves=Ourselves("me"), clock=lambda: now[0])

    dead, again = forwarder(), forwarder()
    try:
        elsewhere = dead.forward(order, found)
        assert elsewhere is not None and elsewhere.served is not None
        repeated = again.forward(order, found)
        assert repeated is not None and repeated.number == elsewhere.number, "ordered again, it is the same one"
        again.refresh()
        assert pair.there("user_crashed").state is InstanceState.STARTED, "its order may still be written"
        now[0] += forwards.RESERVED_SECONDS + 1
        again.refresh()
        assert pair.there("user_crashed").state is DESTROYED
        assert storage.read(lambda tx: forwards.due(tx, [other.url], now[0] + 10_000)) == []
    finally:
        dead.close()
        again.close()
        storage.close()


def test_a_change_that_was_lost_on_the_way_is_made_good(pair: Pair) -> None:
    """Somebody else changed it there: what is wanted here wins at the next time."""
    pair.near.operator.request(InstanceRequest("drift", BY_LEGACY, parameters={"a": "1"}))
    with closing(FieldClient(master_url=pair.far.legacy_url)) as client, suppress(NotReady):
        client.post("requestComputerPartition", xml_form(InstanceRequest("user_drift", BY_LEGACY)))
    assert pair.there("user_drift").parameters == {}
    wait_for(lambda: pair.there("user_drift").parameters, SECONDS, "it is as wanted", until=lambda it: it == {"a": "1"})


def test_a_master_that_hangs_does_not_hold_the_others_up(tmp_path: Path) -> None:
    """It takes connections and never answers; orders for it wait and fail, all else goes on."""
    with socket.create_server(("127.0.0.1", free_port()), backlog=64) as deaf:
        other = OtherMaster(url=f"http://127.0.0.1:{deaf.getsockname()[1]}", releases=(BY_LEGACY,))
        with MasterServer(tmp_path / "near", other_masters=(other,)) as near:
            files = near.files
            assert files is not None
            failed: list[Unavailable] = []

            def order(number: int) -> None:
                client = near.client(files.certificate_path, files.key_path, patience=0)
                try:
                    client.request(InstanceRequest(f"stuck{number}", BY_LEGACY))
                except Unavailable as error:
                    failed.append(error)

            threads = [threading.Thread(target=order, args=(number,)) for number in range(30)]
            for thread in threads:
                thread.start()
            time.sleep(1)
            started = time.monotonic()
            near.operator.request(InstanceRequest("ours", HERE))
            assert time.monotonic() - started < 5
            for thread in threads:
                thread.join(60)
            assert len(failed) == 30
            assert {error.reference for error in failed} == {"other-master-unavailable"}
            assert sum("calls wait for it already" in error.message for error in failed) >= 10
            assert [root.title for root in near.operator.roots()] == ["ours"]


def test_masters_that_send_it_to_each_other_refuse_and_keep_nothing(tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    made = []
    with ExitStack() as stack:
        for name, port, next_port in (("a", *ports), ("b", *reversed(ports))):
            other = OtherMaster(url=f"http://127.0.0.1:{next_port}", releases=(BY_LEGACY,))
            made.append(
                MasterServer(
                    tmp_path / name, insecure_legacy_listener=LegacyListener("127.0.0.1", port), other_masters=(other,)
                )
            )
            stack.enter_context(made[-1])
        for first in made:
            with pytest.raises(Conflict, match="circle"):
                first.operator.request(InstanceRequest("round", BY_LEGACY))
        for master in made:
            assert master.operator.roots() == ()
            assert rows(master) == []


def test_a_section_that_leads_here_under_another_name_is_no_other_master(tmp_path: Path) -> None:
    """Known by the run id that is answered there."""
    port = free_port()
    relay_port = free_port()
    other = OtherMaster(url=f"http://127.0.0.1:{relay_port}", releases=(BY_LEGACY,))
    with (
        MasterServer(
            tmp_path / "near", insecure_legacy_listener=LegacyListener("127.0.0.1", port), other_masters=(other,)
        ) as near,
        relay(relay_port, port),
    ):
        add_legacy_node(near, "own-node", partitions=1)
        with closing(FieldClient(master_url=near.legacy_url)) as client:
            answer = client.post("requestComputerPartition", xml_form(InstanceRequest("mine", BY_LEGACY)))
        assert answer.state["instance_title"] == "mine"
        assert [root.master for root in near.operator.roots()] == [""]
        assert rows(near) == []


@contextmanager
def relay(port: int, target: int) -> Iterator[None]:
    """Passes bytes on, one connection at a time, as a proxy in between would."""
    server = socket.create_server(("127.0.0.1", port))
    threading.Thread(target=_serve, args=(server, target), daemon=True).start()
    try:
        yield
    finally:
        server.close()


def _serve(server: socket.socket, target: int) -> None:
    while True:
        try:
            near, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_connect, args=(near, target), daemon=True).start()


def _connect(near: socket.socket, target: int) -> None:
    with near, socket.create_connection(("127.0.0.1", target)) as far:
        back = threading.Thread(target=_pass, args=(far, near), daemon=True)
        back.start()
        _pass(near, far)
        back.join()


def _pass(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def test_what_is_sent_names_what_it_takes_to_take_it_back() -> None:
    asked = Asked("t", "r", "k", True, InstanceState.STARTED, {"secret": "x"}, {})
    assert asked.kind == {"release": "r", "software_type": "k", "shared": True}
