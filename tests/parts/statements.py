"""Statements that the shop sends to its database, and all that the database holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import psycopg
import pytest
from sqlalchemy import event

from shop.core.db import Base, db


@contextmanager
def statements() -> Iterator[list[str]]:
    """The statements that are sent meanwhile, without BEGIN and COMMIT."""
    sent: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith(("BEGIN", "COMMIT")):
            sent.append(statement)

    def execute(driver: Any, query: str, *arguments: Any) -> Any:  # of `read_together`
        sent.append(query)
        return right(driver, query, *arguments)

    def execute_raw(cursor: Any, query: str, *arguments: Any) -> Any:  # of `OneCommand`: each write, with all its rows
        writes = re.split(r"\bw\d+ AS ", re.sub(r"\$\d+", "$", query))[1:]
        sent.extend(write for write, _ in groupby(each.rstrip(", ") for each in writes))
        return right_raw(cursor, query, *arguments)

    right, right_raw = psycopg.Connection.execute, psycopg.RawCursor.execute
    event.listen(db.engine, "before_cursor_execute", note)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg.Connection, "execute", execute)
        patch.setattr(psycopg.RawCursor, "execute", execute_raw)
        yield sent
    event.remove(db.engine, "before_cursor_execute", note)


def everything() -> dict[str, list[Any]]:
    """All rows of all tables, sorted."""
    db.session.rollback()
    tables = sorted(Base.metadata.tables.items())
    rows = {name: sorted(db.session.execute(one.select()), key=repr) for name, one in tables}
    db.session.rollback()
    return rows
