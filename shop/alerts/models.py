"""Alerts, the orders that are to be looked at, and when each operational condition is."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, literal, text
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.db import Base, UtcDateTime

NEW = "NEW"
ACKNOWLEDGED = "ACKNOWLEDGED"
RESOLVED = "RESOLVED"
STATES = (NEW, ACKNOWLEDGED, RESOLVED)
_KNOWN = ", ".join(f"'{s}'" for s in STATES)
_OPEN = text(f"state <> '{RESOLVED}'")


class Alert(Base):
    """One thing that people must look at. There is one for each rule, subject and cause, however often it is detected.

    `subject` is the order's number where there is an order, else what it is about (a provider, "inbox 7"). `cause` is
    what makes it this one: a capture of ours, a payment, the beginning of an episode. `observed` and `expected` are
    the numbers at detection, amounts in minor units. `source` is how the cause was heard of. `resolved_by` is "watch"
    when the cause went away by itself.
    """

    __tablename__ = "alerts"
    id: Mapped[int] = mapped_column(primary_key=True)
    rule: Mapped[str] = mapped_column(Text)
    severity: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    cause: Mapped[str] = mapped_column(Text)
    order_id: Mapped[int | None] = mapped_column(ForeignKey("orders.id"), index=True)
    order_no: Mapped[str | None] = mapped_column(Text)
    observed: Mapped[dict[str, Any]] = mapped_column(JSON)
    expected: Mapped[dict[str, Any]] = mapped_column(JSON)
    source: Mapped[str] = mapped_column(Text)
    detected_at: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[str] = mapped_column(Text)
    acknowledged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    acknowledged_by: Mapped[str | None] = mapped_column(Text)
    acknowledged_note: Mapped[str | None] = mapped_column(Text)
    resolved_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    resolved_by: Mapped[str | None] = mapped_column(Text)
    resolved_note: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        UniqueConstraint("rule", "subject", "cause"),
        CheckConstraint(f"state IN ({_KNOWN})", name="state_known"),
        CheckConstraint("severity IN ('P1', 'P2', 'P3')", name="severity_known"),
        Index("ix_alerts_open", "rule", "subject", postgresql_where=_OPEN, sqlite_where=_OPEN),
    )


IS_OPEN = Alert.state != literal(RESOLVED, literal_execute=True)
"""Not resolved, written so that every database sees that the partial index serves it."""


class Watched(Base):
    """An order to look at, and when. Gone when there is nothing more to see."""

    __tablename__ = "watch_list"
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class Lookout(Base):
    """When the next look for one operational condition is due."""

    __tablename__ = "lookouts"
    condition: Mapped[str] = mapped_column(Text, primary_key=True)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
