"""Our part inside supervisord: services from data instead of from a configuration file.

supervisord gives the event loop, the socket and the waiting for children.  Each service is a process group of its own
with :class:`~slapos.node.supervisor.service.Service` in it; requests arrive as JSON through one XML-RPC method, so that
no name is ever rendered into an INI file.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any

from supervisor import events
from supervisor.states import ProcessStates, SupervisorStates

from slapos.model.errors import HyperopenxError, InputError, NotFound
from slapos.node.supervisor.events import EventSender
from slapos.node.supervisor.interface import spec_from_data
from slapos.node.supervisor.records import Record, Store, Wanted
from slapos.node.supervisor.remains import Ending, Looker, Snapshot
from slapos.node.supervisor.service import Service, Surroundings
from slapos.system.clock import SystemClock
from slapos.system.files import read_json
from slapos.system.locks import try_lock
from slapos.system.proctable import boot_id

_STRAY_GRACE = 5.0
_LONGEST_SLEEP = 5.0  # its ticks come as often; signals and requests wake it
_SUPERVISORD = {True: ProcessStates.RUNNING, False: ProcessStates.STOPPED}


class _Config:
    """The names that supervisord's own code reads of a group and of a process."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.priority = 999


class Group:
    """A process group of supervisord with one service in it: the methods that its main loop calls."""

    def __init__(self, service: Service, interface: Interface) -> None:
        self.service = service
        self.interface = interface
        self.config = _Config(service.key.replace(":", "/", 1))

    def __lt__(self, other: Group) -> bool:
        return False  # supervisord sorts at each turn of its loop; to us no order is better

    def transition(self) -> None:
        self.interface.turn(self.service)

    def get_dispatchers(self) -> dict[int, Any]:
        handle = self.service.handle
        return {} if handle is None else {handle: Readable(self.service.survivor_ended)}

    def get_unstopped_processes(self) -> list[Group]:
        return [self] if self.service.busy else []

    def get_state(self) -> Any:
        return _SUPERVISORD[self.service.busy]

    def stop_all(self) -> None:
        """All services stop at once when the mood changes: see :meth:`transition`."""

    def reopenlogs(self) -> None:
        """Services hold their logs themselves."""

    def before_remove(self) -> None:
        """Nothing to release."""


class Readable:
    """A dispatcher of supervisord's loop: something to do when a descriptor can be read."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.act = act

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def handle_read_event(self) -> None:
        self.act()

    def handle_error(self) -> None:
        """Called by supervisord in its ``except`` clause.  Going on with a service in a wrong state helps nobody."""
        error = sys.exc_info()[1]
        if error is not None:
            raise error


class Waker:
    """supervisord's poller, woken by signals at once and not sleeping longer than the services allow."""

    def __init__(self, poller: Any, timeout: Callable[[float], float]) -> None:
        self.poller = poller
        self.timeout = timeout

    def __getattr__(self, name: str) -> Any:
        return getattr(self.poller, name)

    def poll(self, timeout: float) -> Any:
        return self.poller.poll(self.timeout(timeout))


