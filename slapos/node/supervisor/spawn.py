"""Starting a service so that it cannot exist without being recorded.

The child waits at a gate until its pid and start time are on record; when the supervisor dies before that, the child
reads the end of the file and ends without having run anything.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable

from slapos.node.supervisor.interface import ServiceSpec
from slapos.node.supervisor.logs import open_log
from slapos.system.proctable import start_time
from slapos.system.users import Identity, identity

MARK = "HYPEROPENX_SERVICE"
_NOT_SPAWNED = 127


def resolve(user: str | None) -> Identity | None:
    """As whom to run; None: as ourselves.  :class:`~slapos.model.errors.NotFound` for an unknown user."""
    if user is None:
        return None
    found = identity(user)
    return None if found.uid == os.geteuid() else found


def spawn(spec: ServiceSpec, mark: str, record: Callable[[int, int], None]) -> tuple[int, int]:
    """Start ``spec``; (pid, start time).  ``record`` is called with them before the program runs.

    When ``record`` raises, the child ends without having run and the error is passed on.
    :class:`OSError` and :class:`~slapos.model.errors.HyperopenxError` when it cannot be started.
    """
    who = resolve(spec.user)
    log = open_log(spec.log, None if who is None else (who.uid, who.gid))
    try:
        gate, opener = os.pipe()
        try:
            pid = os.fork()
            if pid == 0:
                os.close(opener)
                _child(spec, mark, who, (gate, log))
        finally:
            os.close(gate)
        try:
            start = start_time(pid)
            record(pid, start)
            os.write(opener, b"1")
        finally:
            os.close(opener)
    finally:
        os.close(log)
    return pid, start


def _child(spec: ServiceSpec, mark: str, who: Identity | None, handles: tuple[int, int]) -> None:
    """Never returns: becomes the program, or ends with status 127 and a line in the log."""
    gate, log = handles
    try:
        signal.set_wakeup_fd(-1)
        if os.read(gate, 1) != b"1":
            os._exit(_NOT_SPAWNED)
        os.setsid()
        _descriptors(log)
        _become(who)
        os.chdir(spec.directory)
        os.umask(spec.umask)
        _default_signals()
        environment = {**spec.environment, MARK: mark}
        os.execve(spec.command[0], list(spec.command), environment)
    except (OSError, ValueError) as error:
        with contextlib.suppress(OSError):
            os.write(2, f"{spec.key} was not started: {error}\n".encode("utf-8", "replace"))
    finally:
        os._exit(_NOT_SPAWNED)


def _descriptors(log: int) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))


def _become(who: Identity | None) -> None:
    if who is None:
        return
    os.setgroups(list(who.groups))
    os.setresgid(who.gid, who.gid, who.gid)
    os.setresuid(who.uid, who.uid, who.uid)


def _default_signals() -> None:
    """An ignored signal stays ignored over exec, and a shell could then not even trap it."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
