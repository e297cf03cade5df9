"""Migrated databases that test after test gets, emptied: much quicker than a copy for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session


class _Lent:
    """One database. `clean` leaves in it what a test may find."""

    def __init__(self, copy: Callable[[], str], clean: Callable[[Session], None]) -> None:
        self._copy, self._clean = copy, clean
        self._engine: Engine | None = None

    def lend(self) -> str:
        """Its address; that of a new copy when somebody still holds on to the last one."""
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


class Databases:
    """`lend(kind)`: the address of a clean database. `copies` make fresh ones by kind, `clean` empties a used one."""

    def __init__(self, copies: Mapping[str, Callable[[], str]], clean: Callable[[Session], None]) -> None:
        self._lent = {kind: _Lent(copy, clean) for kind, copy in copies.items()}

    def lend(self, kind: str) -> str:
        return self._lent[kind].lend()

    def close(self) -> None:
        """Let go of all of them; they vanish with their folder and their server."""
        for lent in self._lent.values():
            lent.close()
