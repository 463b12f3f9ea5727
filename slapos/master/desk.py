"""Where the work of a request is done: at once on the event loop, in a thread when it may block, or by the writer.

Handing work to another thread and back costs more than most requests take.  So a request is begun on the event loop;
whatever may block there says so first (:func:`slapos.master.storage.blocking.may_block`), and the same work is begun
again in a thread.  What is to be written is handed to the thread that writes; only the request itself waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from slapos.master.storage.blocking import WouldBlock, without_blocking
from slapos.master.storage.database import Storage
from slapos.master.storage.transaction import Transaction

T = TypeVar("T")


@dataclass(frozen=True)
class Done(Generic[T]):
    """The work is done."""

    result: T


@dataclass(frozen=True)
class ToWrite(Generic[T]):
    """What is left is to be done in a writing transaction."""

    function: Callable[[Transaction], T]


class Desk:
    """``pool`` are the threads in which may block what may not on the event loop."""

    def __init__(self, *, storage: Storage, pool: ThreadPoolExecutor) -> None:
        self._storage = storage
        self._pool = pool

    async def perform(self, begin: Callable[[], Done[T] | ToWrite[T]]) -> T:
        """The result of what ``begin`` does or leaves to be written; ``begin`` may run twice."""
        try:
            begun = without_blocking(begin)
        except WouldBlock:
            begun = await asyncio.get_running_loop().run_in_executor(self._pool, begin)
        if isinstance(begun, Done):
            return begun.result
        return await self._storage.submit(begun.function)
