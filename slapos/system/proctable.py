"""The processes of the machine, read from ``/proc``, and signals that reach the process meant or none.

A process is told apart by pid **and** start time: a pid alone may meanwhile belong to somebody else.
Source of the fields: ``proc(5)``, ``/proc/pid/stat``.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

#: Letters of ``proc(5)`` for a process that ended and that nobody waited for.
DEAD_STATES = frozenset("ZXx")
_POLL = 0.02


@dataclass(frozen=True)
class Process:
    """``start`` is in clock ticks since boot; ``uid`` is the effective user id; ``state`` one letter of proc(5).

    ``terminal``: the device number of its controlling terminal, 0 for none.
    """

    pid: int
    start: int
    ppid: int
    pgid: int
    session: int
    uid: int
    state: str
    name: str
    terminal: int = 0

    @property
    def alive(self) -> bool:
        """A zombie is not alive: it runs nothing and holds nothing."""
        return self.state not in DEAD_STATES

    @property
    def key(self) -> tuple[int, int]:
        """What tells it apart for ever (within one boot)."""
        return self.pid, self.start


def parse_stat(text: str, uid: int) -> Process:
    """One line of ``/proc/<pid>/stat``; the name may hold spaces and parentheses."""
    pid, _, rest = text.partition(" (")
    name, _, tail = rest.rpartition(") ")
    fields = tail.split()
    return Process(
        pid=int(pid),
        start=int(fields[19]),
        ppid=int(fields[1]),
        pgid=int(fields[2]),
        session=int(fields[3]),
        uid=uid,
        state=fields[0],
        name=name,
        terminal=int(fields[4]),
    )


def find_process(pid: int) -> Process | None:
    """The process with this pid now, or None."""
    found = stat_line(pid)
    return None if found is None else parse_stat(*found)


def stat_line(pid: int) -> tuple[str, int] | None:
    """``/proc/<pid>/stat`` and the uid of its user; None when there is no such process."""
    try:
        # the directory, not the files in it, belongs to the user even when the process cannot be dumped
        uid = os.stat(f"/proc/{pid}").st_uid
        handle = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(handle, 4096).decode("utf-8", "replace"), uid
        finally:
            os.close(handle)
    except (FileNotFoundError, ProcessLookupError):
        return None


def cpu_ticks(pid: int) -> int:
    """Processor time of the process and of its children that it waited for, in clock ticks; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            return sum(map(int, stream.read().rpartition(") ")[2].split()[11:15]))
    except OSError:
        return 0


def process_table() -> dict[int, Process]:
    """All processes of the machine, dead ones that nobody waited for included."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (process := find_process(int(name))) is not None:
            found[process.pid] = process
    return found


def is_alive(pid: int, start: int) -> bool:
    """Whether that very process still runs."""
    process = find_process(pid)
    return process is not None and process.start == start and process.alive


def start_time(pid: int) -> int:
    """In clock ticks since boot; :class:`ProcessLookupError` when there is no such process."""
    process = find_process(pid)
    if process is None:
        raise ProcessLookupError(pid)
    return process.start


def boot_id() -> str:
    """Changes at each start of the machine: recorded pids of another boot mean nothing."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
        return stream.read().strip()


def environment_of(pid: int) -> dict[str, str]:
    """What the process was started with; empty when it is gone or not ours to look at."""
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as stream:
            data = stream.readall()
    except OSError:
        return {}
    pairs = (item.partition(b"=") for item in data.split(b"\0") if item)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def directory_of(pid: int) -> str:
    """Its working directory; empty when it is gone or not ours to look at."""
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


def children_of(pid: int) -> tuple[Process, ...]:
    """Those that the process itself started, without a look at all others; see ``proc(5)``."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as stream:
            found = [find_process(int(child)) for child in stream.read().split()]
    except OSError:
        return ()
    return tuple(process for process in found if process is not None)


def descendants(table: Mapping[int, Process], pid: int) -> tuple[Process, ...]:
    """Children of ``pid``, their children, and so on, alive ones only."""
    children: dict[int, list[Process]] = {}
    for process in table.values():
        children.setdefault(process.ppid, []).append(process)
    found: list[Process] = []
    todo = [pid]
    while todo:
        for child in children.get(todo.pop(), ()):
            todo.append(child.pid)
            if child.alive:
                found.append(child)
    return tuple(found)


def tree(table: Mapping[int, Process], pid: int) -> tuple[Process, ...]:
    """``pid``, its descendants, and what else belongs to the session that it leads."""
    found = {process.pid: process for process in descendants(table, pid)}
    for process in table.values():
        if process.alive and pid in {process.session, process.pid}:
            found[process.pid] = process
    return tuple(found.values())


def of_user(table: Mapping[int, Process], uid: int) -> tuple[Process, ...]:
    """Processes alive of a user."""
    return tuple(process for process in table.values() if process.uid == uid and process.alive)


def send_signal(pid: int, start: int, number: int) -> bool:
    """Signal that very process; whether it was there.  Safe against a pid that was given away meanwhile."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:  # gone, or (kernels before 6.9) a thread
        return False
    try:
        if not is_alive(pid, start):
            return False
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def wait_gone(keys: Iterable[tuple[int, int]], timeout: float) -> frozenset[tuple[int, int]]:
    """Those of the processes (pid, start) still alive after at most ``timeout`` seconds; returns as soon as none is."""
    deadline = time.monotonic() + timeout
    left = frozenset(key for key in keys if is_alive(*key))
    while left and (rest := deadline - time.monotonic()) > 0:
        wait_one(min(left)[0], min(rest, _POLL * 10))
        left = frozenset(key for key in left if is_alive(*key))
    return left


def wait_one(pid: int, seconds: float) -> None:
    """Until the process ended with all its threads, and so long at most."""
    with contextlib.suppress(OSError):
        handle = os.pidfd_open(pid)
        try:
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            poll.poll(seconds * 1000)
        finally:
            os.close(handle)


def end_processes(processes: Iterable[Process], grace: float = 5.0) -> frozenset[tuple[int, int]]:
    """TERM, and after ``grace`` seconds KILL; the keys of what is alive even so (unkillable, or not ours to end)."""
    keys = {process.key for process in processes}
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        for key in keys:
            with contextlib.suppress(PermissionError):
                send_signal(*key, number)
        keys = set(wait_gone(keys, seconds))
        if not keys:
            break
    return frozenset(keys)


def end_tree(pid: int, grace: float = 5.0) -> frozenset[tuple[int, int]]:
    """End ``pid`` with its descendants and its session, those started meanwhile included; what is alive even so."""
    known: dict[int, Process] = {}
    left: frozenset[tuple[int, int]] = frozenset()
    for _ in range(20):
        known.update({process.pid: process for process in tree(process_table(), pid)})
        alive = [process for process in known.values() if is_alive(*process.key)]
        if not alive:
            return frozenset()
        left = end_processes(alive, grace)
        grace = 0.2  # whoever is born during the stop had its warning
    return left
