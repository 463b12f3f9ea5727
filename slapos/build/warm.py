"""Runs jobs of the engine in warm processes; used by the node daemon.

Starting Python with buildout, jinja2 and the recipes takes a second; a fork of a process that has them takes
milliseconds.  The server is executed, never forked from the caller, which has threads.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from slapos.build.job import Job, Progress, Result
from slapos.model.errors import BuildFailed, MachineError
from slapos.system.processes import CLEAN_ENVIRONMENT, Launch, Started, network_environment, start
from slapos.system.proctable import end_tree

__all__ = ["Job", "Progress", "Result", "Warm"]

COLD = "cold"
"""The word that tells the server to import nothing beforehand."""

_STARTS = 3
_READY_SECONDS = 60.0


class _ServerGone(Exception):
    """The server died before it took the job."""


class Warm:
    """Thread-safe; any number of :meth:`run` at once.  The server is started at the first job and when it died."""

    def __init__(self, *, run_directory: str, preload: bool = True) -> None:
        """``run_directory``: owned by the node; locks, records of runs and the server's log lie there.

        Without ``preload`` a run imports the recipes that it needs itself: for one run as the same user.
        """
        self.preload = preload
        self.run_directory = os.path.join(run_directory, "warm")
        self._lock = threading.Lock()
        self._server: Started | None = None
        self._control: socket.socket | None = None
        self._jobs: dict[str, socket.socket] = {}

    def run(self, job: Job, on_progress: Callable[[Progress], None] | None = None) -> Result:
        """Execute ``job`` to its end; every failure, also the death of its processes, comes back as data."""
        begin = time.monotonic()
        for _ in range(_STARTS):
            with contextlib.suppress(_ServerGone):
                return self._try(job, on_progress or (lambda progress: None), begin)
        raise MachineError(
            "The warm server of the engine cannot be started.",
            reference="no-warm-server",
            context={"log": self._log},
            hint=f"Its log is {self._log}.",
        )

    def cancel(self, directory: str) -> bool:
        """Ask the run in ``directory`` to end; whether there was one.  Its :meth:`run` returns ``interrupted``."""
        with self._lock:
            connection = self._jobs.get(directory)
            if connection is None:
                return False
            with contextlib.suppress(OSError):
                connection.sendall(b"cancel\n")
            return True

    def close(self) -> None:
        """End all runs and the server."""
        with self._lock:
            self._forget(end=False)

    def __enter__(self) -> Warm:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def server_pid(self) -> int | None:
        """The pid of the server, None before the first job."""
        server = self._server
        return None if server is None else server.pid

    @property
    def _log(self) -> str:
        return os.path.join(self.run_directory, "server.log")

    def _try(self, job: Job, on_progress: Callable[[Progress], None], begin: float) -> Result:
        connection, other = socket.socketpair()
        with connection:
            with other:
                self._give(other)
            try:
                connection.sendall(json.dumps(job.as_data()).encode() + b"\n")
            except OSError:
                raise _ServerGone from None
            with self._listed(job.directory, connection):
                return self._listen(connection, job, on_progress, begin)

    @contextlib.contextmanager
    def _listed(self, directory: str, connection: socket.socket) -> Iterator[None]:
        with self._lock:
            self._jobs[directory] = connection
        try:
            yield
        finally:
            with self._lock:
                if self._jobs.get(directory) is connection:
                    del self._jobs[directory]

    def _listen(
        self, connection: socket.socket, job: Job, on_progress: Callable[[Progress], None], begin: float
    ) -> Result:
        accepted = False
        for message in _messages(connection):
            if "result" in message:
                return Result.from_data(message["result"])
            accepted = True
            if "progress" in message:
                on_progress(Progress(**message["progress"]))
        if not accepted:
            raise _ServerGone
        sentence = "The run was interrupted: the process that led it was killed."
        error = BuildFailed(sentence, reference="run-interrupted", context={"log": job.log})
        return Result("interrupted", sentence, error.as_data(), time.monotonic() - begin)

    def _give(self, connection: socket.socket) -> None:
        """Hand the socket of a job to the server, started when needed."""
        with self._lock:
            if self._server is not None and self._server.popen.poll() is not None:
                self._forget(end=False)  # its pid may already be somebody else's
            if self._control is None:
                self._start()
            assert self._control is not None
            try:
                socket.send_fds(self._control, [b"job"], [connection.fileno()])
            except OSError:
                self._forget()
                raise _ServerGone from None

    def _start(self) -> None:
        os.makedirs(self.run_directory, mode=0o700, exist_ok=True)
        own, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            words = [str(other.fileno()), self.run_directory, *([] if self.preload else [COLD])]
            command = [sys.executable, "-P", "-m", "slapos.build.warm_server", *words]
            environment = {**CLEAN_ENVIRONMENT, **network_environment(), "PYTHONNOUSERSITE": "true"}
            launch = Launch(environment=environment, umask=0o022)
            self._server = start(command, launch=launch, output=self._log, keep=(other.fileno(),))
        self._control = own
        own.settimeout(_READY_SECONDS)
        try:
            ready = own.recv(16)
        except OSError:
            ready = b""
        own.settimeout(None)
        if not ready:
            self._forget()
            raise _ServerGone

    def _forget(self, end: bool = True) -> None:
        """Let the server end: it does when its socket closes; ``end``: at once."""
        if self._control is not None:
            self._control.close()
        server, self._server, self._control = self._server, None, None
        if server is None:
            return
        if end:
            end_tree(server.pid, 0.5)
        server.popen.wait()


def _messages(connection: socket.socket) -> Iterator[dict[str, Any]]:
    """JSON lines until the other end closes."""
    with connection.makefile("rb") as stream:
        try:
            for line in stream:
                if line.endswith(b"\n"):
                    yield json.loads(line)
        except OSError:
            return
