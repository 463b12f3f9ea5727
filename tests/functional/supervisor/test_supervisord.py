"""A real supervisord: what it keeps running, what survives it, what it ends."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slapos.model.errors import InputError, NotFound, Unavailable
from slapos.node.supervisor.events import EventReceiver
from slapos.node.supervisor.interface import ServiceSpec, ServiceState, ServiceStatus, Supervisor
from slapos.node.supervisor.supervisord import Supervisord
from slapos.system.proctable import environment_of, is_alive, process_table, send_signal


class Node:
    """A supervisord with directories of its own."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.logs = os.path.join(directory, "log", "p")
        os.makedirs(self.logs, mode=0o755)
        self.supervisor = Supervisord(
            run_directory=os.path.join(directory, "run"),
            store=os.path.join(directory, "store"),
            log=os.path.join(directory, "log", "supervisord.log"),
        )

    def spec(self, name: str = "a", script: str = "exec sleep 300", **more: object) -> ServiceSpec:
        values = {"partition": "p", "directory": self.directory, "log": f"{self.logs}/{name}.log", "stop_seconds": 10.0}
        return ServiceSpec(name=name, command=("/bin/sh", "-c", script), **{**values, **more})

    def status(self, name: str = "a") -> ServiceStatus:
        return self.supervisor.status(f"p:{name}")

    def kill_supervisord(self) -> None:
        pid = self.supervisor.pid()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not self.supervisor.is_running())

    def count(self) -> int:
        """Processes alive that services of this node started."""
        prefix = os.path.realpath(self.supervisor.store) + "/"
        marks = (environment_of(pid).get("HYPEROPENX_SERVICE", "") for pid in process_table())
        return sum(mark.startswith(prefix) for mark in marks)


def wait_for(good: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not good():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)


@pytest.fixture
def node() -> Iterator[Node]:
    directory = tempfile.mkdtemp(prefix="hox-sv-")
    node = Node(directory)
    try:
        node.supervisor.ensure()
        yield node
    finally:
        node.supervisor.ensure()
        node.supervisor.shutdown(60)
        assert node.count() == 0
        shutil.rmtree(directory)


def test_it_starts_once(node: Node) -> None:
    protocol: Supervisor = node.supervisor
    pid = node.supervisor.pid()
    assert not protocol.ensure()
    assert node.supervisor.pid() == pid
    assert environment_of(pid) == {"LC_ALL": "C.UTF-8"}


