"""Statements compiled once and run on the driver itself.

SQLAlchemy needs ten times as long to look a statement up and to wrap its rows as SQLite needs to run it.  What every
request does is therefore written with :func:`prepared`: SQLAlchemy still writes the SQL of each database, once, and
says how values and rows are converted; after that only the driver is asked.

    @prepared
    def _by_number() -> Select[Any]:
        return select(instances).where(instances.c.number == bindparam("of_number"))

    row = _by_number.row(tx, of_number=7)

It runs on the connection of the transaction, and its errors are SQLAlchemy's, so that both ways can be mixed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import Dialect, RowMapping, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.base import Executable

if TYPE_CHECKING:
    from slapos.master.storage.transaction import Transaction

Row: TypeAlias = Mapping[str, Any] | RowMapping
Convert = Callable[[Any], Any]


class Prepared:
    """One statement with named values; made by :func:`prepared`."""

    def __init__(self, make: Callable[[], Executable]) -> None:
        self.__doc__ = make.__doc__
        self._make = make
        self._statement: Any = None
        self._compiled: dict[tuple[str, ...], _Compiled] = {}

    @property
    def statement(self) -> Any:
        """The statement itself, to make others of it."""
        if self._statement is None:
            self._statement = self._make()
        return self._statement

    def row(self, tx: Transaction, **values: Any) -> Row | None:
        """The first row, if any."""
        compiled = self._for(tx.dialect, values)
        found = compiled.run(tx, values).fetchone()
        return None if found is None else compiled.to_row(found)

    def rows(self, tx: Transaction, **values: Any) -> list[Row]:
        """All rows."""
        compiled = self._for(tx.dialect, values)
        return [compiled.to_row(found) for found in compiled.run(tx, values).fetchall()]

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.key for column in self.statement.exported_columns)

    def tuples(self, tx: Transaction, **values: Any) -> list[tuple[Any, ...]]:
        """All rows as the driver gives them, in the order of :attr:`keys`: to compare many of them in no time."""
        found: list[tuple[Any, ...]] = self._for(tx.dialect, values).run(tx, values).fetchall()
        return found

    def value(self, tx: Transaction, **values: Any) -> Any:
        """The first column of the first row; None without a row."""
        compiled = self._for(tx.dialect, values)
        found = compiled.run(tx, values).fetchone()
        return None if found is None else compiled.first(found)

    def column(self, tx: Transaction, **values: Any) -> list[Any]:
        """The first column of all rows."""
        compiled = self._for(tx.dialect, values)
        return [compiled.first(found) for found in compiled.run(tx, values).fetchall()]

    def change(self, tx: Transaction, **values: Any) -> int:
        """How many rows were written."""
        return int(self._for(tx.dialect, values).run(tx, values).rowcount)

    def change_each(self, tx: Transaction, rows: Iterable[Mapping[str, Any]]) -> None:
        """Once for each of ``rows``, which all have the same names."""
        wanted = list(rows)
        if wanted:
            self._for(tx.dialect, wanted[0]).run_each(tx, wanted)

    def _for(self, dialect: Dialect, values: Mapping[str, Any]) -> _Compiled:
        key = (dialect.name, *values)
        found = self._compiled.get(key)
        if found is None:
            found = self._compiled[key] = _Compiled(self.statement, dialect, key[1:])
        return found


def prepared(make: Callable[[], Executable]) -> Prepared:
    """The statement that ``make`` makes, at its first use."""
    return Prepared(make)


class _Compiled:
    """The SQL for one database and one set of names."""

    def __init__(self, statement: Any, dialect: Dialect, names: tuple[str, ...]) -> None:
        of_table = isinstance(getattr(statement, "table", None), Table)
        compiled = statement.compile(dialect=dialect, column_keys=list(names) if of_table else None)
        self._sql = str(compiled)
        self._writes = bool(statement.is_dml)
        self._positions: tuple[str, ...] | None = None
        if compiled.positiontup is not None:
            self._positions = tuple(compiled.positiontup)
        self._constants: dict[str, Any] = {}
        self._converts: list[tuple[str, Convert]] = []
        for name, bound in compiled.binds.items():
            if name not in names:
                self._constants[name] = bound.effective_value
            convert = bound.type.dialect_impl(dialect).bind_processor(dialect)
            if convert is not None:
                self._converts.append((name, convert))
        # SQLite's values have no names: often they come in the order in which the statement wants them.
        self._as_given = self._positions == names and not self._constants and not self._converts
        returned = getattr(statement, "exported_columns", ())
        self._keys = tuple(column.key for column in returned)
        converts = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in returned]
        self._of_rows = [(key, convert) for key, convert in zip(self._keys, converts, strict=True) if convert]
        self._of_first: Convert | None = converts[0] if converts else None

    def sent(self, values: Mapping[str, Any]) -> tuple[str, Any]:
        """The SQL and the values as the driver wants them."""
        if self._as_given:
            return self._sql, tuple(values.values())
        given = {**self._constants, **values}
        for name, convert in self._converts:
            given[name] = convert(given[name])
        return self._sql, given if self._positions is None else [given[name] for name in self._positions]

    def run(self, tx: Transaction, values: Mapping[str, Any]) -> Any:
        """The driver's cursor."""
        if self._writes:
            tx.will_write()
        sql, given = self.sent(values)
        try:
            return tx.driver.execute(sql, given)
        except tx.driver_error as error:
            raise DBAPIError.instance(sql, given, error, tx.driver_error, dialect=tx.dialect) from error

    def run_each(self, tx: Transaction, rows: list[Mapping[str, Any]]) -> None:
        """Nothing is returned."""
        tx.will_write()
        given = [self.sent(values)[1] for values in rows]
        try:
            tx.driver.cursor().executemany(self._sql, given)
        except tx.driver_error as error:
            raise DBAPIError.instance(self._sql, given, error, tx.driver_error, dialect=tx.dialect) from error

    def to_row(self, found: Any) -> Row:
        """A mapping of the columns."""
        row = dict(zip(self._keys, found, strict=False))
        for key, convert in self._of_rows:
            row[key] = convert(row[key])
        return row

    def first(self, found: Any) -> Any:
        """The first column."""
        return found[0] if self._of_first is None else self._of_first(found[0])
