"""SQLite: engines whose writers begin with BEGIN IMMEDIATE.

SQLAlchemy's ``begin()`` on the default driver settings opens a deferred transaction; two of them may both read a
partition as free before either writes.  The driver is therefore put in autocommit mode, and the transaction is opened
here: immediate for the writer, deferred (one snapshot) for readers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, TextClause, create_engine, event, text
from sqlalchemy.engine import make_url

from slapos.master.storage.prepared import prepared
from slapos.master.storage.transaction import Transaction

T = TypeVar("T")

BUSY_SECONDS = 30
READERS = 8
CACHE_KIB = 16 * 1024  # of pages, per connection
CHECKPOINT_PAGES = 4_000  # of 4 KiB: pages that many transactions change are then written back less often


def is_sqlite(url: str) -> bool:
    return url.startswith("sqlite:///") and len(url) > len("sqlite:///")


def path_of(url: str) -> str:
    return os.path.abspath(str(make_url(url).database))


def writer_engine(url: str) -> Engine:
    """One connection; every transaction holds the write lock from its first statement."""
    engine = _engine(url, size=1, read_only=False)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if not _is_begun(connection):
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def reader_engine(url: str) -> Engine:
    """Connections that cannot write; every transaction is one snapshot."""
    engine = _engine(url, size=READERS, read_only=True)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if not _is_begun(connection):
            connection.exec_driver_sql("BEGIN")

    return engine


def _is_begun(connection: Connection) -> bool:
    """By us, without SQLAlchemy, whose statements then join."""
    driver: Any = connection.connection.dbapi_connection
    return bool(driver.in_transaction)


@prepared
def _begin() -> TextClause:
    return text("BEGIN")


@prepared
def _begin_immediate() -> TextClause:
    return text("BEGIN IMMEDIATE")


@prepared
def _commit() -> TextClause:
    return text("COMMIT")


class Writers:
    """Writing transactions, on one connection that stays open."""

    def __init__(self, url: str) -> None:
        self.engine = writer_engine(url)
        self._transaction: Transaction | None = None  # where others are made from

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """One transaction; committed when the block ends without an error."""
        if self._transaction is None:
            self._transaction = Transaction(self.engine.connect())
        transaction = self._transaction.sibling()
        connection = transaction.connection
        try:
            _begin_immediate.change(transaction)
            yield transaction
            if connection.in_transaction():
                connection.commit()
            else:
                _commit.change(transaction)
        except BaseException:
            connection.rollback()
            transaction.driver.rollback()
            raise

    def dispose(self) -> None:
        """Close the connection."""
        if self._transaction is not None:
            self._transaction.connection.close()
        self.engine.dispose()


class Readers:
    """Reading transactions on connections that stay open: taking one from a pool costs more than most reads."""

    def __init__(self, url: str) -> None:
        self.engine = reader_engine(url)
        self._idle: list[Transaction] = []

    def read(self, function: Callable[[Transaction], T]) -> T:
        """The result of ``function`` on one snapshot."""
        try:
            transaction = self._idle.pop()
        except IndexError:
            transaction = Transaction(self.engine.connect(), reading=True)
        try:
            _begin.change(transaction)
            return function(transaction)
        finally:
            self._give_back(transaction)

    def _give_back(self, transaction: Transaction) -> None:
        connection = transaction.connection
        if connection.in_transaction():  # a statement of SQLAlchemy's began one, within ours
            connection.rollback()
        transaction.driver.rollback()
        if len(self._idle) < READERS:
            self._idle.append(transaction)
        else:
            connection.close()

    def dispose(self) -> None:
        """Close all connections that nobody uses."""
        while self._idle:
            self._idle.pop().connection.close()
        self.engine.dispose()


def _engine(url: str, size: int, read_only: bool) -> Engine:
    engine = create_engine(
        url,
        pool_size=size,
        max_overflow=0 if size == 1 else 56,
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        cursor.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        if read_only:
            cursor.execute("PRAGMA query_only = ON")
        cursor.close()

    return engine
