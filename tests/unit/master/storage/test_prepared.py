"""Statements that are run on the driver: the same values, rows and errors as SQLAlchemy's own way."""

from __future__ import annotations

import pytest
from sqlalchemy import Insert, Select, Update, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from slapos.master.storage import tables
from slapos.master.storage.database import Storage
from slapos.master.storage.prepared import prepared
from slapos.master.storage.transaction import Transaction
from slapos.model.errors import Unavailable


@prepared
def _add() -> Insert:
    return insert(tables.users).returning(tables.users)


@prepared
def _operators() -> Select[tuple[object, ...]]:
    users = tables.users
    return select(users).where(users.c.operator, users.c.created > bindparam("of_date")).order_by(users.c.login)


@prepared
def _rename() -> Update:
    return update(tables.users).where(tables.users.c.login == bindparam("of_login"))


def add(tx: Transaction, login: str, operator: bool, created: int = 5) -> object:
    return _add.row(tx, login=login, operator=operator, created=created)


def test_rows_have_the_types_of_their_columns(storage: Storage) -> None:
    row = storage.write(lambda tx: add(tx, "ann", True))
    assert row == {"login": "ann", "name": "", "operator": True, "created": 5}
    assert isinstance(row["operator"], bool)
    storage.write(lambda tx: add(tx, "bob", False))
    found = storage.read(lambda tx: _operators.rows(tx, of_date=4))
    assert found == storage.read(lambda tx: _as_usual(tx, 4)) == [row]
    assert storage.read(lambda tx: _operators.row(tx, of_date=5)) is None
    assert storage.read(lambda tx: _operators.value(tx, of_date=4)) == "ann"
    assert storage.read(lambda tx: _operators.column(tx, of_date=4)) == ["ann"]


def _as_usual(tx: Transaction, date: int) -> list[object]:
    return [dict(row) for row in tx.execute(_operators.statement, {"of_date": date}).mappings()]


def test_the_columns_written_are_those_of_the_values(storage: Storage) -> None:
    storage.write(lambda tx: add(tx, "ann", True))
    assert storage.write(lambda tx: _rename.change(tx, of_login="ann", name="Ann")) == 1
    assert storage.write(lambda tx: _rename.change(tx, of_login="nobody", name="x")) == 0
    storage.write(lambda tx: _rename.change_each(tx, [{"of_login": "ann", "created": 7, "operator": False}]))
    storage.write(lambda tx: _rename.change_each(tx, []))
    (row,) = storage.read(lambda tx: tx.execute(select(tables.users)).all())
    assert tuple(row) == ("ann", "Ann", False, 7)


def test_errors_are_those_of_sqlalchemy(storage: Storage) -> None:
    storage.write(lambda tx: add(tx, "ann", True))

    def twice(tx: Transaction) -> None:
        add(tx, "carl", False)
        add(tx, "ann", False)

    with pytest.raises((IntegrityError, Unavailable)):  # with PostgreSQL, another master may have been in the way
        storage.write(lambda tx: _caught(tx, twice))
    assert storage.read(lambda tx: _operators.column(tx, of_date=0)) == ["ann"]


def _caught(tx: Transaction, function: object) -> None:
    try:
        function(tx)  # type: ignore[operator]
    except IntegrityError as error:
        assert "INSERT INTO users" in str(error.statement)
        raise


def test_both_ways_share_a_transaction(storage: Storage) -> None:
    def mixed(tx: Transaction) -> list[str]:
        add(tx, "ann", True)
        tx.execute(insert(tables.users).values(login="bob", operator=True, created=9))
        return _operators.column(tx, of_date=0)

    assert storage.write(mixed) == ["ann", "bob"]

    def failing(tx: Transaction) -> None:
        tx.execute(insert(tables.users).values(login="carl", operator=True, created=9))
        add(tx, "dan", True)
        raise LookupError

    with pytest.raises(LookupError):
        storage.write(failing)
    assert storage.read(lambda tx: _operators.column(tx, of_date=0)) == ["ann", "bob"]
