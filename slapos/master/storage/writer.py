"""The one thread of a process that writes: group commit.

A disk may do a hundred syncs per second; requests come in thousands.  Writes that wait together therefore share one
transaction.  When one of them fails, the group is run again with a savepoint around each, and the failing one is rolled
back alone.  Results are handed out after the commit.  When the commit itself fails, every member of the group fails:
none was acknowledged.

With PostgreSQL, other processes write too.  Two groups that lock the same rows in opposite order would deadlock, so
groups (and only groups) take an advisory lock; single writes run beside them with ordinary row locks.  What still
collides (deadlock, serialisation, a unique index that another process filled first) is tried again, alone.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeVar

from sqlalchemy import TextClause, text
from sqlalchemy.exc import DBAPIError, OperationalError

from slapos.master.storage import postgresql, sqlite
from slapos.master.storage.prepared import prepared
from slapos.master.storage.transaction import Changes, Transaction, record_changes
from slapos.model.errors import InternalError, Unavailable

logger = logging.getLogger(__name__)
T = TypeVar("T")

GROUP_LIMIT = 128  # writes per transaction: bounds the wait of the first one
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


@dataclass
class _Job:
    function: Callable[[Transaction], Any]
    future: Future[Any]
    kept: _Kept = field(default_factory=_Kept)
    result: Any = None


class Writer:
    """Runs functions one after the other, in groups; :meth:`write` blocks until the commit."""

    def __init__(self, writers: sqlite.Writers | postgresql.Writers, *, on_commit: Callable[[Committed], None]) -> None:
        self.commits = 0
        self._writers = writers
        self._on_commit = on_commit
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="storage-writer", daemon=True)
        self._thread.start()

    def write(self, function: Callable[[Transaction], T]) -> T:
        if threading.current_thread() is self._thread:
            raise InternalError("A write was started inside a write.", reference="nested-write")
        return self.submit(function).result()

    def submit(self, function: Callable[[Transaction], T]) -> Future[T]:
        """As :meth:`write`, for who does not wait here; what was submitted cannot be cancelled."""
        job = _Job(function, Future())
        job.future.set_running_or_notify_cancel()
        with self._lock:
            if self._closed:
                raise _closed()
            self._jobs.put(job)
        return job.future

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        open_ = True
        while open_:
            group, open_ = self._next_group()
            if group:
                self._commit(group)

    def _next_group(self) -> tuple[list[_Job], bool]:
        """The jobs that wait now, at least one; False when the writer is closed behind them."""
        group: list[_Job] = []
        job = self._jobs.get()
        while job is not None:
            group.append(job)
            if len(group) >= GROUP_LIMIT:
                return group, True
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return group, True
        return group, False

    def _commit(self, group: list[_Job]) -> None:
        """Runs the group; what only failed because of others is tried again, each job alone."""
        again = self._attempt(group)
        for job in again:
            for _ in range(ATTEMPTS):
                if not self._attempt([job]):
                    break
            else:
                job.future.set_exception(_busy())

    def _attempt(self, group: list[_Job]) -> list[_Job]:
        """One transaction; resolves the futures of what is settled, returns the jobs to try again, each alone."""
        committed: Committed | None = None
        with _Kept() as whole:
            committed = self._transaction(group)
        if committed is not None:
            return self._settle(group, committed)
        if isinstance(whole.error, DBAPIError) and (len(group) > 1 or postgresql.is_conflict(whole.error)):
            return group
        for job in group:
            job.future.set_exception(_for_caller(whole.error))
        return []

    def _settle(self, group: list[_Job], committed: Committed) -> list[_Job]:
        again: list[_Job] = []
        for job in group:
            error = job.kept.error
            if error is None:
                job.future.set_result(job.result)
            elif isinstance(error, DBAPIError) and postgresql.is_conflict(error):
                again.append(job)
            else:
                job.future.set_exception(error)
        if committed.subjects:
            self._on_commit(committed)
        return again

    def _transaction(self, group: list[_Job]) -> Committed:
        """Without savepoints at first: they are needed seldom, and cost more than the writes of many a function."""
        try:
            return self._run_together(group, guarded=False)
        except _OneFailed:
            return self._run_together(group, guarded=True)

    def _run_together(self, group: list[_Job], *, guarded: bool) -> Committed:
        changes = Changes()
        try:
            with self._writers.begin() as own:
                _run_all(group, own, changes, guarded)
                generation = record_changes(own, changes)
                if changes:
                    postgresql.notify(own.connection, generation, changes.subjects)
        except _NothingLeft:
            return Committed(0, frozenset())
        self.commits += 1
        return Committed(generation, frozenset(changes.subjects))


class _NothingLeft(Exception):
    """The only function of a transaction failed."""


class _OneFailed(Exception):
    """One function of several failed, and what it did cannot be undone alone: the whole group is to be run again."""


def _run_all(group: list[_Job], own: Transaction, changes: Changes, guarded: bool) -> None:
    if len(group) == 1:
        _run_alone(group[0], own.sibling(), changes)
        if group[0].kept.error is not None:
            raise _NothingLeft
        return
    if own.dialect.name == "postgresql":
        own.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": postgresql.GROUP_LOCK})
    for job in group:
        if guarded:
            _run_in_savepoint(job, own.sibling(), changes)
            continue
        _run_alone(job, own.sibling(), changes)
        if job.kept.error is not None:
            raise _OneFailed


def _run_in_savepoint(job: _Job, transaction: Transaction, changes: Changes) -> None:
    """Runs one function of several; its own error stays with the job, and what it did is undone."""
    _savepoint.change(transaction)
    _run_alone(job, transaction, changes)
    if job.kept.error is not None:
        _undo.change(transaction)
    _release.change(transaction)


def _run_alone(job: _Job, transaction: Transaction, changes: Changes) -> None:
    with job.kept:
        job.result = job.function(transaction)
    error = job.kept.error
    if error is None:
        changes.merge(transaction.changes)
    elif isinstance(error, OperationalError):
        raise error  # the whole transaction is lost: disk full, deadlock, connection gone


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


def _closed() -> Unavailable:
    return Unavailable(
        "The master is stopping; nothing was changed.",
        reference="master-stopping",
        hint="Send the same request again in a moment.",
    )


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
