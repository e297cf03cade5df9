"""Migrated databases that are reused from test to test: emptied on a server, a file replaced by a clean copy."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path

from sqlalchemy import Engine, MetaData, TextClause, create_engine, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, scoped_session

APPEND_ONLY = frozenset({"audit_log", "audit_seals"})
"""Tables from which triggers let nothing be deleted."""


def empty(session: Session | scoped_session[Session], metadata: MetaData) -> None:
    """Delete all rows, by one statement for each table that has any."""
    filled = set(session.scalars(_filled(metadata)))
    with unprotected(session) if filled & APPEND_ONLY else nullcontext():
        for table in reversed(metadata.sorted_tables):
            if table.name in filled:
                session.execute(table.delete())


@contextmanager
def unprotected(session: Session | scoped_session[Session]) -> Iterator[None]:
    """Let the current transaction change append-only tables. It takes what the shop itself never does: rights of a
    superuser on PostgreSQL, a change of the schema on SQLite.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SET LOCAL session_replication_role = replica"))  # triggers do not fire
        yield
        session.execute(text("SET LOCAL session_replication_role = origin"))
        return
    connection = session.connection()
    if not connection.connection.driver_connection.in_transaction:  # the driver begins none for DROP
        connection.exec_driver_sql("BEGIN")
    triggers = connection.execute(
        text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'audit_%'")
    ).all()
    for trigger in triggers:
        connection.exec_driver_sql(f"DROP TRIGGER {trigger.name}")
    yield
    for trigger in triggers:
        connection.exec_driver_sql(trigger.sql)


@cache
def _filled(metadata: MetaData) -> TextClause:
    """The names of the tables that have rows."""
    names = metadata.tables
    return text(" UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {name})" for name in names))


class _Lent:
    """A database. `clean` restores its initial rows."""

    def __init__(self, copy: Callable[[], str], clean: Callable[[Session], None]) -> None:
        self._copy, self._clean = copy, clean
        self._engine: Engine | None = None

    def lend(self) -> str:
        """Its address; that of a new copy when the last one still has connections."""
        if self._engine is not None:
            try:
                self._empty(self._engine)
            except OperationalError:
                self.close()
        if self._engine is None:
            self._engine = create_engine(self._copy())
        return self._engine.url.render_as_string(hide_password=False)

    def close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()
        self._engine = None

    def _empty(self, engine: Engine) -> None:
        with Session(engine) as session:
            if engine.dialect.name == "postgresql":
                session.execute(text("SET LOCAL lock_timeout = '1s'"))
            self._clean(session)
            session.commit()


class _LentFile:
    """A SQLite database, whose file is replaced by a copy of the first one. A connection that is left from before keeps
    the old file.
    """

    def __init__(self, copy: Callable[[], str]) -> None:
        self._copy = copy
        self._url = ""

    def lend(self) -> str:
        if not self._url:
            self._url = self._copy()
            shutil.copyfile(self._path, self._path.with_suffix(".clean"))
            return self._url
        for companion in ("-wal", "-shm", "-journal"):
            Path(f"{self._path}{companion}").unlink(missing_ok=True)
        shutil.copyfile(self._path.with_suffix(".clean"), self._path.with_suffix(".next"))
        self._path.with_suffix(".next").replace(self._path)
        return self._url

    @property
    def _path(self) -> Path:
        return Path(str(make_url(self._url).database))

    def close(self) -> None:
        """Nothing is open."""


class Databases:
    """`lend(kind)`: the address of a clean database. `copies` create new ones by kind, `clean` empties a used one
    that is no file.
    """

    def __init__(self, copies: Mapping[str, Callable[[], str]], clean: Callable[[Session], None]) -> None:
        self._lent: dict[str, _Lent | _LentFile] = {
            kind: _LentFile(copy) if kind == "sqlite" else _Lent(copy, clean) for kind, copy in copies.items()
        }

    def lend(self, kind: str) -> str:
        return self._lent[kind].lend()

    def close(self) -> None:
        """Release all of them; they are deleted with their folder and their server."""
        for lent in self._lent.values():
            lent.close()
