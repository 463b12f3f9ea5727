"""What may block says so first, and is then not done on the event loop (:mod:`slapos.master.desk`)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_here = threading.local()


class WouldBlock(BaseException):
    """What was begun on the event loop is to be begun again in a thread.

    No :class:`Exception`, as ``asyncio.CancelledError`` is none: a library that calls us back may take every
    ``Exception`` for a failure of ours and report it as something else, as ``referencing`` does.
    """


def may_block() -> None:
    """To be called before anything that may block: raises :class:`WouldBlock` on the event loop.

    Nothing may have been changed before.
    """
    if getattr(_here, "on_loop", False):
        raise WouldBlock


def without_blocking(function: Callable[[], T]) -> T:
    """The result of ``function``; :class:`WouldBlock` as soon as it would block."""
    _here.on_loop = True
    try:
        return function()
    finally:
        _here.on_loop = False
