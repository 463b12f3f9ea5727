"""PostgreSQL: engines, what counts as a conflict, and LISTEN/NOTIFY between master processes."""

from __future__ import annotations

import json
import logging
import os
import select
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError

from slapos.master.storage.blocking import may_block
from slapos.master.storage.transaction import Transaction

if TYPE_CHECKING:
    import psycopg  # elsewhere where it is used: half a second that a master with SQLite need not spend

logger = logging.getLogger(__name__)
T = TypeVar("T")

CHANNEL = "hyperopenx"
GROUP_LOCK = 0x486F5831  # advisory lock of write groups
UPGRADE_LOCK = 0x486F5832  # … of migrations
PAYLOAD_LIMIT = 7_900  # bytes; PostgreSQL refuses 8,000 and more
RETRY_SECONDS = 1.0
_CONFLICTS = {"40001", "40P01"}  # serialization_failure, deadlock_detected


def is_postgresql(url: str) -> bool:
    return url.startswith("postgresql+psycopg://")


def writer_engine(url: str) -> Engine:
    return create_engine(url, pool_size=1, max_overflow=0, pool_pre_ping=True, isolation_level="READ COMMITTED")


def reader_engine(url: str) -> Engine:
    """Every transaction is one snapshot, and cannot write."""
    return create_engine(
        url,
        pool_size=8,
        max_overflow=24,
        pool_pre_ping=True,
        isolation_level="REPEATABLE READ",
        connect_args={"options": "-c default_transaction_read_only=on"},
    )


class Writers:
    """Writing transactions."""

    def __init__(self, url: str) -> None:
        self.engine = writer_engine(url)

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """One transaction; committed when the block ends without an error."""
        with self.engine.connect() as connection, connection.begin():
            yield Transaction(connection)

    def dispose(self) -> None:
        """Close the connection."""
        self.engine.dispose()


class Readers:
    """Reading transactions."""

    def __init__(self, url: str) -> None:
        self.engine = reader_engine(url)

    def read(self, function: Callable[[Transaction], T]) -> T:
        """The result of ``function`` on one snapshot."""
        may_block()
        with self.engine.connect() as connection, connection.begin():
            return function(Transaction(connection, reading=True))

    def dispose(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def is_conflict(error: DBAPIError) -> bool:
    """Whether another process got in the way, so that the same function may succeed when run again."""
    if error.orig is None or not hasattr(error.orig, "sqlstate"):  # SQLite's errors have none
        return False
    return isinstance(error, IntegrityError) or error.orig.sqlstate in _CONFLICTS


def notify(connection: Connection, generation: int, subjects: Iterable[str]) -> None:
    """Tells the other processes at the commit; nothing on SQLite, where one process serves."""
    if connection.dialect.name != "postgresql":
        return
    payload = json.dumps([generation, sorted(subjects)])
    if len(payload.encode()) > PAYLOAD_LIMIT:
        payload = json.dumps([generation, []])  # too many to name: look at everything
    connection.execute(text("SELECT pg_notify(:channel, :payload)"), {"channel": CHANNEL, "payload": payload})


class Listener:
    """A thread that hears the commits of all processes, our own included, and reconnects when the server went away."""

    def __init__(self, url: str, *, callback: Callable[[int, frozenset[str]], None]) -> None:
        self._conninfo = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._callback = callback
        self._stop = threading.Event()
        self._wake_reader, self._wake_writer = os.pipe()  # becomes readable at close
        self._thread = threading.Thread(target=self._run, name="storage-listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        if self._stop.is_set():
            return
        self._stop.set()
        os.write(self._wake_writer, b"x")
        self._thread.join()
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    def _run(self) -> None:
        import psycopg

        missed = False
        while not self._stop.is_set():
            try:
                with psycopg.connect(self._conninfo, autocommit=True) as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    if missed:
                        self._callback(0, frozenset())
                    missed = True
                    self._listen(connection)
            except psycopg.Error as error:
                logger.warning("Changes of other masters are not heard now: %s", error)
                self._stop.wait(RETRY_SECONDS)

    def _listen(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        while not self._stop.is_set():
            for notification in connection.notifies(timeout=0):
                generation, subjects = json.loads(notification.payload)
                self._callback(int(generation), frozenset(subjects))
            select.select([connection.fileno(), self._wake_reader], [], [])
