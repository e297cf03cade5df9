"""Alerts, the watch list of orders, and the schedule of operational conditions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, literal, text
from sqlalchemy.orm import Mapped, mapped_column

from shop.alerts.states import AlertState, MessageKind, Severity
from shop.core.actor import Actor
from shop.core.column_types import ActorText, EnumText
from shop.core.db import Base, UtcDateTime
from shop.core.keyset import Position
from shop.mail.states import MailState

_KNOWN = ", ".join(f"'{s}'" for s in AlertState)
_OPEN = text(f"state <> '{AlertState.RESOLVED}'")
_MESSAGE_STATES = ", ".join(f"'{s}'" for s in MailState)
_DUE = text("next_attempt_at IS NOT NULL")
_FAILED = text(f"state = '{MailState.FAILED}'")


class Alert(Base):
    """An alert: one row per rule, subject and cause, however often it is detected.

    `subject` is the order's number where there is an order, else the provider or a name such as "inbox 7". `cause` is
    the capture, the payment or the start of the episode. `observed` and `expected` are the values at detection, amounts
    in minor units. `source` is the source of the update behind it. `resolved_by` is the watcher when the cause ended
    without staff. `waits_since` is set once the cause has waited over its limit, of which people are notified.
    `notified_raised_at` and `notified_waits_at` are set once people were notified or a summary was decided on.
    """

    __tablename__ = "alerts"
    id: Mapped[int] = mapped_column(primary_key=True)
    rule: Mapped[str] = mapped_column(Text)
    severity: Mapped[Severity] = mapped_column(EnumText(Severity))
    subject: Mapped[str] = mapped_column(Text)
    cause: Mapped[str] = mapped_column(Text)
    order_id: Mapped[int | None] = mapped_column(ForeignKey("orders.id"), index=True)
    order_no: Mapped[str | None] = mapped_column(Text)
    observed: Mapped[dict[str, Any]] = mapped_column(JSON)
    expected: Mapped[dict[str, Any]] = mapped_column(JSON)
    source: Mapped[str] = mapped_column(Text)
    detected_at: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[AlertState] = mapped_column(EnumText(AlertState))
    acknowledged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    acknowledged_by: Mapped[Actor | None] = mapped_column(ActorText)
    acknowledged_note: Mapped[str | None] = mapped_column(Text)
    resolved_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    resolved_by: Mapped[Actor | None] = mapped_column(ActorText)
    resolved_note: Mapped[str | None] = mapped_column(Text)
    waits_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    notified_raised_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    notified_waits_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        UniqueConstraint("rule", "subject", "cause"),
        CheckConstraint(f"state IN ({_KNOWN})", name="state_known"),
        CheckConstraint("severity IN ('P1', 'P2', 'P3')", name="severity_known"),
        Index("ix_alerts_detected", "detected_at"),
        Index("ix_alerts_open", "rule", "subject", postgresql_where=_OPEN, sqlite_where=_OPEN),
    )

    @property
    def position(self) -> Position:
        """The position in lists by severity and time: the kind is the number of the severity."""
        return Position(self.detected_at, self.id, int(self.severity.value[1]))


IS_OPEN = Alert.state != literal(AlertState.RESOLVED, Text, literal_execute=True)
"""Not resolved, in a form for which every database uses the partial index."""


class ChatMessage(Base):
    """A message about an alert to the chat webhook; one for each `kind`.

    `error` is the last failure, without the address of the webhook, which is a secret.
    """

    __tablename__ = "chat_messages"
    id: Mapped[int] = mapped_column(primary_key=True)
    alert_id: Mapped[int] = mapped_column(ForeignKey("alerts.id", ondelete="CASCADE"))
    kind: Mapped[MessageKind] = mapped_column(EnumText(MessageKind))
    text: Mapped[str] = mapped_column(Text)
    state: Mapped[MailState] = mapped_column(EnumText(MailState))
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    next_attempt_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    error: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        UniqueConstraint("alert_id", "kind"),
        CheckConstraint(f"state IN ({_MESSAGE_STATES})", name="state_known"),
        CheckConstraint("kind IN ('raised', 'waits', 'more')", name="kind_known"),
        CheckConstraint("(state = 'QUEUED') = (next_attempt_at IS NOT NULL)", name="due_while_queued"),
        Index("ix_chat_messages_due", "next_attempt_at", postgresql_where=_DUE, sqlite_where=_DUE),
        Index("ix_chat_messages_failed", "id", postgresql_where=_FAILED, sqlite_where=_FAILED),
    )


class NotificationWindow(Base):
    """The alerts of a rule that were counted since `began_at`, for the limit on notifications.

    `alert_id` is the newest of them. `due_at` is when a summary of those above the limit is sent, None without one.
    """

    __tablename__ = "notification_windows"
    rule: Mapped[str] = mapped_column(Text, primary_key=True)
    began_at: Mapped[datetime] = mapped_column(UtcDateTime)
    counted: Mapped[int]
    alert_id: Mapped[int] = mapped_column(ForeignKey("alerts.id", ondelete="CASCADE"))
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Watched(Base):
    """An order on the watch list, and the time of its next check. Removed when no check is left."""

    __tablename__ = "watch_list"
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class ConditionSchedule(Base):
    """The time at which an operational condition is checked next."""

    __tablename__ = "condition_schedules"
    condition: Mapped[str] = mapped_column(Text, primary_key=True)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ToDoClaim(Base):
    """The owner of a thing to do. `thing` is its kind and id, such as `alert 7`."""

    __tablename__ = "to_do_claims"
    thing: Mapped[str] = mapped_column(Text, primary_key=True)
    owner: Mapped[Actor] = mapped_column(ActorText)
    claimed_at: Mapped[datetime] = mapped_column(UtcDateTime)
