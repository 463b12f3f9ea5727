"""The suite of the master runs on both databases: ``storage`` is parametrised."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from slapos.master.storage.database import Storage, open_storage
from slapos.testing.postgresql import PostgresServer, missing
from tests.unit.master.databases import KINDS, Databases
from tests.unit.master.world import World


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    reason = missing()
    if reason:
        pytest.skip(reason)
    with PostgresServer(durable=False) as server:
        yield server


@pytest.fixture(scope="session", params=KINDS)
def databases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Databases:
    server = request.getfixturevalue("postgres_server") if request.param == "postgresql" else None
    return Databases(request.param, directory=str(tmp_path_factory.mktemp("databases")), server=server)


@pytest.fixture
def url(databases: Databases) -> Iterator[str]:
    with databases.empty() as found:
        yield found


@pytest.fixture
def storage(url: str) -> Iterator[Storage]:
    opened = open_storage(url)
    yield opened
    opened.close()


@pytest.fixture
def world(storage: Storage) -> World:
    return World(storage)