class Interface:
    """The XML-RPC namespace ``hyperopenx``."""

    def __init__(self, supervisord: Any) -> None:
        self.supervisord = supervisord
        options = supervisord.options
        data: Mapping[str, str] = read_json(os.path.join(options.here, "supervisor.json"), {})
        lock = try_lock(data["lock"])
        if lock is None:
            raise ValueError("another supervisord of this node runs")
        self.lock = lock
        self.services: dict[str, Service] = {}
        self.strays: Ending | None = None
        self.looker = Looker(data["prefix"])
        self.seen: Snapshot | None = None
        self.around = Surroundings(
            store=Store(data["store"]),
            boot=boot_id(),
            prefix=data["prefix"],
            clock=SystemClock(),
            snapshot=self._snapshot,
            send=EventSender(data["events"]).send,
            say=options.logger.info,
            children=options.pidhistory,
        )
        self._wake_on_signals(options)
        events.subscribe(events.SupervisorRunningEvent, self._begin)
        events.subscribe(events.SupervisorStoppingEvent, self._end)
        events.subscribe(events.Tick5Event, self._tick)

    def _wake_on_signals(self, options: Any) -> None:
        """Python repeats an interrupted poll, so supervisord would see a dead child up to a second late."""
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        options.get_socket_map()[reader] = Readable(lambda: _drain(reader))
        options.poller = Waker(options.poller, self._timeout)

    def _timeout(self, longest: float) -> float:
        """Called once per turn of the loop, before it sleeps: what was seen of the processes is old from here on."""
        self.seen = None
        longest = max(longest, _LONGEST_SLEEP)
        now = self.around.clock.monotonic()
        wakes = [service.wake for service in self.services.values() if service.wake is not None]
        if self.strays is not None:
            wakes.append(now + 0.1)
        return max(0.0, min([longest, *(wake - now for wake in wakes)]))

    def _snapshot(self) -> Snapshot:
        if self.seen is None:
            self.seen = self.looker.look()
        return self.seen

    def _begin(self, _event: Any) -> None:
        """supervisord became a daemon: remember, adopt, and end what belongs to nothing known."""
        signal.signal(signal.SIGHUP, lambda *_: None)  # to supervisord it means: restart all
        for name, record in self.around.store.load():
            if record is None:
                self.around.say(f"{name} cannot be read and is ignored")
                continue
            self._enter(record).remember()
        known = {service.mark for service in self.services.values()}
        for mark, processes in self._snapshot().by_mark.items():
            if mark not in known:
                self.strays = self.strays or Ending(self.around.clock.monotonic() + _STRAY_GRACE)
                self.strays.add(processes)

    def _end(self, _event: Any) -> None:
        for service in self.services.values():
            service.settle()

    def _tick(self, _event: Any) -> None:
        for service in self.services.values():
            service.rotate()

    def _enter(self, record: Record) -> Service:
        service = Service(record, around=self.around)
        self.services[service.key] = service
        group = Group(service, self)
        self.supervisord.process_groups[group.config.name] = group
        return service

    def turn(self, service: Service) -> None:
        """Called for each service in each turn of the loop: a thousand that only run must cost nothing."""
        running = self.supervisord.options.mood == SupervisorStates.RUNNING
        if service.wake is not None or self.strays is not None or not running:
            self.step(service)

    def step(self, service: Service) -> None:
        """One turn for one service."""
        if self.services.get(service.key) is not service:
            return  # removed earlier in this turn of the loop
        if self.strays is not None and self.strays.step(self.around.clock.monotonic()):
            self.strays = None
        service.step(self.supervisord.options.mood == SupervisorStates.RUNNING)
        if service.gone:
            del self.services[service.key]
            del self.supervisord.process_groups[service.key.replace(":", "/", 1)]
            self.around.store.forget(service.key)

    # requests

    def call(self, text: str) -> str:
        """``{"method", "arguments"}`` in, ``{"result"}`` or ``{"error"}`` out, as JSON.

        @param string text  the request
        @return string result  the answer
        """
        try:
            request = json.loads(text)
            method = _METHODS.get(request["method"])
            if method is None:
                raise InputError(f"{request['method']!r} is no method.", reference="no-such-method")
            return json.dumps({"result": method(self, request.get("arguments", {}))})
        except HyperopenxError as error:
            return json.dumps({"error": error.as_data()})

    def _named(self, arguments: Mapping[str, Any]) -> Service:
        service = self.services.get(str(arguments["name"]))
        if service is None:
            raise NotFound(
                f"There is no service {arguments['name']!r}.",
                reference="no-such-service",
                context={"service": arguments["name"]},
            )
        return service

    def ping(self, _: Mapping[str, Any]) -> Any:
        return {"pid": os.getpid(), "services": len(self.services)}

    def statuses(self, arguments: Mapping[str, Any]) -> Any:
        names, partition = arguments.get("names"), arguments.get("partition")
        chosen = self.services.values() if names is None else [self._named({"name": name}) for name in names]
        if partition is not None:
            chosen = [service for service in chosen if service.spec.partition == partition]
        return [dict(service.status().__dict__) for service in chosen]

    def add(self, arguments: Mapping[str, Any]) -> Any:
        spec = spec_from_data(arguments["spec"])
        service = self.services.get(spec.key)
        if service is None:
            service = self._enter(Record(spec))
            service.unclean = self.strays is not None
            service.save(service.record)
        else:
            service.respec(spec)
        self.step(service)

    def want(self, arguments: Mapping[str, Any]) -> Any:
        service = self._named(arguments)
        service.want(Wanted(arguments["wanted"]))
        self.step(service)

    def restart(self, arguments: Mapping[str, Any]) -> Any:
        service = self._named(arguments)
        service.restart()
        self.step(service)

    def signal(self, arguments: Mapping[str, Any]) -> Any:
        return self._named(arguments).signal(int(arguments["number"]))

    def reload(self, arguments: Mapping[str, Any]) -> Any:
        return self._named(arguments).reload(int(arguments["number"]), str(arguments["reload_digest"]))

    def shutdown(self, _: Mapping[str, Any]) -> Any:
        self.supervisord.options.mood = SupervisorStates.SHUTDOWN


_METHODS: Mapping[str, Callable[[Interface, Mapping[str, Any]], Any]] = {
    "ping": Interface.ping,
    "statuses": Interface.statuses,
    "add": Interface.add,
    "want": Interface.want,
    "restart": Interface.restart,
    "signal": Interface.signal,
    "reload": Interface.reload,
    "shutdown": Interface.shutdown,
}


def _drain(reader: int) -> None:
    try:
        while os.read(reader, 4096):
            pass
    except BlockingIOError:
        pass


def make_interface(supervisord: Any) -> Interface:
    """The factory named in the configuration of supervisord; ``supervisor.json`` lies beside that."""
    return Interface(supervisord)
