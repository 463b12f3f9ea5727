"""The supervisor of a node: one supervisord, started from here, told everything through its socket."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import Any

from slapos.model.errors import MachineError, NotFound, Unavailable
from slapos.node.supervisor.interface import ServiceSpec, ServiceState, ServiceStatus, check_spec
from slapos.node.supervisor.records import Wanted
from slapos.node.supervisor.rpc import call
from slapos.node.supervisor.spawn import mark_prefix
from slapos.system.files import make_directory, write_if_changed, write_json
from slapos.system.locks import is_locked, locked
from slapos.system.processes import Launch, check_run, run

# Fixed text: no path and no name is ever rendered into it.
_CONFIGURATION = """\
[supervisord]
logfile_maxbytes = 5MB
logfile_backups = 2
loglevel = info
nocleanup = true
{user}
[unix_http_server]
file = %(here)s/supervisor.sock
chmod = 0600

[rpcinterface:hyperopenx]
supervisor.rpcinterface_factory = slapos.node.supervisor.plugin:make_interface
"""
_START_SECONDS = 30.0
_SETTLED = frozenset({ServiceState.STOPPED, ServiceState.EXITED})


class Supervisord:
    """A :class:`~slapos.node.supervisor.interface.Supervisor`.

    ``run_directory`` is short (its sockets' paths have 107 characters at most), ``store`` keeps the records of
    services, ``log`` is supervisord's own log.  All three belong to the node alone.  ``unit``: of systemd, which is
    asked to start it; without one it is started from here.
    """

    def __init__(self, *, run_directory: str, store: str, log: str, unit: str = "") -> None:
        self.unit = unit
        self.run_directory = run_directory
        self.store = store
        self.log = log
        self.socket = os.path.join(run_directory, "supervisor.sock")
        self.event_socket = os.path.join(run_directory, "events.sock")
        self.lock = os.path.join(run_directory, "supervisor.lock")

    def ensure(self) -> bool:
        if self.is_running():
            return False
        if self.unit:  # which comes here again, without the unit
            done = check_run(("systemctl", "start", self.unit), timeout=2 * _START_SECONDS)
            self._wait_answer(done.text)
            return True
        make_directory(self.run_directory, 0o700)
        starting = os.path.join(self.run_directory, "supervisor.start")
        with locked(starting, _START_SECONDS, "The start of the supervisor"):
            if self.is_running():
                return False
            self._start()
        return True

    def _start(self) -> None:
        for directory in (self.store, os.path.dirname(self.log)):
            os.makedirs(directory, mode=0o700, exist_ok=True)
        configuration = os.path.join(self.run_directory, "supervisor.conf")
        user = "user = root\n" if os.geteuid() == 0 else ""
        write_if_changed(configuration, _CONFIGURATION.format(user=user), 0o600)
        settings = {
            "lock": self.lock,
            "prefix": mark_prefix(self.store),
            "store": self.store,
            "events": self.event_socket,
        }
        write_json(os.path.join(self.run_directory, "supervisor.json"), settings, 0o600)
        pid_file = os.path.join(self.run_directory, "supervisor.pid")
        command = (sys.executable, "-I", "-m", "supervisor.supervisord", "-c", configuration)
        launch = Launch(directory=self.run_directory, environment={"LC_ALL": "C.UTF-8"})
        done = run((*command, "-l", self.log, "-j", pid_file), launch=launch, timeout=_START_SECONDS)
        self._wait_answer(done.text)

    def _wait_answer(self, output: str) -> None:
        """It became a daemon; its socket was open before."""
        deadline = time.monotonic() + _START_SECONDS
        while not self.is_running():
            if not is_locked(self.lock) or time.monotonic() > deadline:
                raise MachineError(
                    f"The supervisor does not start: {output.strip()[-500:] or 'see its log'}.",
                    reference="supervisor-not-starting",
                    context={"log": self.log, "output": output[-2000:]},
                    hint=f"Read {self.log}.",
                )
            time.sleep(0.02)

    def is_there(self) -> bool:
        return is_locked(self.lock)

    def is_running(self) -> bool:
        try:
            self._call("ping", timeout=10.0)
        except Unavailable:
            return False
        return True

    def pid(self) -> int:
        """Of supervisord."""
        return int(self._call("ping")["pid"])

    def shutdown(self, timeout: float = 90.0) -> None:
        try:
            self._call("shutdown")
        except Unavailable:
            if not is_locked(self.lock):
                return
        deadline = time.monotonic() + timeout
        while is_locked(self.lock):
            if time.monotonic() > deadline:
                raise MachineError(
                    f"The supervisor did not end within {timeout:.0f} seconds.",
                    reference="supervisor-not-ending",
                    context={"log": self.log, "seconds": timeout},
                    hint=f"Read {self.log}: it names the services that it waits for.",
                )
            time.sleep(0.02)

    def services(self, partition: str | None = None) -> dict[str, ServiceStatus]:
        arguments: dict[str, Any] = {} if partition is None else {"partition": partition}
        return {status.name: status for status in map(_status, self._call("statuses", **arguments))}

    def status(self, name: str) -> ServiceStatus:
        """Of one service."""
        return _status(self._call("statuses", names=[name])[0])

    def add(self, spec: ServiceSpec) -> None:
        self._call("add", spec=check_spec(spec).as_data())

    def remove(self, name: str, wait: bool = True) -> None:
        with contextlib.suppress(NotFound):
            self._want(name, Wanted.REMOVE)
            if wait:
                self._wait(name, frozenset())

    def start(self, name: str) -> None:
        self._want(name, Wanted.RUN)

    def stop(self, name: str, wait: bool = True) -> None:
        self._want(name, Wanted.STOP)
        if wait:
            self._wait(name, _SETTLED)

    def restart(self, name: str) -> None:
        self._call("restart", name=name)

    def signal(self, name: str, number: int) -> None:
        self._call("signal", name=name, number=int(number))

    def reload(self, name: str, number: int, reload_digest: str) -> None:
        self._call("reload", name=name, number=int(number), reload_digest=reload_digest)

    def _want(self, name: str, wanted: Wanted) -> None:
        self._call("want", name=name, wanted=str(wanted))

    def _wait(self, name: str, states: frozenset[ServiceState]) -> None:
        """Until it is in one of ``states``, or is forgotten (:class:`NotFound`).  The final KILL bounds the time."""
        pause = 0.005
        while self.status(name).state not in states:
            time.sleep(pause)
            pause = min(0.2, pause * 1.5)

    def _call(self, method: str, timeout: float = 30.0, **arguments: Any) -> Any:
        return call(self.socket, method, arguments, timeout)


def _status(data: dict[str, Any]) -> ServiceStatus:
    return ServiceStatus(**{**data, "state": ServiceState(data["state"])})
