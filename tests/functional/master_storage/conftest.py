"""The databases of ``tests/unit/master`` for larger tests; PostgreSQL with all its syncs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from slapos.testing.postgresql import PostgresServer, missing
from tests.unit.master.conftest import databases, storage, url, world

__all__ = ["databases", "postgres_server", "storage", "url", "world"]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    reason = missing()
    if reason:
        pytest.skip(reason)
    with PostgresServer() as server:
        yield server
