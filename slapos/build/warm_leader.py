"""The process that watches over one job: lock, log, time limit, and the end of everything that the job started.

Forked by the warm server, with its privileges.  It is the reaper of all that descends from the job, so that nothing
outlives it; it ends with the server, with the daemon (its socket closes) and when asked.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import select
import signal
import socket
import time
from collections.abc import Iterator
from typing import Any

from slapos.build.command import last_lines
from slapos.build.isolation import MARKER_VARIABLE
from slapos.build.job import Job, Result
from slapos.build.warm_worker import work
from slapos.model.errors import BuildFailed, HyperopenxError, MachineError, machine_error
from slapos.system.files import atomic_write, read_json
from slapos.system.lineage import adopt_orphans, die_with
from slapos.system.locks import locked
from slapos.system.proctable import (
    boot_id,
    descendants,
    end_processes,
    environment_of,
    is_alive,
    process_table,
    start_time,
    wait_gone,
)

LOCK_SECONDS = 10.0
UNCLEAN = 1
"""Exit status of a leader that could not end all that its job started."""
EXIT_SECONDS = 1.0
"""For a worker to end once it told its result."""
MESSAGE_LIMIT = 32 * 1024 * 1024
"""Bytes of one message; the worker may belong to somebody hostile."""


class _Ended(Exception):
    """The run is to end now, with this outcome."""

    def __init__(self, outcome: str, sentence: str) -> None:
        super().__init__(sentence)
        self.outcome = outcome
        self.sentence = sentence


def lead(connection: socket.socket, run_directory: str, server: int) -> None:
    """Do the job that comes in through ``connection``.  Never returns."""
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, _on_term)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        die_with(server, signal.SIGTERM)
        adopt_orphans()
        _lead(connection, run_directory)
    except (_Ended, OSError):
        pass  # nobody listens any more
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os._exit(0 if _end_children() else UNCLEAN)


def _on_term(number: int, frame: object) -> None:
    raise _Ended("interrupted", "The run was stopped with the node.")


def _lead(connection: socket.socket, run_directory: str) -> None:
    job = Job.from_data(json.loads(_receive_line(connection)))
    begin = time.monotonic()
    try:
        with _own_run(job.directory, run_directory) as marker:
            _send(connection, {"accepted": os.getpid()})
            result = _Watch(job, connection, marker).run()
    except (HyperopenxError, OSError) as error:
        known = machine_error(error) if isinstance(error, OSError) else error
        result = Result("failed", known.message, known.as_data(), time.monotonic() - begin)
    _send(connection, {"result": result.as_data()})


@contextlib.contextmanager
def _own_run(directory: str, run_directory: str) -> Iterator[str]:
    """The lock of a directory; what a killed former run left there is ended first.  Gives the marker of this run."""
    key = hashlib.sha256(directory.encode()).hexdigest()[:16]
    record = os.path.join(run_directory, f"{key}.json")
    with locked(os.path.join(run_directory, f"{key}.lock"), LOCK_SECONDS, what=f"The directory {directory}"):
        _end_leftovers(read_json(record))
        marker = f"{key}-{secrets.token_hex(8)}"
        own = {"marker": marker, "pid": os.getpid(), "start": start_time(os.getpid()), "boot": boot_id()}
        atomic_write(record, json.dumps(own | {"directory": directory}), 0o600, fsync=False)
        try:
            yield marker
        finally:
            _end_children()
            os.unlink(record)


def _end_leftovers(record: Any) -> None:
    """End the processes of a recorded run: its leader, and whatever carries its marker."""
    if not isinstance(record, dict) or record.get("boot") != boot_id():
        return
    table = process_table()
    left = [
        process for process in table.values() if environment_of(process.pid).get(MARKER_VARIABLE) == record["marker"]
    ]
    leader = table.get(record["pid"])
    if leader is not None and leader.start == record["start"] and is_alive(*leader.key):
        left.append(leader)
    end_processes([process for process in left if process.alive and process.pid != os.getpid()], grace=1.0)


def _end_children() -> bool:
    """End all that descends from this process, however it was detached; whether nothing of it is left.

    The reaper of its orphans has no descendants when it has no child: only else it looks at all processes.
    """
    for _ in range(20):
        if not _reap():
            return True
        left = descendants(process_table(), os.getpid())
        if not left:
            return True
        end_processes(left, grace=0.5)
    return False


def _reap() -> bool:
    """Whether there are children that have not ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


