"""Payments, what they captured, what was heard about them, and the webhook inbox."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.db import Base, MinorUnits, UtcDateTime
from shop.core.money import Money
from shop.payments.states import STATES, STILL_OPEN

_KNOWN = ", ".join(f"'{s}'" for s in STATES)
_STILL_OPEN = text("state IN ({})".format(", ".join(f"'{s}'" for s in sorted(STILL_OPEN))))
_DUE = text("next_check_at IS NOT NULL")
_TO_APPLY = text("due_at IS NOT NULL")
_NOT_OURS = text("verdict IN ('orphan', 'foreign')")
_HINT = text("verdict = 'hint'")
TO_PROVIDER = "provider"
TO_STORE_CREDIT = "store_credit"
TO_BANK = "bank"
"""Where a refund goes: back through the acquirer, to the buyer's store credit, or to the buyer's bank account, sent by
people from ours.
"""


class Payment(Base):
    """One attempt to pay an order at one provider. Its id is the idempotency key and the reference at the acquirer.

    `provider_data` is the adapter's own; `action` is what the buyer does next; `next_check_at` is when we ask again,
    until the acquirer has reported a final state; `answered_at` is when the last question was put that was answered.
    """

    __tablename__ = "payments"
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), index=True)
    provider: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    amount: Mapped[MinorUnits]
    currency: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    opened_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    end_reason: Mapped[str | None] = mapped_column(Text)
    asked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    answered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    returned_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    visited_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cancel_requested_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    next_check_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    checks: Mapped[int] = mapped_column(default=0)
    unavailable_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    confirm_misses: Mapped[int] = mapped_column(default=0)
    provider_data: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    action: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    last_decline: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    instrument: Mapped[dict[str, Any] | None] = mapped_column(JSON)

    __table_args__ = (
        CheckConstraint(f"state IN ({_KNOWN})", name="state_known"),
        CheckConstraint("amount > 0", name="amount_positive"),
        Index("uq_payments_one_open", "order_id", unique=True, postgresql_where=_STILL_OPEN, sqlite_where=_STILL_OPEN),
        Index("ix_payments_due", "next_check_at", postgresql_where=_DUE, sqlite_where=_DUE),
    )

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)

    @property
    def shows_code(self) -> bool:
        """Whether the buyer was given a code to pay at a counter."""
        return self.action is not None and self.action["kind"] == "store_code"

    @property
    def is_open(self) -> bool:
        return self.state in STILL_OPEN

    def contradicts(self, theirs: Mapping[str, Any]) -> bool:
        """Whether the acquirer's own ids in `theirs` are those of another payment than the one we have."""
        return any(name in self.provider_data and self.provider_data[name] != one for name, one in theirs.items())


class Capture(Base):
    """Money that an acquirer took, by its own id. `standing` says what it is to the order: paid, second, late or
    mismatch.
    """

    __tablename__ = "captures"
    id: Mapped[int] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(Text)
    capture_id: Mapped[str] = mapped_column(Text)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payments.id"), index=True)
    amount: Mapped[MinorUnits]
    currency: Mapped[str] = mapped_column(Text)
    captured_at: Mapped[datetime] = mapped_column(UtcDateTime)
    heard_at: Mapped[datetime] = mapped_column(UtcDateTime)
    heard_from: Mapped[str] = mapped_column(Text)
    standing: Mapped[str | None] = mapped_column(Text)
    refunded_amount: Mapped[int] = mapped_column(BigInteger, default=0)

    __table_args__ = (
        UniqueConstraint("provider", "capture_id"),
        CheckConstraint("refunded_amount = 0 OR refunded_amount BETWEEN 0 AND amount", name="never_over_refunded"),
        CheckConstraint("standing IN ('paid', 'second', 'late', 'mismatch')", name="standing_known"),
        Index("ix_captures_heard", "provider", "heard_at"),
    )

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)


