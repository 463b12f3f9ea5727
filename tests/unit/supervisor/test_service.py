"""The states of a service, with real processes and a clock that is moved by hand."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slapos.node.supervisor.interface import ServiceEvent, ServiceSpec, ServiceState
from slapos.node.supervisor.records import Record, Store, Wanted
from slapos.node.supervisor.remains import Looker, Snapshot
from slapos.node.supervisor.service import Service, Surroundings
from slapos.system.clock import ManualClock
from slapos.system.proctable import boot_id, is_alive

SLEEP = ("/bin/sleep", "300")


def look(prefix: str) -> Snapshot:
    return Looker(prefix).look()


class World:
    """A supervisor without supervisord: the loop is :meth:`until`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = ManualClock()
        self.events: list[ServiceEvent] = []
        self.said: list[str] = []
        self.children: dict[int, Service] = {}
        (directory / "store").mkdir(exist_ok=True)
        self.around = Surroundings(
            store=Store(str(directory / "store")),
            boot=boot_id(),
            prefix=f"{directory}/",
            clock=self.clock,
            snapshot=lambda: dataclasses.replace(look(f"{directory}/"), taken=self.clock.monotonic()),
            send=self.events.append,
            say=self.said.append,
            children=self.children,
        )

    def spec(self, command: tuple[str, ...] = SLEEP, **more: object) -> ServiceSpec:
        log = str(self.directory / "log")
        values = {"partition": "p", "name": "a", "directory": "/", "log": log, "stop_seconds": 5.0}
        return ServiceSpec(command=command, **{**values, **more})

    def add(self, spec: ServiceSpec) -> Service:
        service = Service(Record(spec), around=self.around)
        service.save(service.record)
        service.step(True)
        return service

    def reap(self) -> None:
        for pid in list(self.children):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                self.children.pop(pid).finish(pid, status)

    def until(self, service: Service, good: Callable[[], bool], up: bool = True) -> None:
        """Turn the loop in real time until ``good``; the clock stays where it is."""
        deadline = time.monotonic() + 10
        while not good():
            assert time.monotonic() < deadline, (service.status(), self.said)
            self.reap()
            service.step(up)
            time.sleep(0.005)

    def successor(self) -> Service:
        """The service as a new supervisor remembers it."""
        ((_, record),) = list(self.around.store.load())
        assert record is not None
        service = Service(record, around=self.around)
        service.remember()
        return service


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    for processes in look(world.around.prefix).by_mark.values():
        for process in processes:
            os.kill(process.pid, signal.SIGKILL)
    for pid in world.children:
        os.kill(pid, signal.SIGKILL)  # one that does not bear its mark yet; it is ours until waited for
        os.waitpid(pid, 0)


def alive_with_mark(world: World) -> int:
    return sum(len(found) for found in look(world.around.prefix).by_mark.values())


def settles(world: World, count: int) -> bool:
    """Until so many are alive: a child bears its mark only once it runs its program."""
    deadline = time.monotonic() + 10
    while alive_with_mark(world) != count and time.monotonic() < deadline:
        time.sleep(0.01)
    return alive_with_mark(world) == count


def states(world: World) -> list[str]:
    return [str(event.state) for event in world.events]


def test_it_starts_stops_and_starts(world: World) -> None:
    service = world.add(world.spec())
    first = service.status()
    assert (first.state, first.pid > 0, first.start > 0) == (ServiceState.RUNNING, True, True)
    service.want(Wanted.STOP)
    world.until(service, lambda: service.state is ServiceState.STOPPED)
    assert service.status().exit_code == -signal.SIGTERM
    assert not is_alive(first.pid, first.start)
    service.want(Wanted.RUN)
    world.until(service, lambda: service.alive)
    assert states(world) == ["running", "stopping", "stopped", "running"] or states(world)[-1] == "running"


def test_a_crash_brings_it_back_once_and_then_slower(world: World) -> None:
    service = world.add(world.spec())
    for expected in (0.0, 0.5, 1.0):
        os.kill(service.status().pid, signal.SIGKILL)
        world.until(service, lambda: not service.alive)
        if expected:
            world.until(service, lambda: not service.unclean)
            world.clock.sleep(expected - 0.01)
            service.step(True)
            assert not service.alive, f"it waits {expected} seconds"
            assert service.state is ServiceState.BACKOFF
            world.clock.sleep(0.02)
        world.until(service, lambda: service.alive)
    assert service.status().crashes == 3
    assert settles(world, 1)


def test_what_lived_long_starts_the_count_again(world: World) -> None:
    service = world.add(world.spec())
    for _ in range(2):
        world.clock.sleep(100)
        os.kill(service.status().pid, signal.SIGKILL)
        world.until(service, lambda: not service.alive)
        world.until(service, lambda: service.alive)
    assert service.status().crashes == 1


def test_the_children_of_a_crashed_service_end_before_it_starts_again(world: World, tmp_path: Path) -> None:
    """An nginx whose master was killed leaves workers that hold its sockets."""
    script = "sleep 300 & setsid sleep 300 & touch ready; wait"
    service = world.add(world.spec(("/bin/sh", "-c", script), directory=str(tmp_path)))
    world.until(service, lambda: (tmp_path / "ready").exists() and alive_with_mark(world) == 3)
    (tmp_path / "ready").unlink()
    os.kill(service.status().pid, signal.SIGKILL)
    world.until(service, lambda: not service.alive)
    world.until(service, lambda: service.alive)
    world.until(service, (tmp_path / "ready").exists)
    assert settles(world, 3), "three of the new run, none of the old"


