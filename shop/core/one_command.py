"""Several writes as one command: on PostgreSQL the data-modifying CTEs of one WITH, which the driver sends as a whole.

SQLAlchemy and psycopg prepare, send and await each statement of a pipeline (decision 0036).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any, cast

import psycopg
from sqlalchemy import Connection, Delete, Dialect, Insert, Update

Write = Insert | Update | Delete
_VALUE = re.compile(r"%\((\w+)\)s")
_ROWS = " VALUES "


class OneCommand:
    """Writes that PostgreSQL executes as one command, and SQLite one after the other, the rows of an INSERT together.

    They share one snapshot, so none may read or change a row that another one writes, and PostgreSQL locks their rows
    in no fixed order: rows that other transactions may lock meanwhile do not belong here. Results are not read, and
    values of columns are not taken from Python-side defaults. Write each row of an INSERT by a call of `add`.
    """

    def __init__(self) -> None:
        self._writes: list[tuple[Write, Mapping[str, Any]]] = []

    def add(self, write: Write, values: Mapping[str, Any]) -> None:
        """Add a write. Statements are compiled once for each object: pass a constant or a cached one."""
        self._writes.append((write, values))

    def execute(self, connection: Connection) -> None:
        """Execute all writes. Errors are those of the driver: call it inside of `db.pipeline`."""
        if connection.dialect.name != "postgresql":
            for (write, _), same in groupby(self._writes, key=lambda one: (one[0], tuple(one[1]))):
                rows = [values for _, values in same]
                connection.execute(write, rows if len(rows) > 1 else rows[0])
        elif self._writes:
            command = _combined(tuple((write, tuple(values)) for write, values in self._writes), connection.dialect)
            driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
            values_in_order = [value.of(self._writes[value.write][1]) for value in command.values]
            psycopg.RawCursor(driver).execute(command.text, values_in_order)


@dataclass(frozen=True, slots=True)
class _Value:
    """A parameter: its write, its name, whether it has a default, the default, and the conversion by its type."""

    write: int
    name: str
    is_required: bool
    default: Any
    convert: Callable[[Any], Any] | None

    def of(self, values: Mapping[str, Any]) -> Any:
        """Its value for the driver. Raises KeyError for a required one that is missing."""
        value = values[self.name] if self.is_required else values.get(self.name, self.default)
        return self.convert(value) if self.convert else value


@dataclass(frozen=True, slots=True)
class _Command:
    text: str
    values: tuple[_Value, ...]


@lru_cache(maxsize=256)
def _combined(writes: tuple[tuple[Write, tuple[str, ...]], ...], dialect: Dialect) -> _Command:
    """The writes as one command with numbered parameters, which the driver takes as they are.

    Rows that are added to one INSERT after each other become its VALUES and get ids in this order: PostgreSQL
    executes the parts of a WITH in no defined order.
    """
    texts: list[str] = []
    parameters: list[_Value] = []
    for number, (write, names) in enumerate(writes):
        compiled = write.compile(dialect=dialect, column_keys=list(names))

        def numbered(found: re.Match[str], number: int = number, binds: Mapping[str, Any] = compiled.binds) -> str:
            bind = binds[found[1]]
            convert = bind.type.dialect_impl(dialect).bind_processor(dialect)
            parameters.append(_Value(number, found[1], bind.required, bind.effective_value, convert))
            return f"${len(parameters)}"

        text = _VALUE.sub(numbered, str(compiled))
        if number and isinstance(write, Insert) and writes[number - 1] == (write, names):
            texts[-1] += f", {text.partition(_ROWS)[2]}"
        else:
            texts.append(text)
    parts = ", ".join(f"w{number} AS ({text})" for number, text in enumerate(texts))
    return _Command(f"WITH {parts} SELECT", tuple(parameters))
