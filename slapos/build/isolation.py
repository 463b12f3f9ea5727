"""What a process of the warm server does to itself before it works for somebody."""

from __future__ import annotations

import ctypes
import os
import random
import resource
import signal

from slapos.build.job import Job
from slapos.build.run import clean_environment
from slapos.model.errors import MachineError
from slapos.system.users import identity

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)

MARKER_VARIABLE = "HYPEROPENX_RUN"
"""Set in each process of a run, so that what a killed run left is found."""


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def die_with(parent: int, number: int) -> None:
    """Receive the signal ``number`` when ``parent``, the process that forked this one, dies; also if it is dead now."""
    _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent dies, so that none gets lost."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def close_descriptors(keep: set[int]) -> None:
    """Close all descriptors above stderr but ``keep``."""
    last = 3
    for handle in sorted(keep):
        os.closerange(last, handle)
        last = handle + 1
    os.closerange(last, 65536)


def default_signals() -> None:
    """Forget the handlers that were inherited."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def become(job: Job, marker: str) -> None:
    """Take the user, environment, umask, limits and directory of a job."""
    if job.user is not None:
        _switch_user(job.user)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ.clear()
    os.environ.update(clean_environment(job, job.directory) | {MARKER_VARIABLE: marker})
    os.umask(job.umask)
    random.seed()
    try:
        os.chdir(job.directory)
    except OSError as error:
        raise MachineError(
            f"{job.directory} cannot be entered: {error.strerror}.",
            reference="unusable-directory",
            context={"directory": job.directory, "user": job.user or ""},
        ) from error


def _switch_user(name: str) -> None:
    user = identity(name)
    if (os.geteuid(), os.getegid()) == (user.uid, user.gid) and user.uid != 0:
        return
    try:
        os.setgroups(user.groups)
        os.setgid(user.gid)
        os.setuid(user.uid)
    except PermissionError as error:
        raise MachineError(
            f"This process may not become the user {name}.",
            reference="cannot-switch-user",
            context={"user": name},
            hint="Start the node as root, or configure it to use no users of its own.",
        ) from error
