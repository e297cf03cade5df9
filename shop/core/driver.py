"""Statements in the database driver's own words, for the few that run for every webhook.

SQLAlchemy writes them, once; the driver carries them out. That spares the session's care for objects and results,
which costs several times what the statement itself does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, cast

from sqlalchemy import Connection, Dialect, Insert, Update
from sqlalchemy.exc import DBAPIError

Row = dict[str, Any]


class Ready:
    """A statement that was compiled for one dialect; an INSERT, for one set of columns."""

    def __init__(self, statement: Insert | Update, dialect: Dialect, columns: Sequence[str]) -> None:
        compiled: Any = statement.compile(dialect=dialect, column_keys=columns if statement.is_insert else None)
        self.text: str = compiled.string
        self._order: Sequence[str] | None = compiled.positiontup if compiled.positional else None
        self._fixed: Row = {name: one.value for name, one in compiled.binds.items() if not one.required}
        if statement.is_insert:  # what columns are unless something else is said
            self._fixed |= {column.key: column.default.arg for column in compiled.insert_prefetch}
        found = {name: one.type.dialect_impl(dialect).bind_processor(dialect) for name, one in compiled.binds.items()}
        self._said: dict[str, Callable[[Any], Any]] = {name: how for name, how in found.items() if how is not None}

    def parameters(self, values: Row) -> Row | tuple[Any, ...]:
        """`values` as the driver takes them."""
        row = {**self._fixed, **values}
        for name, how in self._said.items():
            row[name] = how(row[name])
        return row if self._order is None else tuple(row[name] for name in self._order)


@lru_cache(maxsize=256)
def ready(statement: Insert | Update, dialect: Dialect, columns: tuple[str, ...]) -> Ready:
    """The statement made ready. It must be the same object each time."""
    return Ready(statement, dialect, columns)


def raw(connection: Connection) -> Any:
    """The driver's connection behind SQLAlchemy's."""
    return cast(Any, connection.connection.driver_connection)


@contextmanager
def errors(connection: Connection) -> Iterator[None]:
    """The driver's errors are raised as SQLAlchemy's; a connection that was lost is not used again."""
    dialect = connection.dialect
    base: type[Exception] = dialect.loaded_dbapi.Error
    try:
        yield
    except base as error:
        if dialect.is_disconnect(cast(Any, error), raw(connection), None):
            connection.invalidate(error)
        raise DBAPIError.instance(None, None, error, base, hide_parameters=True, dialect=dialect) from error


def rows(connection: Connection, statement: Insert | Update, of_each: Sequence[Row]) -> list[list[tuple[Any, ...]]]:
    """Carry it out once with each of these values, many of them in one trip where the database can. Each time's rows
    come as the driver gives them: for numbers and texts alone.
    """
    with errors(connection):
        told = ready(statement, connection.dialect, tuple(of_each[0]))
        cursor = raw(connection).cursor()
        parameters = [told.parameters(values) for values in of_each]
        if len(parameters) == 1 or not hasattr(cursor, "results"):  # SQLite's has none
            return [list(cursor.execute(told.text, one).fetchall()) for one in parameters]
        cursor.executemany(told.text, parameters, returning=True)
        return [list(result.fetchall()) for result in cursor.results()]
