"""Empty, migrated databases for tests: SQLite copied from a template, PostgreSQL (where installed) emptied."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from slapos.master.storage.database import open_storage
from slapos.master.storage.tables import metadata
from slapos.testing.postgresql import PostgresServer

KINDS = ("sqlite", "postgresql")
_count = itertools.count()
_RESET = (
    f"TRUNCATE {', '.join(table.name for table in metadata.sorted_tables)} RESTART IDENTITY;"
    " INSERT INTO counters VALUES ('generation', 0); INSERT INTO projects VALUES ('main', 0)"
)


class Databases:
    """One migrated template of a kind, and databases that are as it is."""

    def __init__(self, kind: str, *, directory: str, server: PostgresServer | None) -> None:
        self.kind = kind
        self._directory = directory
        self._server = server
        # pytest makes the fixture of a parameter again when its tests do not follow each other.
        self._template = f"migrated{next(_count)}"
        url = f"sqlite:///{directory}/{self._template}.db" if server is None else server.create_database(self._template)
        open_storage(url).close()

    @contextmanager
    def empty(self) -> Iterator[str]:
        """The URL of one; with PostgreSQL always the same, so one at a time."""
        if self._server is not None:
            with psycopg.connect(self._server.conninfo(self._template), autocommit=True) as connection:
                connection.execute(_RESET)
            yield self._server.url(self._template)
            return
        path = os.path.join(self._directory, f"copy{next(_count)}.db")
        shutil.copy(os.path.join(self._directory, f"{self._template}.db"), path)
        yield f"sqlite:///{path}"
