"""Empty, migrated databases for tests, made once and copied: SQLite always, PostgreSQL where it is installed."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from slapos.master.storage.database import open_storage
from slapos.testing.postgresql import PostgresServer

KINDS = ("sqlite", "postgresql")
TEMPLATE = "migrated"
_count = itertools.count()


class Databases:
    """One migrated template of a kind, and copies of it."""

    def __init__(self, kind: str, *, directory: str, server: PostgresServer | None) -> None:
        self.kind = kind
        self._directory = directory
        self._server = server
        url = f"sqlite:///{directory}/{TEMPLATE}.db" if server is None else server.create_database(TEMPLATE)
        open_storage(url).close()

    @contextmanager
    def copy(self) -> Iterator[str]:
        """The URL of a migrated, empty database."""
        name = f"copy{next(_count)}"
        if self._server is None:
            path = os.path.join(self._directory, f"{name}.db")
            shutil.copy(os.path.join(self._directory, f"{TEMPLATE}.db"), path)
            yield f"sqlite:///{path}"
            return
        yield self._server.create_database(name, TEMPLATE)
        self._server.drop_database(name)
