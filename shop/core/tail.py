"""The tail of a writing unit: statements whose answers nobody in it waits for, sent to the database in one go.

A settle writes nine rows that it never looks at again. One at a time each is a trip to PostgreSQL; together they are
one trip, COMMIT included (psycopg's pipeline mode). SQLite, which is in the process, takes them one after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import lru_cache
from typing import Any

from sqlalchemy import Dialect, Insert, Table, Update
from sqlalchemy.orm import Session

from shop.core import driver
from shop.core.driver import Row


class Tail:
    """What one unit has put off: changes, statement by statement, then new rows, table by table.

    The changes of a statement go in the order of their values, whatever the order in which they were asked for: of two
    units that change the same rows, none waits for the other in a circle.
    """

    def __init__(self) -> None:
        self._changes: dict[Update, list[Row]] = {}
        self._rows: dict[Table, list[Row]] = {}
        self.first: dict[Callable[[list[Any]], None], list[Any]] = {}

    def change(self, statement: Update, values: Row) -> None:
        """An UPDATE with a bindparam for every one of `values`; it is the same object each time."""
        self._changes.setdefault(statement, []).append(values)

    def add(self, table: Table, values: Row) -> None:
        """A new row; every row of a table names the same columns."""
        self._rows.setdefault(table, []).append(values)

    def commit(self, session: Session) -> None:
        """Send what was put off and commit; what the session's objects have to say goes first.

        Raises what the session's own statements would raise, and then nothing is committed.
        """
        for do, what in self.first.items():
            do(what)
        if self._changes or self._rows:
            session.flush()
            connection = session.connection()
            raw = driver.raw(connection)
            with driver.errors(connection), raw.pipeline() if hasattr(raw, "pipeline") else nullcontext():
                self._send(raw.cursor(), connection.dialect)
                raw.commit()
        session.commit()  # not within the pipeline: it gives the connection to whoever wants it next

    def _send(self, cursor: Any, dialect: Dialect) -> None:
        for statement, changes in self._changes.items():
            changes.sort(key=lambda values: [str(value) for value in values.values()])
            _send(cursor, dialect, statement, changes)
        for table, rows in self._rows.items():
            _send(cursor, dialect, _into(table), rows)


def _send(cursor: Any, dialect: Dialect, statement: Insert | Update, values: list[Row]) -> None:
    told = driver.ready(statement, dialect, tuple(values[0]))
    cursor.executemany(told.text, [told.parameters(row) for row in values])


@lru_cache(maxsize=256)
def _into(table: Table) -> Insert:
    return table.insert()
