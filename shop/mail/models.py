"""Mails: queued, sent and failed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.column_types import EnumText
from shop.core.db import Base, UtcDateTime
from shop.mail.states import MailKind, MailState

_KNOWN = ", ".join(f"'{s}'" for s in MailState)
_DUE = text("next_attempt_at IS NOT NULL")
_ALERT = text(f"kind = '{MailKind.ALERT}'")


class Mail(Base):
    """One mail to one recipient. (`subject`, `event`, `kind`) is unique, so that a mail is queued once.

    `subject` is the order's number, or empty; `event` is the number of the order's event, or another key. `data` holds
    the values of the template that the order does not have. A mail that is sent again, because no reply said whether
    it had been accepted, has the same `message_id`; one that staff resend has a new one. `error` is the last failure,
    as codes of the server without its text, which may contain addresses.
    """

    __tablename__ = "mails"
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[MailKind] = mapped_column(EnumText(MailKind))
    subject: Mapped[str] = mapped_column(Text)
    event: Mapped[str] = mapped_column(Text)
    order_id: Mapped[int | None] = mapped_column(ForeignKey("orders.id"), index=True)
    recipient: Mapped[str] = mapped_column(Text)
    language: Mapped[str] = mapped_column(Text)
    data: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    message_id: Mapped[str] = mapped_column(Text)
    state: Mapped[MailState] = mapped_column(EnumText(MailState))
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    next_attempt_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    error: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        UniqueConstraint("subject", "event", "kind"),
        CheckConstraint(f"state IN ({_KNOWN})", name="state_known"),
        CheckConstraint("(state = 'QUEUED') = (next_attempt_at IS NOT NULL)", name="due_while_queued"),
        Index("ix_mails_due", "next_attempt_at", postgresql_where=_DUE, sqlite_where=_DUE),
        Index("ix_mails_state", "state", "id"),
        Index("ix_mails_recipient", "recipient"),
        Index(
            "ix_mails_alert",
            "event",
            postgresql_where=_ALERT,
            sqlite_where=_ALERT,
            postgresql_ops={"event": "text_pattern_ops"},  # for the search by prefix in any collation
        ),
    )
