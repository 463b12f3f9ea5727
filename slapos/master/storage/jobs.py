"""What waits to be written, and who waits for it.

A disk may do a hundred syncs per second; requests come in thousands.  Writes that wait together therefore share one
transaction, and what comes while they run joins them.  Clients that wait for an answer send their next request after
it, so a group is followed by one of the same size, but not at the same instant: while a group is smaller than the one
before, its writer lingers a moment for the next (as PostgreSQL does with ``commit_delay``).  Alone, nobody waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from slapos.master.storage.transaction import Transaction
from slapos.model.errors import Unavailable

GROUP_LIMIT = 128  # writes per transaction: bounds the wait of the first one
LINGER = 0.001  # seconds: about as long as a commit takes, and as reading a request


@dataclass(eq=False)  # each is only itself
class Job:
    """One function to be run in a writing transaction; ``future`` is one of ``loop``, or one for a thread.

    ``result`` and ``error`` are what came of it, handed out by :func:`settle`.
    """

    function: Callable[[Transaction], Any]
    future: Future[Any] | asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop | None = None
    result: Any = None
    error: BaseException | None = None


def settle(jobs: Iterable[Job]) -> None:
    """Hand out what came of ``jobs``; each event loop is woken once for all of its own."""
    of_loops: dict[asyncio.AbstractEventLoop, list[Job]] = {}
    for job in jobs:
        if job.loop is None:
            _hand_out(job)
        else:
            of_loops.setdefault(job.loop, []).append(job)
    for loop, settled in of_loops.items():
        with contextlib.suppress(RuntimeError):  # closed: nobody waits there any more
            loop.call_soon_threadsafe(_hand_out_all, settled)


def _hand_out_all(jobs: list[Job]) -> None:
    for job in jobs:
        _hand_out(job)


def _hand_out(job: Job) -> None:
    if job.future.cancelled():
        return  # its client went away; what it asked for is done all the same
    if job.error is None:
        job.future.set_result(job.result)
    else:
        job.future.set_exception(job.error)


class Jobs:
    """The queue of one writer: any thread puts, one takes."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._ended = False
        self._expected = 1

    def put(self, job: Job) -> None:
        """:class:`Unavailable` ``master-stopping`` after :meth:`close`."""
        with self._lock:
            if self._closed:
                raise _closed()
            self._queue.put(job)

    def close(self) -> None:
        """What was put is still to be done."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)

    def group(self) -> list[Job]:
        """Those that wait now; waits for one when there is none.  Empty when closed and all are taken."""
        group: list[Job] = []
        if not self._ended:
            first = self._queue.get()
            self._ended = first is None
            group = [first] if first is not None else []
        while 0 < len(group) < GROUP_LIMIT and (another := self._next(0.0)) is not None:
            group.append(another)
        return group

    def growing(self, group: list[Job]) -> Iterator[Job]:
        """Each of ``group``, and each that comes meanwhile, which is appended to it."""
        position = 0
        while position < len(group):
            yield group[position]
            position += 1
            if position == len(group) < GROUP_LIMIT:
                another = self._next(LINGER if position < self._expected else 0.0)
                group += [another] if another is not None else []
        self._expected = len(group)

    def _next(self, seconds: float) -> Job | None:
        if self._ended:
            return None
        try:
            job = self._queue.get(timeout=seconds) if seconds else self._queue.get_nowait()
        except queue.Empty:
            return None
        self._ended = job is None
        return job


def _closed() -> Unavailable:
    return Unavailable(
        "The master is stopping; nothing was changed.",
        reference="master-stopping",
        hint="Send the same request again in a moment.",
    )
