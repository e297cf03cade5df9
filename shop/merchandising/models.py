"""Imports of products from CSV files, with the lines that wait and the results."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.actor import Actor
from shop.core.column_types import ActorText, EnumText
from shop.core.db import Base, UtcDateTime

_DUE, _RUNNING = text("due_at IS NOT NULL"), text("state = 'RUNNING'")


class ImportState(StrEnum):
    """State of an import. The values are stored."""

    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"


class Outcome(StrEnum):
    """Outcome of a line. The values are stored, except for `unchanged`, of which only the number is kept."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


class ProductImport(Base):
    """An import of a file, or a dry run, which changes no product. One is RUNNING at a time.

    `done` lines of `lines` have an outcome; the next one is continued from there. While it runs it is due at `due_at`:
    at once, or when the lease of the process that works on it ends. `attempts` counts claims since the last progress.
    """

    __tablename__ = "product_imports"
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    file_name: Mapped[str] = mapped_column(Text)
    columns: Mapped[list[str]] = mapped_column(JSON)
    is_dry_run: Mapped[bool]
    requested_by: Mapped[Actor] = mapped_column(ActorText)
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[ImportState] = mapped_column(EnumText(ImportState))
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    attempts: Mapped[int] = mapped_column(default=0)
    lines: Mapped[int]
    done: Mapped[int] = mapped_column(default=0)
    created: Mapped[int] = mapped_column(default=0)
    changed: Mapped[int] = mapped_column(default=0)
    unchanged: Mapped[int] = mapped_column(default=0)
    refused: Mapped[int] = mapped_column(default=0)
    failure: Mapped[str | None] = mapped_column(Text)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        CheckConstraint("state IN ('RUNNING', 'DONE', 'FAILED')", name="state_known"),
        CheckConstraint("(state = 'RUNNING') = (due_at IS NOT NULL)", name="due_while_running"),
        Index("ix_product_imports_due", "due_at", postgresql_where=_DUE, sqlite_where=_DUE),
        Index("ix_product_imports_running", "state", unique=True, postgresql_where=_RUNNING, sqlite_where=_RUNNING),
        Index("ix_product_imports_requested", "requested_at"),
    )

    @property
    def percent(self) -> int:
        """Progress from 0 to 100."""
        return self.done * 100 // self.lines


class ProductImportPart(Base):
    """Lines of a file: (line, cells, error) of each, with the error that was found when the file was read."""

    __tablename__ = "product_import_parts"
    import_id: Mapped[str] = mapped_column(ForeignKey("product_imports.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    rows: Mapped[list[list[Any]]] = mapped_column(JSON)


class ProductImportLine(Base):
    """The outcome of a line. `what` maps changed fields to their values before and after, or is the error by field."""

    __tablename__ = "product_import_lines"
    import_id: Mapped[str] = mapped_column(ForeignKey("product_imports.id"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(Text)
    outcome: Mapped[Outcome] = mapped_column(EnumText(Outcome))
    what: Mapped[dict[str, Any]] = mapped_column(JSON)

    __table_args__ = (CheckConstraint("outcome IN ('created', 'changed', 'refused')", name="outcome_known"),)
