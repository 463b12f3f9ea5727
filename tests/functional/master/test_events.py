"""``GET /events``: woken at once, nothing missed, ended when it must be."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slapos.model.errors import HyperopenxError, Refused
from slapos.model.objects import InstanceRequest
from slapos.slap.client import Client
from slapos.testing.master import MasterServer

SECONDS = 10.0


class Listener:
    """Reads events in a thread of its own."""

    def __init__(self, client: Client, subject: str, last: int | None = None) -> None:
        self.found: queue.Queue[tuple[int, dict[str, Any]]] = queue.Queue()
        self.error: HyperopenxError | None = None
        self.stop = threading.Event()
        self._arguments = (client, subject, last)
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self) -> None:
        client, subject, last = self._arguments
        try:
            for event in client.events(subject, last, self.stop):
                self.found.put(event)
        except HyperopenxError as error:
            self.error = error

    def next(self) -> tuple[int, dict[str, Any]]:
        return self.found.get(timeout=SECONDS)

    def nothing(self) -> bool:
        time.sleep(0.3)
        return self.found.empty()


@pytest.fixture
def listen() -> Iterator[Any]:
    made: list[Listener] = []

    def make(*arguments: Any) -> Listener:
        made.append(Listener(*arguments))
        return made[-1]

    yield make
    for listener in made:
        listener.stop.set()


def test_a_node_is_woken_by_its_changes_only(master: MasterServer, operator: Client, release: str, listen: Any) -> None:
    node, client = master.client_for_new_node("events", 3)
    other, other_client = master.client_for_new_node("other", 3)
    operator.supply(node, release)
    listener, elsewhere = listen(client, node), listen(other_client, other)
    assert listener.next()[1]["event"] == "reset"
    assert elsewhere.next()[1]["event"] == "reset"
    state = client.node_state(node)
    started = time.monotonic()
    ordered = operator.request(InstanceRequest("woken", release, sla={"computer_guid": node}))
    number, data = listener.next()
    assert time.monotonic() - started < 5
    assert data == {"event": "changed", "subject": node, "generation": number}
    changes = client.node_state(node, state.generation)
    assert [found.guid for found in changes.partitions.values() if found] == [ordered.guid]
    assert elsewhere.nothing()


def test_nothing_is_missed_from_a_known_number_on(master: MasterServer, operator: Client, listen: Any) -> None:
    node, client = master.client_for_new_node("known", 1)
    seen = client.node_state(node).generation
    operator.bang(node)
    listener = listen(client, node, seen)
    assert listener.next()[1]["event"] == "changed"
    current = client.node_state(node).generation
    quiet = listen(client, node, current)
    assert quiet.nothing()
    operator.bang(node)
    assert quiet.next()[0] > current


def test_a_number_from_the_future_resets(master: MasterServer, listen: Any) -> None:
    node, client = master.client_for_new_node("reset", 1)
    number, data = listen(client, node, 10**15).next()
    assert data["event"] == "reset"
    assert number == client.node_state(node).generation


def test_a_number_from_before_a_restart_resets(tmp_path: Path, listen: Any) -> None:
    with MasterServer(tmp_path) as master:
        node, client = master.client_for_new_node("reset", 1)
        before = client.node_state(node).generation
        master.operator.bang(node)
        master.stop()
        master.start()
        assert listen(client, node, before).next()[1]["event"] == "reset"


def test_instances_and_projects(master: MasterServer, operator: Client, listen: Any) -> None:
    pending = operator.request(InstanceRequest("watched", "http://127.0.0.1:9/z"))
    of_instance, of_project = listen(operator, pending.guid), listen(operator, "project:main")
    assert of_instance.next()[1]["event"] == of_project.next()[1]["event"] == "reset"
    operator.rename(pending.guid, "watched 2")
    assert of_instance.next()[1]["event"] == "changed"
    assert of_project.next()[1]["event"] == "changed"


@pytest.mark.parametrize("subject", ["COMP-999", "SOFTINST-999", "nonsense", "", "project:none"])
def test_only_what_one_may_see(master: MasterServer, subject: str, listen: Any) -> None:
    _, client = master.client_for_new_node("nosy")
    listener = listen(client, subject)
    listener.thread.join(SECONDS)
    assert isinstance(listener.error, HyperopenxError)


def test_not_the_events_of_another_node(master: MasterServer, operator: Client, listen: Any) -> None:
    node, _ = master.client_for_new_node("mine")
    _, other = master.client_for_new_node("other")
    listener = listen(other, node)
    listener.thread.join(SECONDS)
    assert isinstance(listener.error, Refused)


def test_ends_on_revocation(master: MasterServer, operator: Client, listen: Any) -> None:
    node, client = master.client_for_new_node("revoked", 1)
    listener = listen(client, node)
    listener.next()
    operator.revoke(certificate=(master.directory / "clients" / f"{node}.pem").read_text())
    listener.thread.join(SECONDS)
    assert listener.error is not None
    assert listener.error.reference == "certificate-revoked"


def test_sigterm_ends_the_process_with_streams_open(tmp_path: Path, listen: Any) -> None:
    with MasterServer(tmp_path) as master:
        node, client = master.client_for_new_node("open", 1)
        listeners = [listen(client, node) for _ in range(5)]
        for listener in listeners:
            listener.next()
        started = time.monotonic()
        assert master.stop() == 0
        assert time.monotonic() - started < 2
        master.start()
        master.operator.bang(node)
        for listener in listeners:  # each comes back by itself
            assert listener.next()[1]["event"] in ("reset", "changed")


def test_comes_back_after_a_crash(tmp_path: Path, listen: Any) -> None:
    with MasterServer(tmp_path) as master:
        node, client = master.client_for_new_node("crash", 1)
        listener = listen(client, node)
        listener.next()
        master.kill()
        master.start()
        master.operator.bang(node)
        assert listener.next()[1]["event"] in ("reset", "changed")
        assert client.node_state(node).complete
