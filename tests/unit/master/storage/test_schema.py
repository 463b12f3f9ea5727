"""Migrations: they lead to the tables as written, from every earlier schema; what the database itself forbids."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, insert, select
from sqlalchemy.exc import IntegrityError

from slapos.master.services import instances, nodes
from slapos.master.storage import migrate, tables
from slapos.master.storage.database import Storage, open_storage
from slapos.master.storage.transaction import Transaction
from slapos.model.errors import Conflict, Unavailable
from tests.unit.master.world import OPERATOR, START, World

CASES = Path(__file__).parents[3] / "cases" / "master_databases"


def test_migrations_lead_to_the_tables(storage: Storage) -> None:
    def differences(tx: Transaction) -> list[object]:
        context = MigrationContext.configure(tx.connection, opts={"compare_type": True})
        return list(compare_metadata(context, tables.metadata))

    assert storage.read(differences) == []


def test_migrations_give_the_same_sql_as_the_tables(tmp_path: Path) -> None:
    """Defaults and conditions of indexes too, which Alembic does not compare."""
    migrated, created = tmp_path / "migrated.db", tmp_path / "created.db"
    migrate.upgrade(f"sqlite:///{migrated}")
    engine = create_engine(f"sqlite:///{created}")
    tables.metadata.create_all(engine)
    engine.dispose()
    assert schema_of(migrated) == schema_of(created)


def schema_of(path: Path) -> dict[str, object]:
    """Columns, keys and indexes by name; the order of columns is free, because a migration appends them."""
    connection = sqlite3.connect(path)
    found: dict[str, object] = {}
    for kind, name, sql in connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall():
        if name.startswith(("sqlite_", "alembic_")):
            continue
        if kind == "index":
            found[name] = re.sub(r"\s+", " ", sql)
            continue
        columns = sorted(row[1:] for row in connection.execute(f"PRAGMA table_info({name})"))
        keys = sorted(row[2:] for row in connection.execute(f"PRAGMA foreign_key_list({name})"))
        found[name] = (columns, keys, "AUTOINCREMENT" in sql)
    connection.close()
    return found


@pytest.mark.parametrize("name", sorted(path.name for path in CASES.glob("*.db")))
def test_a_kept_database_of_every_schema_is_upgraded(name: str, tmp_path: Path) -> None:
    """Written by the program of that schema: its instances, nodes and history are all there afterwards."""
    path = tmp_path / name
    shutil.copy(CASES / name, path)
    storage = open_storage(f"sqlite:///{path}")
    try:
        roots = storage.read(lambda tx: instances.list_roots(tx, OPERATOR))
        assert [(root.title, root.node, root.partition) for root in roots] == [
            ("site", "COMP-1", "slappart0"),
            ("waiting", "", ""),
        ]
        assert roots[0].parameters == {"title": "Kept ✓", "_": '{"a": [1]}'}
        tree = storage.read(lambda tx: instances.tree(tx, OPERATOR, roots[0].guid))
        assert [each.title for each in tree] == ["site", "db", "guest"]
        assert tree[0].shared_instances[0].title == "guest"
        assert storage.read(forwarded) == ([], [])
        world = World(storage)
        world.now = START + 1_000
        assert world.request("another").guid == "SOFTINST-6"
        seen = storage.read(lambda tx: nodes.list_nodes(tx, OPERATOR, world.now))
        assert [(view.reference, view.partitions, view.busy) for view in seen] == [("COMP-1", 3, 3)]
    finally:
        storage.close()
    before = migrate.head() not in name
    assert bool([found for found in os.listdir(tmp_path) if ".before-" in found]) == before


def forwarded(tx: Transaction) -> tuple[list[object], list[object]]:
    """The requests that other masters serve, by their rows and by the instances: none before schema 0003."""
    marked = select(tables.instances.c.number).where(tables.instances.c.forwarded)
    legacy = select(tables.nodes.c.number).where(tables.nodes.c.legacy_keys)
    rows = list(tx.execute(select(tables.forwards.c.title)).scalars())
    return rows, [*tx.execute(marked).scalars(), *tx.execute(legacy).scalars()]


def test_a_newer_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    migrate.upgrade(f"sqlite:///{path}")
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(Conflict) as caught:
        open_storage(f"sqlite:///{path}")
    assert caught.value.reference == "database-too-new"


def test_the_database_itself_forbids_doubles(world: World) -> None:
    world.node()
    world.node()
    root, other = world.request("root"), world.request("other")
    world.child(root, "child")

    def copy_of(title: str, **values: object):  # type: ignore[no-untyped-def]
        def function(tx: Transaction) -> None:
            table = tables.instances
            row = dict(tx.execute(select(table).where(table.c.title == title)).mappings().one())
            del row["number"]
            tx.execute(insert(table).values(**{**row, **values}))

        return function

    def second_partition(tx: Transaction) -> None:
        table = tables.partitions
        number = tx.execute(select(table.c.instance).where(table.c.instance.is_not(None)).limit(1)).scalar_one()
        free = table.c.instance.is_(None)
        reference = tx.execute(select(table.c.reference).where(free).limit(1)).scalar_one()
        tx.execute(table.update().where(free, table.c.reference == reference).values(instance=number))

    for forbidden in (copy_of("root", tree=2), copy_of("child"), second_partition):
        with pytest.raises((IntegrityError, Unavailable)):
            world.storage.write(forbidden)
    world.storage.write(copy_of("root", tree=None, gone=1))
    assert other.guid == "SOFTINST-2"
