"""``python -m slapos.build.warm_server <descriptor> <run directory> [cold]``: a process with everything imported.

Started by :class:`slapos.build.warm.Warm`, with one end of a socket pair; each message on it carries the socket of one
job, for which a leader is forked.  Single-threaded, so that forking is safe.  It ends when the other end closes.
With ``cold`` recipes, and what they need, are left to the run that uses them.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys

import jinja2

from slapos.build.profile.names import preload
from slapos.build.warm import COLD
from slapos.build.warm_leader import lead
from slapos.system.lineage import adopt_orphans
from slapos.system.proctable import descendants, end_processes, find_process, process_table

_LAZY = (
    "encodings.idna",
    "jinja2.ext",
    "lxml.etree",
    "multiprocessing.connection",
    "requests.adapters",
    "sqlite3",
    "slapos.slap.slap",
)
"""Imported on first use elsewhere; after ``setuid`` that may fail (their tree may be unreadable)."""

_TEMPLATE = "{% if a %}{{ a }}{% endif %}"


class _Server:
    def __init__(self, control: socket.socket, run_directory: str) -> None:
        self.control = control
        self.run_directory = run_directory
        self.leaders: set[int] = set()
        self.unclean = False  # something that a leader should have ended may be a child of ours
        self.wakeup, self.woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def serve(self) -> None:
        """Until the other end of the control socket closes."""
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self.woken)
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        poll.register(self.wakeup, select.POLLIN)
        while True:
            for handle, _ in poll.poll():
                if handle == self.wakeup:
                    os.read(self.wakeup, 4096)
                    self._reap()
                elif not self._accept():
                    return

    def _accept(self) -> bool:
        data, handles, _, _ = socket.recv_fds(self.control, 16, 1)
        if not data:
            return False
        for handle in handles:
            self._start(socket.socket(fileno=handle))
        return True

    def _start(self, connection: socket.socket) -> None:
        server = os.getpid()
        with connection:
            pid = os.fork()
            if pid == 0:
                self._detach()
                lead(connection, self.run_directory, server)
            self.leaders.add(pid)

    def _detach(self) -> None:
        """In the leader: let go of what belongs to the server."""
        signal.set_wakeup_fd(-1)
        self.control.close()
        os.close(self.wakeup)
        os.close(self.woken)

    def _reap(self) -> None:
        """Collect ended leaders; what a killed one left is ended here, its reaper."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
                self.leaders.discard(pid)
                self.unclean = self.unclean or status != 0
        if self.unclean:
            self._end_orphans()

    def _end_orphans(self) -> None:
        """Again at each end of a process until none is found."""
        table = process_table()
        orphans = [
            process
            for process in table.values()
            if process.ppid == os.getpid() and process.alive and process.pid not in self.leaders
        ]
        self.unclean = bool(orphans)
        for process in orphans:
            end_processes([process, *descendants(table, process.pid)], grace=0.5)

    def stop(self) -> None:
        """End all jobs."""
        left = [process for pid in self.leaders if (process := find_process(pid)) is not None]
        end_processes(left, grace=10.0)
        self.unclean = True
        self._reap()


def main(arguments: list[str]) -> int:
    """Import, then serve."""
    descriptor, run_directory, cold = int(arguments[0]), arguments[1], COLD in arguments[2:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    adopt_orphans()
    if not cold:
        _import_all()
    with socket.socket(fileno=descriptor) as control:
        os.set_inheritable(descriptor, False)
        control.sendall(b"ready\n")
        server = _Server(control, run_directory)
        signal.signal(signal.SIGTERM, lambda number, frame: control.shutdown(socket.SHUT_RDWR))
        server.serve()
    server.stop()
    return 0


def _import_all() -> None:
    preload()
    for name in _LAZY:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    _warm_templates()
    gc.collect()
    gc.freeze()


def _warm_templates() -> None:
    """jinja2 makes its lexer at the first template, one for each way to end a file."""
    for keep in (False, True):
        jinja2.Environment(keep_trailing_newline=keep).from_string(_TEMPLATE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
