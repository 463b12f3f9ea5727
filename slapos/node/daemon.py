"""The daemon: threads that listen, work, deliver and watch.  It may be killed at any moment; services go on.

Every thread's loop is a door: whatever happens inside is logged, and the thread goes on.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import threading
import time
from collections.abc import Callable

from slapos.model.errors import HyperopenxError, Unavailable, machine_error
from slapos.node.context import Node, make_client, make_directories
from slapos.node.format import restore_addresses
from slapos.node.metrics.address import parse_metrics_address
from slapos.node.metrics.families import Exposition
from slapos.node.metrics.server import MetricsServer
from slapos.node.metrics.uses import Uses
from slapos.node.outbox import Outbox
from slapos.node.schedule import Schedule, Subject, backoff_delay
from slapos.node.supervisor.events import LOOK, EventReceiver
from slapos.node.supervisor.interface import ServiceState
from slapos.node.usage import deliver_usage
from slapos.node.work import CERTIFICATE, CHORE, DISKS, MEASURE, PARTITION, PROCESSES, RELEASE, STORE, USAGE, Work
from slapos.system.locks import locked
from slapos.system.service_manager import Notifier

HEARTBEAT_SECONDS = 30.0
WATCH_SECONDS = 2.0
METRICS_SECONDS = 10.0  # how soon the server of metrics sees the end
_ENDS = (ServiceState.BACKOFF, ServiceState.EXITED)

log = logging.getLogger("slapos.node")


class Daemon:
    """One per node: a lock in its state directory sees to it."""

    def __init__(self, *, node: Node, event_socket: str) -> None:
        self.node = node
        self.event_socket = event_socket
        self.stopping = threading.Event()
        self.outbox = Outbox(node.layout.outbox)
        self.schedule = Schedule(node.clock)
        self.work = Work(node, self.schedule, self.outbox, Uses(config=node.config, layout=node.layout))
        self.refreshing = threading.Lock()
        self.last_sent = 0.0
        self.notifier = Notifier()
        self.threads: list[threading.Thread] = []

    def run(self) -> None:
        """Until :meth:`stop`; :class:`Conflict` ``locked`` when another daemon serves this node."""
        make_directories(self.node.config)
        name = self.node.config.name
        with locked(self.node.layout.lock, 5.0, f"The node {name} has a daemon already: it"):
            self._prepare()
            self.threads = self._start_threads()
            self.notifier.ready()
            self.stopping.wait()
            self.notifier.stopping()
            self._end(self.threads)

    def stop(self) -> None:
        """End soon; services are left running.  Safe in a signal handler."""
        self.stopping.set()

    def _prepare(self) -> None:
        with contextlib.suppress(HyperopenxError):
            restore_addresses(self.node.config)
            self.node.supervisor.ensure()
        self.schedule.trigger(*self.work.everything(), USAGE, PROCESSES, DISKS, CERTIFICATE, STORE)

    def _start_threads(self) -> list[threading.Thread]:
        config = self.node.config
        loops: list[tuple[str, Callable[[], None]]] = [
            ("listener", self._listen),
            ("sender", self._send),
            ("watcher", self._watch),
            ("chores", lambda: self._work(frozenset({CHORE}))),
            ("measurer", lambda: self._work(frozenset({MEASURE}))),
            ("metrics", self._serve_metrics),
            ("notifier", self._notify),
        ]
        loops += [(f"worker-{i}", lambda: self._work(frozenset({PARTITION}))) for i in range(config.workers)]
        loops += [(f"builder-{i}", lambda: self._work(frozenset({RELEASE}))) for i in range(config.build_workers)]
        threads = [threading.Thread(target=self._guarded, args=item, name=item[0], daemon=True) for item in loops]
        for thread in threads:
            thread.start()
        return threads

    def _guarded(self, name: str, step: Callable[[], None]) -> None:
        """Repeat ``step`` until the end."""
        failures = 0
        while not self.stopping.is_set():
            try:
                step()
                failures = 0
            except Unavailable as error:
                failures += 1
                log.warning("%s: %s", name, error)
            except HyperopenxError as error:
                failures += 1
                log.error("%s: %s", name, error)
            except OSError as error:
                failures += 1
                log.error("%s: %s", name, machine_error(error))
            except Exception:
                failures += 1
                log.exception("%s: a defect", name)
            if failures:
                self.stopping.wait(min(30.0, backoff_delay(failures, random.random())))

    def _work(self, kinds: frozenset[str]) -> None:
        subject = self.schedule.take(kinds, timeout=5.0)
        if subject is not None:
            self.work.process(subject)

    def refresh(self) -> None:
        """Read what the master wants and look at what changed."""
        desired, config = self.node.desired, self.node.config
        with self.refreshing:  # an older answer must not replace a newer one
            since = desired.state.generation if desired.known else 0
            told = self.node.client.node_state(config.computer_id, since)
            try:
                partitions, releases = desired.accept(told)
            except OSError as error:
                self.work.cannot_take(told, machine_error(error))
                raise
        self.work.changed(partitions, releases)

    def _listen(self) -> None:
        self.refresh()
        generation = self.node.desired.state.generation
        for number, _ in self.node.client.events(self.node.config.computer_id, generation, self.stopping):
            if number != self.node.desired.state.generation:
                self.refresh()

    def _send(self) -> None:
        self.outbox.filled.wait(HEARTBEAT_SECONDS)
        config, client = self.node.config, self.node.client
        sent = self.outbox.deliver(client, config.computer_id)
        if not sent and time.monotonic() > self.last_sent + HEARTBEAT_SECONDS:
            generation = client.report(config.computer_id)
            if generation != self.node.desired.state.generation:
                self.refresh()  # an event was lost
        deliver_usage(client, config.computer_id, self.node.layout.usage)
        self.last_sent = time.monotonic()
        self.work.counters.contact_at = self.node.clock.wall()

    def _watch(self) -> None:
        """Ends of services, and the end of the supervisor itself."""
        os.makedirs(os.path.dirname(self.event_socket), exist_ok=True)
        with EventReceiver(self.event_socket) as receiver:
            while not self.stopping.is_set():
                event = receiver.receive(WATCH_SECONDS)
                if event is None:
                    self._revive()
                elif event == LOOK:
                    self.schedule.trigger(*self.work.everything())
                elif event.state in _ENDS:
                    self.schedule.trigger(Subject(PARTITION, event.name.partition(":")[0]))

    def _notify(self) -> None:
        """Alive is a daemon whose loops all run and whose schedule answers."""
        found = self.schedule.depths()
        if all(thread.is_alive() for thread in self.threads):
            self.notifier.alive()
        partitions = len(self.node.desired.state.partitions)
        failing = found[PARTITION, "failing"] + found[RELEASE, "failing"]
        self.notifier.status(f"{partitions} partitions, {failing} of them or of the releases failing")
        self.stopping.wait(self.notifier.interval or None)

    def _serve_metrics(self) -> None:
        node, work = self.node, self.work
        address = parse_metrics_address(node.config.metrics, node.layout.metrics)
        if address.off:
            self.stopping.wait()
            return
        exposition = Exposition(node, self.schedule, self.outbox, work.counters, work.uses)
        with MetricsServer(address=address, write=exposition.write, timeout=METRICS_SECONDS) as server:
            while not self.stopping.is_set():
                server.handle_request()

    def _revive(self) -> None:
        if self.stopping.is_set() or self.node.supervisor.is_there():
            return
        if self.node.supervisor.ensure():
            log.warning("the supervisor had ended; it was started again")
            self.work.counters.restart()
            self.schedule.trigger(*self.work.everything())

    def _end(self, threads: list[threading.Thread]) -> None:
        self.schedule.close()
        self.outbox.filled.set()
        with contextlib.suppress(OSError):
            self.work.uses.save()
        self.node.engine.close()
        deadline = time.monotonic() + 3.0
        for thread in threads:
            if thread.name.startswith(("worker", "builder")):
                thread.join(max(0.0, deadline - time.monotonic()))
        goodbye = make_client(self.node.config, timeout=1.0, patience=0.0)
        with contextlib.suppress(HyperopenxError):
            goodbye.report(self.node.config.computer_id, online=False)
        goodbye.close()