class Refund(Base):
    """Money on its way back. Its id is our reference and the idempotency key at the acquirer.

    It comes from one capture, or, without one, from the store credit that the order was paid with. `destination` says
    where it goes: the provider that took it, store_credit or bank. `kind` says why: customer, late, second or mismatch.
    One that needs a second person is not due until `approved_by`; one to a bank always does.
    """

    __tablename__ = "refunds"
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    capture_id: Mapped[int | None] = mapped_column(ForeignKey("captures.id"), index=True)
    payment_id: Mapped[str | None] = mapped_column(ForeignKey("payments.id"), index=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), index=True)
    destination: Mapped[str] = mapped_column(Text, default=TO_PROVIDER)
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text, default="")
    state: Mapped[str] = mapped_column(Text)
    asked_by: Mapped[str] = mapped_column(Text)
    needs_two: Mapped[bool] = mapped_column(default=False)
    approved_by: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    next_check_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    checks: Mapped[int] = mapped_column(default=0)
    rejected_code: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        CheckConstraint("state IN ('REQUESTED', 'PENDING', 'UNKNOWN', 'DONE', 'REJECTED')", name="state_known"),
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint("destination IN ('provider', 'store_credit', 'bank')", name="destination_known"),
        CheckConstraint("capture_id IS NOT NULL OR destination = 'store_credit'", name="provider_has_a_capture"),
        Index("ix_refunds_due", "next_check_at", postgresql_where=_DUE, sqlite_where=_DUE),
    )

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)

    @property
    def waits_for_somebody(self) -> bool:
        """Nobody else has agreed to it yet, and it may still be called off."""
        return self.needs_two and self.approved_by is None and self.state == "REQUESTED"


class Report(Base):
    """One thing that was heard about a payment, with its verdict. Queries that brought nothing new are only counted."""

    __tablename__ = "reports"
    id: Mapped[int] = mapped_column(primary_key=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payments.id"), index=True)
    inbox_id: Mapped[int | None] = mapped_column(ForeignKey("inbox.id"))
    heard_from: Mapped[str] = mapped_column(Text)
    verdict: Mapped[str] = mapped_column(Text)
    state: Mapped[str | None] = mapped_column(Text)
    facts: Mapped[dict[str, Any]] = mapped_column(JSON)
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    heard_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (Index("ix_reports_hints", "heard_at", postgresql_where=_HINT, sqlite_where=_HINT),)


class InboxRow(Base):
    """One webhook that verified, as it came. `verdict` is empty until it has been applied; `due_at` is when to try
    again.
    """

    __tablename__ = "inbox"
    id: Mapped[int] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(Text)
    dedupe_key: Mapped[str] = mapped_column(Text)
    body_hash: Mapped[str] = mapped_column(Text)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    headers: Mapped[dict[str, str]] = mapped_column(JSON)
    trust: Mapped[str] = mapped_column(Text)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    repeats: Mapped[int] = mapped_column(default=0)
    tries: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    verdict: Mapped[str | None] = mapped_column(Text)
    done_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    error: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        UniqueConstraint("provider", "dedupe_key"),
        Index("ix_inbox_due", "due_at", postgresql_where=_TO_APPLY, sqlite_where=_TO_APPLY),
        Index("ix_inbox_received", "provider", "received_at"),
        Index("ix_inbox_not_ours", "received_at", postgresql_where=_NOT_OURS, sqlite_where=_NOT_OURS),
    )


class RefusedNotice(Base):
    """A webhook that was turned away: forged, malformed, or an event id used again. Only the newest are kept."""

    __tablename__ = "refused_notices"
    id: Mapped[int] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(Text)
    verdict: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    headers: Mapped[dict[str, str]] = mapped_column(JSON)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (Index("ix_refused_notices_received", "provider", "verdict", "received_at"),)


class ProviderHealth(Base):
    """Whether a provider answers: failures in a row, since when, and until when we leave it alone."""

    __tablename__ = "provider_health"
    provider: Mapped[str] = mapped_column(Text, primary_key=True)
    failures: Mapped[int] = mapped_column(default=0)
    unavailable_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    paused_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
