"""Starting a service so that it cannot exist without being recorded.

The child makes itself the leader of a session that can be signalled, says so, and waits until its pid and start time
are on record.  When the supervisor dies before that, the child reads the end of the file and ends without having run
anything.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable

from slapos.node.supervisor.interface import ServiceSpec
from slapos.node.supervisor.logs import open_log
from slapos.system.proctable import start_time
from slapos.system.users import Identity, identity

MARK = "HYPEROPENX_SERVICE"
_NOT_SPAWNED = 127
_GO = b"1"


def mark_prefix(store: str) -> str:
    """What the marks of the services of one node begin with; ``store`` keeps their records."""
    return os.path.realpath(store) + "/"


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
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                pid = os.fork()
                if pid == 0:
                    _child(spec, mark, who, (ours, theirs, log))
            ours.recv(1)
            start = start_time(pid)
            record(pid, start)
            ours.send(_GO)
    finally:
        os.close(log)
    return pid, start


def _child(
    spec: ServiceSpec, mark: str, who: Identity | None, handles: tuple[socket.socket, socket.socket, int]
) -> None:
    """Never returns: becomes the program, or ends with status 127 and a line in the log."""
    parents, gate, log = handles
    try:
        parents.close()
        _default_signals()
        os.setsid()
        gate.send(_GO)
        if gate.recv(1) != _GO:
            os._exit(_NOT_SPAWNED)
        _descriptors(log)
        _become(who)
        os.chdir(spec.directory)
        os.umask(spec.umask)
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
    """Before anybody may signal the child: the supervisor's handlers would swallow a TERM.

    An ignored signal would stay ignored over exec, and a shell could then not even trap it.
    """
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) not in {signal.SIG_DFL, None}:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
