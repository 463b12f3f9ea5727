"""Opening the master's database, reading and writing it.

``sqlite:///path`` is the embedded default, ``postgresql+psycopg://…`` serves several master processes.  On both,
one thread per process writes (:mod:`slapos.master.storage.writer`): the writes that are waiting together run in
one transaction, and a failing one is undone alone; every caller returns only after the commit, so that what was
acknowledged is on disk whatever happens next.  Readers have connections of their own and see one snapshot.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, OperationalError

from slapos.master.storage import backups, migrate, postgresql, sqlite
from slapos.master.storage.blocking import may_block
from slapos.master.storage.transaction import Transaction, current_generation
from slapos.master.storage.writer import Committed, Writer
from slapos.model.errors import InputError, Unavailable

logger = logging.getLogger(__name__)
T = TypeVar("T")
Callback = Callable[[int, frozenset[str]], None]


class Storage:
    """Thread-safe and blocking.  Made by :func:`open_storage`; end it with :meth:`close`."""

    def __init__(
        self, *, url: str, readers: sqlite.Readers | postgresql.Readers, writers: sqlite.Writers | postgresql.Writers
    ) -> None:
        self.url = url
        self._readers = readers
        self._writers = writers
        self._lock = threading.Lock()
        self._callbacks: list[Callback] = []
        self._writer = Writer(writers, on_commit=self._committed)
        self._listener = postgresql.Listener(url, callback=self._notify) if postgresql.is_postgresql(url) else None

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._writers.engine.dialect.name

    @property
    def commits(self) -> int:
        """How many transactions were committed: with group commit, fewer than there were writes."""
        return self._writer.commits

    def write(self, function: Callable[[Transaction], T]) -> T:
        """The result of ``function``, once durable; when it raises, nothing of it remains and others go on.

        ``function`` may run more than once (a conflict between master processes): no effects outside the database.
        Raises :class:`Unavailable` when the database cannot take it (disk full, server down, closed).
        """
        may_block()
        return self._writer.write(function)

    def submit(self, function: Callable[[Transaction], T]) -> asyncio.Future[T]:
        """As :meth:`write`, for who runs on an event loop; what was submitted is done even when nobody waits for it."""
        return self._writer.submit(function)

    def read(self, function: Callable[[Transaction], T]) -> T:
        """The result of ``function`` on one snapshot; :class:`WouldWrite` when it would change something."""
        try:
            return self._readers.read(function)
        except OperationalError as error:
            raise unavailable(error) from error

    def generation(self) -> int:
        """The counter of committed changes."""
        return self.read(current_generation)

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Calls ``callback(generation, subjects)`` after each commit that changed something; returns how to stop it.

        Subjects are ``SOFTINST-<n>`` (with the root and the requester concerned) and ``COMP-<n>``.  An empty set
        means that changes may have been missed: look at everything.  Callbacks run in the storage's threads: short,
        and no storage call in them.
        """
        with self._lock:
            self._callbacks.append(callback)

        def unsubscribe() -> None:
            with self._lock:
                if callback in self._callbacks:
                    self._callbacks.remove(callback)

        return unsubscribe

    def backup(self, path: str) -> None:
        """Writes a consistent copy of the database to ``path`` (mode 0600) while everything goes on."""
        backups.backup(self.url, path)

    def close(self) -> None:
        """Waits for the writes under way; later ones raise :class:`Unavailable`."""
        self._writer.close()
        if self._listener is not None:
            self._listener.close()
        self._readers.dispose()
        self._writers.dispose()

    def _committed(self, committed: Committed) -> None:
        self._notify(committed.generation, committed.subjects)

    def _notify(self, generation: int, subjects: frozenset[str]) -> None:
        with self._lock:
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback(generation, subjects)


def unavailable(error: DBAPIError) -> Unavailable:
    """The database could not do it; the same call may succeed later."""
    return Unavailable(
        f"The master's database does not answer: {error.orig}.",
        reference="database-unavailable",
        context={"cause": str(error.orig)},
        hint="Look at the disk space and at the database server of the master, then try again.",
    )


def open_storage(url: str, *, backup_directory: str | None = None) -> Storage:
    """Opens, creates or upgrades the database.

    Before an upgrade a backup is written to ``backup_directory``; without one beside an SQLite file, and none at
    all of a PostgreSQL database.

    Raises :class:`InputError` for a URL of another kind, :class:`Conflict` when the database is newer than this
    program, :class:`Unavailable` when it cannot be reached.
    """
    check_url(url)
    try:
        migrate.upgrade(url, backup_directory=backup_directory)
        if postgresql.is_postgresql(url):
            return Storage(url=url, readers=postgresql.Readers(url), writers=postgresql.Writers(url))
        return Storage(url=url, readers=sqlite.Readers(url), writers=sqlite.Writers(url))
    except OperationalError as error:
        raise unavailable(error) from error


def check_url(url: str) -> str:
    """``url`` when it names a database that we support."""
    if sqlite.is_sqlite(url) or postgresql.is_postgresql(url):
        return url
    raise InputError(
        f"database_url: {url!r} is neither sqlite:///<path> nor postgresql+psycopg://….",
        reference="invalid-database-url",
        context={"field": "database_url", "value": url},
        hint="Leave it out for the embedded SQLite database.",
    )
