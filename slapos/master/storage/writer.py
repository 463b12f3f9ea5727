"""The one thread of a process that writes: group commit.

Writes that wait together share one transaction (:mod:`slapos.master.storage.jobs`).  When one of them fails, the group
is run again with a savepoint around each, and the failing one is rolled back alone.  Results are handed out after the
commit.  When the commit itself fails, every member of the group fails: none was acknowledged.

With PostgreSQL, other processes write too.  Two groups that lock the same rows in opposite order would deadlock, so
groups (and only groups) take an advisory lock; single writes run beside them with ordinary row locks.  What still
collides (deadlock, serialisation, a unique index that another process filled first) is tried again, alone.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

from sqlalchemy import TextClause, text
from sqlalchemy.exc import DBAPIError, OperationalError

from slapos.master.storage import postgresql, sqlite
from slapos.master.storage.jobs import Job, Jobs, settle
from slapos.master.storage.prepared import prepared
from slapos.master.storage.transaction import Changes, Transaction, record_changes
from slapos.model.errors import InternalError, Unavailable

logger = logging.getLogger(__name__)
T = TypeVar("T")

ATTEMPTS = 5


@dataclass(frozen=True)
class Committed:
    """What one commit changed."""

    generation: int
    subjects: frozenset[str]


class _Kept:
    """Keeps what was raised inside ``with``: it belongs to the caller who waits in another thread."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def __enter__(self) -> _Kept:
        self.error = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.error = error
        return True


class Writer:
    """Runs functions one after the other, in groups; results come after the commit."""

    def __init__(self, writers: sqlite.Writers | postgresql.Writers, *, on_commit: Callable[[Committed], None]) -> None:
        self.commits = 0
        self._writers = writers
        self._on_commit = on_commit
        self._jobs = Jobs()
        self._thread = threading.Thread(target=self._run, name="storage-writer", daemon=True)
        self._thread.start()

    def write(self, function: Callable[[Transaction], T]) -> T:
        """The result of ``function``; blocks until the commit."""
        if threading.current_thread() is self._thread:
            raise InternalError("A write was started inside a write.", reference="nested-write")
        future: Future[T] = Future()
        self._jobs.put(Job(function, future))
        return future.result()

    def submit(self, function: Callable[[Transaction], T]) -> asyncio.Future[T]:
        """As :meth:`write`, for who runs on an event loop; what was submitted is done even when nobody waits for it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put(Job(function, future, loop))
        return future

    def close(self) -> None:
        """Ends when all that was submitted is done."""
        self._jobs.close()
        self._thread.join()

    def _run(self) -> None:
        while group := self._jobs.group():
            self._commit(group)

    def _commit(self, group: list[Job]) -> None:
        """Runs the group; what only failed because of others is tried again, each job alone."""
        for job in self._attempt(group):
            for _ in range(ATTEMPTS):
                if not self._attempt([job]):
                    break
            else:
                job.error = _busy()
                settle([job])

    def _attempt(self, group: list[Job]) -> list[Job]:
        """One transaction; hands out what is settled, returns the jobs to try again, each alone."""
        committed: Committed | None = None
        with _Kept() as whole:
            committed = self._transaction(group)
        if committed is not None:
            return self._settle(group, committed)
        if isinstance(whole.error, DBAPIError) and (len(group) > 1 or postgresql.is_conflict(whole.error)):
            return group
        for job in group:
            job.error = _for_caller(whole.error)
        settle(group)
        return []

    def _settle(self, group: list[Job], committed: Committed) -> list[Job]:
        again = [job for job in group if isinstance(job.error, DBAPIError) and postgresql.is_conflict(job.error)]
        settle(job for job in group if job not in again)
        if committed.subjects:
            self._on_commit(committed)
        return again

    def _transaction(self, group: list[Job]) -> Committed:
        """Without savepoints at first: they are needed seldom, and cost more than the writes of many a function."""
        try:
            return self._run_together(group, guarded=False)
        except _OneFailed:
            return self._run_together(group, guarded=True)

    def _run_together(self, group: list[Job], *, guarded: bool) -> Committed:
        changes = Changes()
        try:
            with self._writers.begin() as own:
                if guarded:
                    _run_guarded(group, own, changes)
                else:
                    _run_all(self._members(group, own), own, changes, group)
                generation = record_changes(own, changes)
                if changes:
                    postgresql.notify(own.connection, generation, changes.subjects)
        except _NothingLeft:
            return Committed(0, frozenset())
        self.commits += 1
        return Committed(generation, frozenset(changes.subjects))

    def _members(self, group: list[Job], own: Transaction) -> Iterable[Job]:
        """Those that run together; others join them where that cannot lock what another process waits for."""
        if own.dialect.name != "postgresql":
            return self._jobs.growing(group)
        if len(group) == 1:
            return group
        own.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": postgresql.GROUP_LOCK})
        return self._jobs.growing(group)


class _NothingLeft(Exception):
    """The only function of a transaction failed."""


class _OneFailed(Exception):
    """One function of several failed, and what it did cannot be undone alone: the whole group is to be run again."""


def _run_all(members: Iterable[Job], own: Transaction, changes: Changes, group: list[Job]) -> None:
    for job in members:
        _run_alone(job, own.sibling(), changes)
        if job.error is not None:
            raise _OneFailed if len(group) > 1 else _NothingLeft


def _run_guarded(group: list[Job], own: Transaction, changes: Changes) -> None:
    """Each in a savepoint: the error of one stays with it, and what it did is undone."""
    for job in group:
        transaction = own.sibling()
        _savepoint.change(transaction)
        _run_alone(job, transaction, changes)
        if job.error is not None:
            _undo.change(transaction)
        _release.change(transaction)


def _run_alone(job: Job, transaction: Transaction, changes: Changes) -> None:
    with _Kept() as kept:
        job.result = job.function(transaction)
    job.error = kept.error
    if kept.error is None:
        changes.merge(transaction.changes)
    elif isinstance(kept.error, OperationalError):
        raise kept.error  # the whole transaction is lost: disk full, deadlock, connection gone


@prepared
def _savepoint() -> TextClause:
    return text("SAVEPOINT one_of_group")


@prepared
def _undo() -> TextClause:
    return text("ROLLBACK TO SAVEPOINT one_of_group")


@prepared
def _release() -> TextClause:
    return text("RELEASE SAVEPOINT one_of_group")


def _for_caller(error: BaseException | None) -> BaseException:
    if isinstance(error, DBAPIError):
        return _unavailable(error)
    return error or InternalError("A transaction ended without a result.")


def _busy() -> Unavailable:
    return Unavailable(
        f"Other masters changed the same things {ATTEMPTS} times in a row; nothing was changed.",
        reference="database-busy",
        hint="Send the same request again in a moment.",
    )


def _unavailable(error: DBAPIError) -> Unavailable:
    return Unavailable(
        f"The master's database could not take the change, and nothing was changed: {error.orig}.",
        reference="database-unavailable",
        context={"cause": str(error.orig)},
        hint="Look at the disk space and at the database server of the master, then send the same request again.",
    )
