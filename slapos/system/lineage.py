"""What a process settles about its own ancestors and descendants: who ends with whom, and who inherits orphans.

Linux only (``prctl(2)``).
"""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


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