class _Watch:
    """One run of one worker."""

    def __init__(self, job: Job, connection: socket.socket, marker: str) -> None:
        self.job = job
        self.connection = connection
        self.marker = marker
        self.begin = time.monotonic()
        self.result: Result | None = None
        self.pending = bytearray()

    def run(self) -> Result:
        """Until the worker ended, or its time is over, or somebody wants it to end."""
        log = open_log(self.job.log)
        reading, writing = os.pipe()
        leader = os.getpid()
        pid = os.fork()
        if pid == 0:
            work(self.job, writing, log, self.marker, leader)
        os.close(writing)
        os.close(log)
        try:
            self._relay(reading)
        except _Ended as ended:
            return self._ended(ended)
        finally:
            os.close(reading)
        if self.result is None:
            return self._with_tail(self._died(_end_of(pid)))
        wait_gone([(pid, start_time(pid))], EXIT_SECONDS)
        return self._with_tail(self.result)

    def _relay(self, reading: int) -> None:
        poll = select.poll()
        poll.register(reading, select.POLLIN)
        poll.register(self.connection, select.POLLIN)
        while True:
            for handle, _ in poll.poll(self._rest()):
                if handle == self.connection.fileno():
                    self._asked()
                elif not self._read(reading) or self.result is not None:
                    return

    def _rest(self) -> float | None:
        """Milliseconds until the time limit."""
        if self.job.time_limit is None:
            return None
        rest = self.begin + self.job.time_limit - time.monotonic()
        if rest <= 0:
            raise _Ended("timeout", f"The run was ended: it took longer than {self.job.time_limit:.0f} s.")
        return rest * 1000 + 1

    def _asked(self) -> None:
        """Any word on the socket, and its end, mean: stop."""
        raise _Ended("interrupted", "The run was stopped on request.")

    def _read(self, reading: int) -> bool:
        data = os.read(reading, 65536)
        self.pending += data
        if len(self.pending) > MESSAGE_LIMIT:
            raise _Ended("failed", "The run told more than the node takes.")
        *lines, rest = self.pending.split(b"\n")
        self.pending = bytearray(rest)
        for line in lines:
            self._told(bytes(line))
        return bool(data)

    def _told(self, line: bytes) -> None:
        try:
            message = json.loads(line)
            if "result" in message:
                self.result = Result.from_data(message["result"])
            else:
                _send(self.connection, {"progress": dict(message["progress"])})
        except (ValueError, TypeError, KeyError, AttributeError):
            raise _Ended("failed", "The run told something that is no result.") from None

    def _died(self, how: str) -> Result:
        sentence = f"The run was interrupted: its process {how}."
        return self._failure("interrupted", sentence)

    def _ended(self, ended: _Ended) -> Result:
        _end_children()
        return self._with_tail(self._failure(ended.outcome, ended.sentence))

    def _failure(self, outcome: Any, sentence: str) -> Result:
        error = BuildFailed(sentence, reference=f"run-{outcome}", context={"log": self.job.log})
        return Result(outcome, sentence, error.as_data(), time.monotonic() - self.begin)

    def _with_tail(self, result: Result) -> Result:
        """The worker's user may not be able to read the log of the node."""
        context = (result.error or {}).get("context")
        if isinstance(context, dict) and context.get("log") == self.job.log:
            context["tail"] = last_lines(self.job.log)
        return result


def open_log(path: str) -> int:
    """The log of a run, the former one kept as ``<path>.1``; in a directory of the node's."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.replace(path, f"{path}.1")
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    except OSError as error:
        known = machine_error(error)
        if known.reference != "disk-full":
            known = MachineError(f"The log {path} cannot be opened: {error.strerror}.", reference="cannot-log")
        known.context["log"] = path
        raise known from error


def _end_of(pid: int) -> str:
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"


def _receive_line(connection: socket.socket) -> bytes:
    data = bytearray()
    while not data.endswith(b"\n"):
        more = connection.recv(1024 * 1024)
        if not more:
            raise OSError("closed")
        data += more
    return bytes(data)


def _send(connection: socket.socket, message: dict[str, Any]) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")
