"""Saved views of the list of orders, and exports of orders with their files."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.actor import Actor
from shop.core.column_types import ActorText, EnumText
from shop.core.db import Base, UtcDateTime

_DUE = text("due_at IS NOT NULL")


class ExportState(StrEnum):
    """State of an export. The values are stored."""

    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"


class SavedView(Base):
    """Filters of the list of orders under a name, for all staff. `query` is the query of the list's address.

    `key` is the name without regard to case, and unique. Each view has one of 50 slots, so that concurrent requests
    cannot exceed the limit.
    """

    __tablename__ = "saved_views"
    id: Mapped[int] = mapped_column(primary_key=True)
    slot: Mapped[int] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(Text)
    key: Mapped[str] = mapped_column(Text, unique=True)
    query: Mapped[str] = mapped_column(Text)
    saved_by: Mapped[Actor] = mapped_column(ActorText)
    saved_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (
        CheckConstraint("slot BETWEEN 1 AND 50", name="slot_within_limit"),
        {"sqlite_autoincrement": True},
    )


class OrderExport(Base):
    """An export of the orders that match `query`, the query of the list's address, and were placed before
    `requested_at`.

    While it is RUNNING it is due at `due_at`: at once, or when the lease of the process that writes it ends. `position`
    is that of the last order in the file, from which it is continued. `attempts` counts claims since the last progress.
    `expected` is the number of rows that matched at the request, `rows` the number written.
    """

    __tablename__ = "order_exports"
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    query: Mapped[str] = mapped_column(Text)
    requested_by: Mapped[Actor] = mapped_column(ActorText)
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[ExportState] = mapped_column(EnumText(ExportState))
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    attempts: Mapped[int] = mapped_column(default=0)
    expected: Mapped[int]
    rows: Mapped[int] = mapped_column(default=0)
    parts: Mapped[int] = mapped_column(default=0)
    position: Mapped[str | None] = mapped_column(Text)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        CheckConstraint("state IN ('RUNNING', 'DONE', 'FAILED')", name="state_known"),
        CheckConstraint("(state = 'RUNNING') = (due_at IS NOT NULL)", name="due_while_running"),
        Index("ix_order_exports_due", "due_at", postgresql_where=_DUE, sqlite_where=_DUE),
        Index("ix_order_exports_requested", "requested_at"),
    )

    @property
    def percent(self) -> int:
        """Progress from 0 to 100; 100 only for one that is done."""
        if self.state is ExportState.DONE:
            return 100
        return min(99, self.rows * 100 // self.expected) if self.expected else 0


class OrderExportPart(Base):
    """A part of an export's file, UTF-8. The parts in the order of their numbers, from 1, are the file.

    They are in the database because the process that writes a file and the one that serves it may run on different
    machines.
    """

    __tablename__ = "order_export_parts"
    export_id: Mapped[str] = mapped_column(ForeignKey("order_exports.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)