def test_what_ignores_term_is_killed_after_its_time(world: World, tmp_path: Path) -> None:
    script = "trap '' TERM; (trap '' TERM; setsid sleep 300) & touch ready; while :; do sleep 0.05; done"
    service = world.add(world.spec(("/bin/sh", "-c", script), directory=str(tmp_path)))
    world.until(service, (tmp_path / "ready").exists)
    service.want(Wanted.STOP)
    for _ in range(20):
        service.step(True)
        world.reap()
        time.sleep(0.01)
    assert service.alive, "it has five seconds"
    world.clock.sleep(5.1)
    world.until(service, lambda: not service.alive)
    world.clock.sleep(5.1)
    world.until(service, lambda: service.state is ServiceState.STOPPED)
    assert settles(world, 0)


def test_an_unwatched_one_runs_once(world: World, tmp_path: Path) -> None:
    spec = world.spec(("/bin/sh", "-c", "echo x >> ran; exit 4"), watched=False, directory=str(tmp_path))
    service = world.add(spec)
    world.until(service, lambda: service.state is ServiceState.EXITED)
    service.step(True)
    service.respec(spec)
    service.step(True)
    assert service.status().exit_code == 4
    successor = world.successor()
    successor.step(True)
    assert successor.state is ServiceState.EXITED
    assert successor.status().exit_code == 4, "known to every supervisor of this boot"
    assert (tmp_path / "ran").read_text() == "x\n"
    successor.restart()
    world.until(
        successor, lambda: successor.state is ServiceState.EXITED and (tmp_path / "ran").read_text() == "x\nx\n"
    )


def test_another_digest_restarts_and_another_reload_digest_does_not(world: World) -> None:
    spec = world.spec(digest="1", reload_digest="1")
    service = world.add(spec)
    first = service.status().pid
    service.respec(dataclasses.replace(spec, reload_digest="2"))
    service.step(True)
    assert (service.status().pid, service.status().reload_digest) == (first, "1"), "what runs read the old file"
    assert service.reload(signal.SIGCONT, "2")
    assert (service.status().pid, service.status().reload_digest) == (first, "2")
    service.respec(dataclasses.replace(spec, digest="2", reload_digest="3"))
    world.until(service, lambda: service.alive and service.status().digest == "2")
    assert service.status().pid != first
    assert service.status().reload_digest == "3"
    assert settles(world, 1)


def test_removal_is_forgotten_only_when_all_ended(world: World) -> None:
    service = world.add(world.spec(("/bin/sh", "-c", "sleep 300 & sleep 300")))
    service.want(Wanted.REMOVE)
    world.until(service, lambda: service.gone)
    assert settles(world, 0)


def test_a_survivor_is_adopted_with_its_pid(world: World) -> None:
    before = world.add(world.spec(digest="d")).status()
    successor = world.successor()
    after = successor.status()
    assert (after.pid, after.start, after.digest, after.adopted) == (before.pid, before.start, "d", True)
    successor.step(True)
    os.kill(before.pid, signal.SIGKILL)
    world.children.clear()
    os.waitpid(before.pid, 0)
    successor.survivor_ended()
    world.until(successor, lambda: successor.alive and successor.status().pid != before.pid)
    assert not successor.status().adopted
    assert settles(world, 1)


def test_what_died_with_its_supervisor_is_started_by_the_next(world: World) -> None:
    service = world.add(world.spec(("/bin/sh", "-c", "sleep 300 & exec sleep 300")))
    pid = service.status().pid
    world.until(service, lambda: alive_with_mark(world) == 2)
    world.children.clear()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    successor = world.successor()
    assert not successor.alive
    world.until(successor, lambda: successor.alive and alive_with_mark(world) == 2)


def test_a_pid_of_another_boot_or_process_means_nothing(world: World) -> None:
    service = world.add(world.spec())
    process = service.record.process
    assert process is not None
    for other in (dataclasses.replace(process, boot="x"), dataclasses.replace(process, start=process.start + 1)):
        stranger = Service(dataclasses.replace(service.record, process=other), around=world.around)
        stranger.remember()
        assert not stranger.alive


def test_a_stop_that_was_interrupted_goes_on(world: World) -> None:
    service = world.add(world.spec())
    service.save(dataclasses.replace(service.record, wanted=Wanted.STOP))
    pid = service.status().pid
    world.children.clear()
    successor = world.successor()
    assert successor.alive
    successor.step(True)
    os.waitpid(pid, 0)
    successor.survivor_ended()
    world.until(successor, lambda: successor.state is ServiceState.STOPPED)


def test_the_end_of_the_supervisor_stops_and_the_next_one_starts(world: World) -> None:
    service = world.add(world.spec())
    world.until(service, lambda: not service.busy, up=False)
    assert service.record.wanted is Wanted.RUN
    successor = world.successor()
    world.until(successor, lambda: successor.alive)


def test_a_log_that_is_a_link_keeps_it_from_starting_and_says_why(world: World, tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to(tmp_path / "victim")
    service = world.add(world.spec())
    status = service.status()
    assert status.state is ServiceState.BACKOFF
    assert "log" in status.detail
    assert not (tmp_path / "victim").exists()
    (tmp_path / "log").unlink()
    world.clock.sleep(60)
    world.until(service, lambda: service.alive)
    assert service.status().detail == ""


def test_a_store_that_cannot_be_written_keeps_it_from_starting(world: World, tmp_path: Path) -> None:
    (tmp_path / "store").rename(tmp_path / "moved")
    service = world.add(world.spec())
    assert not service.alive
    assert settles(world, 0)
    (tmp_path / "moved").rename(tmp_path / "store")
    world.clock.sleep(60)
    world.until(service, lambda: service.alive)
    assert world.successor().alive