def test_many_starters_give_one_supervisord(node: Node) -> None:
    node.kill_supervisord()
    started: list[bool] = []
    threads = [threading.Thread(target=lambda: started.append(node.supervisor.ensure())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(started) == [False, False, False, True]


def test_a_service_survives_the_supervisor_and_comes_back_once(node: Node) -> None:
    node.supervisor.add(node.spec(digest="d"))
    before = node.status()
    node.kill_supervisord()
    assert is_alive(before.pid, before.start)
    assert node.supervisor.ensure()
    after = node.status()
    assert (after.pid, after.start, after.digest, after.adopted) == (before.pid, before.start, "d", True)
    send_signal(before.pid, before.start, signal.SIGKILL)
    wait_for(lambda: node.status().pid not in {0, before.pid})
    assert node.count() == 1
    assert not node.status().adopted
    node.supervisor.stop("p:a")
    assert (node.status().state, node.count()) == (ServiceState.STOPPED, 0)


def test_what_died_with_the_supervisor_comes_back_once(node: Node) -> None:
    node.supervisor.add(node.spec(script="sleep 300 & exec sleep 300"))
    before = node.status()
    wait_for(lambda: node.count() == 2)
    node.kill_supervisord()
    send_signal(before.pid, before.start, signal.SIGKILL)
    node.supervisor.ensure()
    wait_for(lambda: node.status().pid not in {0, before.pid} and node.count() == 2)


def test_killing_supervisord_at_any_moment_leaves_one_copy_of_each(node: Node) -> None:
    specs = [node.spec(f"s{index}", digest="0") for index in range(8)]
    for round_ in range(6):
        stop = threading.Event()

        def change(digest: str = str(round_), stop: threading.Event = stop) -> None:
            for spec in specs:
                if stop.is_set():
                    return
                try:
                    node.supervisor.add(dataclasses.replace(spec, digest=digest))
                except Unavailable:
                    return

        thread = threading.Thread(target=change)
        thread.start()
        time.sleep(0.01 * round_)
        node.kill_supervisord()
        stop.set()
        thread.join()
        node.supervisor.ensure()
        for spec in specs:
            node.supervisor.add(dataclasses.replace(spec, digest=str(round_)))
        wait_for(lambda digest=str(round_): settled(node, digest, 8))


def settled(node: Node, digest: str, number: int) -> bool:
    statuses = node.supervisor.services().values()
    good = [status for status in statuses if status.state is ServiceState.RUNNING and status.digest == digest]
    return len(good) == number == node.count()


def test_services_of_one_partition_and_whether_the_process_is_there(node: Node) -> None:
    for partition, name in (("p1", "a"), ("p10", "a"), ("p1", "b")):
        node.supervisor.add(node.spec(name, partition=partition))
    assert sorted(node.supervisor.services("p1")) == ["p1:a", "p1:b"]
    assert node.supervisor.services("p") == {}
    assert node.supervisor.is_there()
    node.kill_supervisord()
    assert not node.supervisor.is_there()
    node.supervisor.ensure()
    assert len(node.supervisor.services()) == 3


def test_what_ignores_term_is_killed_with_all_its_children(node: Node) -> None:
    script = "trap '' TERM; (trap '' TERM; setsid sleep 300) & while :; do sleep 0.1; done"
    node.supervisor.add(node.spec(script=script, stop_seconds=0.5))
    wait_for(lambda: node.count() >= 3)
    node.supervisor.remove("p:a")
    assert node.supervisor.services() == {}
    assert node.count() == 0


def test_events_say_what_happened_at_once(node: Node) -> None:
    with EventReceiver(node.supervisor.event_socket) as events:
        node.supervisor.add(node.spec())
        event = events.receive(5)
        assert event is not None
        assert (event.name, event.state) == ("p:a", ServiceState.RUNNING)
        begin = time.monotonic()
        os.kill(event.pid, signal.SIGKILL)
        event = events.receive(5)
        assert event is not None
        assert (event.state, event.exit_code) == (ServiceState.BACKOFF, -9)
        assert time.monotonic() - begin < 0.8, "not only at the next turn of supervisord's clock"


def test_reload_is_a_signal(node: Node) -> None:
    script = "trap 'echo reloaded' HUP; echo ready; while :; do sleep 0.05; done"
    node.supervisor.add(node.spec(script=script, reload_digest="1"))
    log = Path(node.logs, "a.log")
    wait_for(lambda: log.exists() and "ready" in log.read_text())
    pid = node.status().pid
    node.supervisor.reload("p:a", signal.SIGHUP, "2")
    wait_for(lambda: "reloaded" in log.read_text())
    assert (node.status().pid, node.status().reload_digest) == (pid, "2")


def test_restart_and_signal(node: Node) -> None:
    node.supervisor.add(node.spec())
    first = node.status().pid
    node.supervisor.restart("p:a")
    wait_for(lambda: node.status().pid not in {0, first})
    assert node.status().crashes == 0
    node.supervisor.signal("p:a", signal.SIGTERM)
    wait_for(lambda: node.status().crashes == 1 and node.status().pid != 0)
    assert node.count() == 1


def test_a_change_of_one_service_leaves_the_others_alone(node: Node) -> None:
    node.supervisor.add(node.spec("a"))
    node.supervisor.add(node.spec("b"))
    pid = node.status("b").pid
    node.supervisor.add(node.spec("a", digest="2"))
    wait_for(lambda: node.status("a").digest == "2")
    node.supervisor.remove("p:a")
    assert node.status("b").pid == pid


def test_the_log_of_a_survivor_goes_on(node: Node) -> None:
    script = "while :; do echo x; sleep 0.02; done"
    node.supervisor.add(node.spec(script=script))
    log = Path(node.logs, "a.log")
    wait_for(lambda: log.exists() and log.stat().st_size > 2)
    before = node.status()
    node.kill_supervisord()
    size = log.stat().st_size
    wait_for(lambda: log.stat().st_size > size + 6)
    assert is_alive(before.pid, before.start), "no SIGPIPE"


def test_a_stop_right_after_the_start_is_not_lost(node: Node) -> None:
    begin = time.monotonic()
    for _ in range(10):
        node.supervisor.add(node.spec())
        node.supervisor.stop("p:a")
    assert time.monotonic() - begin < 9, "it did not wait for the final KILL"


def test_wrong_names_and_unknown_services(node: Node) -> None:
    with pytest.raises(InputError):
        node.supervisor.add(node.spec("x\n[program:y]"))
    with pytest.raises(NotFound) as caught:
        node.supervisor.stop("p:none")
    assert caught.value.reference == "no-such-service"
    node.supervisor.remove("p:none")


def test_it_remembers_over_an_orderly_end(node: Node) -> None:
    node.supervisor.add(node.spec("a"))
    node.supervisor.add(node.spec("b"))
    node.supervisor.add(node.spec("once", "echo once", watched=False))
    wait_for(lambda: node.status("once").state is ServiceState.EXITED)
    node.supervisor.stop("p:b")
    node.supervisor.shutdown(30)
    assert node.count() == 0
    assert not node.supervisor.is_running()
    node.supervisor.shutdown(30)
    node.supervisor.ensure()
    wait_for(lambda: node.status("a").state is ServiceState.RUNNING)
    wait_for(lambda: node.status("b").state is ServiceState.STOPPED)
    assert Path(node.logs, "once.log").read_text() == "once\n"


def test_sixty_services(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    """Prints what it takes; asserts no time."""
    times: dict[str, float] = {}

    def timed(what: str, work: Callable[[], object]) -> None:
        begin = time.monotonic()
        work()
        times[what] = time.monotonic() - begin

    specs = [node.spec(f"s{index}") for index in range(60)]
    timed("add 60, one by one", lambda: [node.supervisor.add(spec) for spec in specs])
    timed("states of 60", node.supervisor.services)
    timed("add 60 unchanged", lambda: [node.supervisor.add(spec) for spec in specs])
    node.kill_supervisord()
    timed("start again, adopt 60", node.supervisor.ensure)
    assert all(status.adopted for status in node.supervisor.services().values())
    timed("remove 30, each waited for", lambda: [node.supervisor.remove(spec.key) for spec in specs[:30]])
    timed("remove 30, not waited for", lambda: [node.supervisor.remove(spec.key, wait=False) for spec in specs[30:]])
    timed("until none is left", lambda: wait_for(lambda: not node.supervisor.services()))
    assert node.count() == 0
    with capsys.disabled():
        sys.stdout.write("\n" + "".join(f"    {what}: {seconds * 1000:.0f} ms\n" for what, seconds in times.items()))


@pytest.mark.root
def test_partition_users_and_their_logs(node: Node) -> None:
    os.chmod(node.directory, 0o755)
    os.chmod(os.path.join(node.directory, "log"), 0o755)
    node.supervisor.add(
        node.spec(script="id -u; echo again > /dev/stdout; exec sleep 300", user="nobody", directory="/")
    )
    log = Path(node.logs, "a.log")
    wait_for(lambda: log.exists() and "again" in log.read_text())
    status = node.status()
    assert process_table()[status.pid].uid == 65534
    assert log.stat().st_uid == 65534
    node.kill_supervisord()
    node.supervisor.ensure()
    assert node.status().pid == status.pid
