"""Notes of staff on orders, and the colleagues whom they mention."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.actor import Actor
from shop.core.column_types import ActorText
from shop.core.db import Base, UtcDateTime

_OPEN = text("done_at IS NULL")


class OrderNote(Base):
    """A note. It is never edited; its text is empty once it is withdrawn. `form_key` names the form that sent it, so
    that a form that is sent twice writes one note.
    """

    __tablename__ = "order_notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    form_key: Mapped[str] = mapped_column(Text)
    author: Mapped[Actor] = mapped_column(ActorText)
    text: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    withdrawn_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (UniqueConstraint("order_id", "form_key"),)


class NoteMention(Base):
    """A colleague whom a note mentions. It is on the list of what this person has to do until `done_at`."""

    __tablename__ = "note_mentions"
    id: Mapped[int] = mapped_column(primary_key=True)
    note_id: Mapped[int] = mapped_column(ForeignKey("order_notes.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    done_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        UniqueConstraint("note_id", "user_id"),
        Index("ix_note_mentions_open", "user_id", postgresql_where=_OPEN, sqlite_where=_OPEN),
    )
