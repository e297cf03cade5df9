"""The session of the database, which knows if something was changed outside of a writing transaction.

Such a change is a defect: an object that a page has changed is written by the next query, and a transaction that reads
ends with COMMIT on PostgreSQL (see `db.end_reading`).
"""

from __future__ import annotations

from typing import Any

from flask_sqlalchemy.session import Session as FlaskSession
from sqlalchemy import Connection, Engine, TextClause, event
from sqlalchemy.orm import SessionTransaction


class Session(FlaskSession):
    """A session that notes changes while `info` has no "writing"; not those of `session.connection()`."""

    @property
    def has_changed(self) -> bool:
        """True if the present transaction, which was to read, has changed something."""
        return self.in_transaction() and self.info.get("changed") is self.get_transaction()

    @property
    def open_connection(self) -> Connection | None:
        """The connection of the present transaction; None if it has sent nothing yet, or could not."""
        transaction, connection = self.info.get("begun", (None, None))
        return connection if self.in_transaction() and transaction is self.get_transaction() else None

    def note_change(self) -> None:
        """Note a change that is about to be sent."""
        if not self.info.get("writing"):
            if not self.in_transaction():
                self.begin()
            self.info["changed"] = self.get_transaction()

    def get_bind(
        self, mapper: Any = None, clause: Any = None, bind: Engine | Connection | None = None, **kwargs: Any
    ) -> Engine | Connection:
        """The engine, which SQLAlchemy looks up for each statement; a listener to statements would cost more."""
        if clause is not None and (clause.is_dml or (isinstance(clause, TextClause) and not _reads(clause))):
            self.note_change()
        return super().get_bind(mapper=mapper, clause=clause, bind=bind, **kwargs)


def _reads(clause: TextClause) -> bool:
    return clause.text.lstrip().upper().startswith(("SELECT", "WITH", "PRAGMA", "EXPLAIN"))


@event.listens_for(Session, "after_begin")
def _note_connection(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    session.info["begun"] = transaction, connection


@event.listens_for(Session, "before_flush")
def _note_flush(session: Session, *_: object) -> None:
    if not session.info.get("writing") and (
        session.new or session.deleted or any(map(session.is_modified, session.dirty))
    ):
        session.note_change()
