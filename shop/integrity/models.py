"""Integrity checks that staff have started, and the results of those that were run by command."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.actor import Actor
from shop.core.column_types import ActorText
from shop.core.db import Base, UtcDateTime

EVERYTHING = "everything"
_IS_OPEN, _IS_DUE = text("ended_at IS NULL"), text("due_at IS NOT NULL")


class IntegrityCheck(Base):
    """A check of all invariants. One is open at a time: `scope` is the same for all, and unique among open ones.

    `to_check` are the names of the invariants that are left, `findings` the results so far (see `checks.Result`). A
    violation may be work in progress, so those that do not hold are checked again, in the second pass. `due_at`
    is the time when a worker takes it up again.
    """

    __tablename__ = "integrity_checks"
    id: Mapped[int] = mapped_column(primary_key=True)
    scope: Mapped[str] = mapped_column(Text, default=EVERYTHING)
    requested_by: Mapped[Actor] = mapped_column(ActorText)
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    is_second_pass: Mapped[bool] = mapped_column(default=False)
    to_check: Mapped[list[str]] = mapped_column(JSON, default=list)
    findings: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    version: Mapped[int] = mapped_column(default=0)
    """Unused. Processes of the version before read it until they end; a later migration removes it."""

    __table_args__ = (
        Index("uq_integrity_checks_one_open", "scope", unique=True, postgresql_where=_IS_OPEN, sqlite_where=_IS_OPEN),
        Index("ix_integrity_checks_due", "due_at", postgresql_where=_IS_DUE, sqlite_where=_IS_DUE),
    )
