"""The supervisord of a site: it keeps two programs alive, ``master`` and ``slapgrid``.

It is not the one that keeps the services of the partitions alive: that one belongs to the node.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import time
import xmlrpc.client
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from slapos.cli.site.layout import SITE_VARIABLE, Layout, program
from slapos.model.errors import MachineError
from slapos.system.files import make_directory, write_if_changed
from slapos.system.processes import CLEAN_ENVIRONMENT, Launch, run
from slapos.system.proctable import Process, end_processes, environment_of, process_table

PROGRAMS = ("master", "slapgrid")
START_SECONDS = 15.0
_RUNNING = ("RUNNING", "STARTING", "BACKOFF")

_CONFIG = """\
; Written by `slapos up`.
[unix_http_server]
file = {run}/site.sock
chmod = 0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisord]
identifier = hyperopenx
directory = {log}
logfile = {log}/site.log
logfile_maxbytes = 1MB
logfile_backups = 2
pidfile = {run}/site.pid
childlogdir = {log}
nocleanup = true
minfds = 256
minprocs = 64
"""

_PROGRAM = """
[program:{name}]
command = {command}
directory = {state}
environment = {variable}="{mark}"
autostart = false
autorestart = true
startsecs = 1
startretries = 1000
stopsignal = TERM
stopwaitsecs = {stop}
redirect_stderr = true
; below the directory of supervisord, because it expands this option twice
stdout_logfile = {name}.log
stdout_logfile_maxbytes = 5MB
stdout_logfile_backups = 3
"""


@dataclass(frozen=True)
class ProgramStatus:
    """``state`` is supervisord's word in lower case; ``since`` the UTC epoch second of its last change."""

    name: str
    state: str
    pid: int
    since: int

    @property
    def running(self) -> bool:
        return self.state == "running"


class SiteSupervisor:
    """Starts, asks and ends the supervisord of one site."""

    def __init__(self, *, layout: Layout) -> None:
        self.layout = layout
        self.config = os.path.join(layout.state, "site.cfg")
        self.socket = os.path.join(layout.run, "site.sock")

    def write_config(self) -> None:
        """Make directories and configuration; nothing is written when nothing changed."""
        for directory in (self.layout.log, self.layout.run):
            make_directory(directory, 0o700)
        check_private(self.layout.run)
        where = {"state": escape(self.layout.state), "log": escape(self.layout.log), "run": escape(self.layout.run)}
        text = _CONFIG.format(**where)
        for name, command, stop in (
            ("master", f"{quote(program('slapos'))} -v master start --cfg {quote(self.layout.master_config)}", 10),
            ("slapgrid", f"{quote(program('slapgrid'))} --cfg {quote(self.layout.node_config)}", 30),
        ):
            mark = escape(self.mark(name))
            text += _PROGRAM.format(name=name, command=command, stop=stop, variable=SITE_VARIABLE, mark=mark, **where)
        write_if_changed(self.config, text, mode=0o600)

    def mark(self, name: str) -> str:
        return f"{self.layout.state}:{name}"

    def is_running(self) -> bool:
        with contextlib.suppress(OSError, HTTPException, xmlrpc.client.Error), self._server() as server:
            return bool(server.supervisor.getPID())
        return False

    def launch(self) -> bool:
        """Start supervisord unless it runs; whether it was started.  Programs that outlived a killed one end first."""
        if self.is_running():
            return False
        self.end_survivors()
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", self.config]
        environment = {**CLEAN_ENVIRONMENT, "HOME": self.layout.state, SITE_VARIABLE: self.mark("supervisord")}
        launch = Launch(directory=self.layout.log, environment=environment)
        done = run(command, launch=launch, timeout=START_SECONDS)  # it becomes a daemon by itself
        deadline = time.monotonic() + START_SECONDS
        while not self.is_running():
            if done.code != 0 or time.monotonic() > deadline:
                raise MachineError(
                    "The supervisor of the site did not start.",
                    reference="site-not-started",
                    context={"output": done.text, "log": os.path.join(self.layout.log, "site.log")},
                    hint="The output, or the end of the log, says why.",
                )
            time.sleep(0.05)
        return True

    def statuses(self) -> dict[str, ProgramStatus]:
        """By name; empty when supervisord does not run."""
        with contextlib.suppress(OSError, HTTPException, xmlrpc.client.Error), self._server() as server:
            found: list[dict[str, Any]] = server.supervisor.getAllProcessInfo()  # type: ignore[assignment]
            return {
                item["name"]: ProgramStatus(item["name"], item["statename"].lower(), item["pid"], item["start"])
                for item in found
            }
        return {}

    def is_started(self, name: str) -> bool:
        """Whether it runs, or is being started again."""
        status = self.statuses().get(name)
        return status is not None and status.state.upper() in _RUNNING

    def start_program(self, name: str) -> bool:
        """Whether it had to be started."""
        if self.is_started(name):
            return False
        with self._server() as server:
            server.supervisor.startProcess(name, False)
        return True

    def stop_program(self, name: str) -> None:
        with contextlib.suppress(OSError, HTTPException, xmlrpc.client.Error), self._server() as server:
            server.supervisor.stopProcess(name, True)

    def shut_down(self) -> None:
        """End the programs (master last), then supervisord, then whatever of the site is still there."""
        for name in reversed(PROGRAMS):
            self.stop_program(name)
        with contextlib.suppress(OSError, HTTPException, xmlrpc.client.Error), self._server() as server:
            server.supervisor.shutdown()
        self.end_survivors()

    def survivors(self) -> list[Process]:
        """Processes that this site started: they carry its mark in their environment."""
        marks = {self.mark(name) for name in (*PROGRAMS, "supervisord")}
        return [
            process
            for pid, process in process_table().items()
            if pid != os.getpid() and environment_of(pid).get(SITE_VARIABLE) in marks
        ]

    def end_survivors(self) -> None:
        end_processes(self.survivors(), grace=10.0)

    @contextlib.contextmanager
    def _server(self) -> Iterator[xmlrpc.client.ServerProxy]:
        from supervisor.xmlrpc import SupervisorTransport

        transport = SupervisorTransport(None, None, serverurl=f"unix://{self.socket}")
        try:
            yield xmlrpc.client.ServerProxy("http://localhost", transport=transport)
        finally:
            transport.close()


def check_private(directory: str) -> None:
    """A directory of ours below ``/tmp`` must be ours alone: nobody may have made it before us."""
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise MachineError(
            f"{directory} is not a directory of this user alone.",
            reference="run-directory-not-private",
            context={"directory": directory, "owner": found.st_uid, "mode": oct(found.st_mode & 0o7777)},
            hint="Remove it, or choose a shorter state directory with HYPEROPENX_STATE.",
        )


def escape(text: str) -> str:
    """For supervisord's files: ``%`` begins an expansion there."""
    return text.replace("%", "%%")


def quote(text: str) -> str:
    """One word of a supervisord command line."""
    import shlex

    return escape(shlex.quote(text))
