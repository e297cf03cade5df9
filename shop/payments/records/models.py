"""Tables of payments, captures, updates, refunds, and the webhook inbox."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.actor import Actor
from shop.core.column_types import ActorText, EnumText
from shop.core.db import Base, MinorUnits, UtcDateTime
from shop.core.money import Money
from shop.payments.providers.types import ActionKind, Outcome, PaymentState, RefundState, Trust
from shop.payments.records import refund_states
from shop.payments.records.states import STILL_OPEN
from shop.payments.records.types import Allocation, RefundDestination, RefundKind, ShortfallState, Source

_KNOWN = ", ".join(f"'{s}'" for s in PaymentState)
_STILL_OPEN = text("state IN ({})".format(", ".join(f"'{s}'" for s in sorted(STILL_OPEN))))
_ENDED = text("state IN ({})".format(", ".join(f"'{s}'" for s in sorted(set(PaymentState) - STILL_OPEN))))
HAS_ENDED, IS_STILL_OPEN = (text(f"payments.{condition.text}") for condition in (_ENDED, _STILL_OPEN))
"""Conditions that a payment has ended or is still open, with literals for the partial indexes."""
_DUE = text("next_check_at IS NOT NULL")
_TO_APPLY = text("due_at IS NOT NULL")
_NOT_OURS = text("outcome IN ('orphan', 'foreign')")
_HINT = text("outcome = 'hint'")
_NOT_APPLIED = text("outcome <> 'applied'")
NOT_PAYING = text("captures.allocation <> 'pays_order'")
"""Condition that a capture pays for nothing, with literals for its partial index."""
_UNDECIDED = "state = 'REQUESTED'"
SHORTFALL_UNDECIDED = text(f"shortfall_requests.{_UNDECIDED}")
"""Condition of a request that is not decided, with literals for its partial index."""
THEIR_IDS = ("id", "intent", "code_id", "payment_id")
"""Names in `provider_data` of the acquirers' ids of a payment, by which staff find it. Each has an index."""
_UNDER_WAY = "state IN ({})".format(", ".join(f"'{s}'" for s in sorted(refund_states.UNDER_WAY)))
REFUND_UNDER_WAY = text(f"refunds.{_UNDER_WAY}")
"""Condition that the result of a refund is not known yet, with literals for its partial index."""


class Payment(Base):
    """An attempt to pay an order at one provider. Its id is the idempotency key and the reference at the acquirer.

    `provider_data` is the adapter's own; `action` is the customer's next action; `next_check_at` is when it is polled
    next, until the acquirer has reported a final state; `answered_at` is when the last poll was sent that was answered.
    Until `watched_until` the order's page counts as open.
    """

    __tablename__ = "payments"
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), index=True)
    provider: Mapped[str] = mapped_column(Text)
    state: Mapped[PaymentState] = mapped_column(EnumText(PaymentState))
    amount: Mapped[MinorUnits]
    currency: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    opened_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    end_reason: Mapped[str | None] = mapped_column(Text)
    polled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    answered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    returned_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    visited_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    watched_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
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
        *(Index(f"ix_payments_their_{name}", text(f"(provider_data ->> '{name}')")) for name in THEIR_IDS),
        Index("ix_payments_created", "created_at"),
        Index("ix_payments_due", "next_check_at", postgresql_where=_DUE, sqlite_where=_DUE),
        Index(
            "ix_payments_ended",
            *("state", "provider", "order_id"),
            postgresql_where=_ENDED,
            sqlite_where=_ENDED,
        ),
    )

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)

    @property
    def shows_code(self) -> bool:
        """True if the customer has a store payment code."""
        return self.action is not None and self.action["kind"] == ActionKind.STORE_CODE

    @property
    def is_open(self) -> bool:
        return self.state in STILL_OPEN


class Capture(Base):
    """Captured money, by the acquirer's own id. `allocation` is pays_order, duplicate, late or mismatch."""

    __tablename__ = "captures"
    id: Mapped[int] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(Text)
    capture_id: Mapped[str] = mapped_column(Text)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payments.id"), index=True)
    amount: Mapped[MinorUnits]
    currency: Mapped[str] = mapped_column(Text)
    captured_at: Mapped[datetime] = mapped_column(UtcDateTime)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    source: Mapped[Source] = mapped_column(EnumText(Source))
    allocation: Mapped[Allocation] = mapped_column(EnumText(Allocation))
    refunded_amount: Mapped[int] = mapped_column(BigInteger, default=0)

    __table_args__ = (
        UniqueConstraint("provider", "capture_id"),
        CheckConstraint("refunded_amount = 0 OR refunded_amount BETWEEN 0 AND amount", name="never_over_refunded"),
        CheckConstraint("allocation IN ('pays_order', 'duplicate', 'late', 'mismatch')", name="allocation_known"),
        Index("ix_captures_received", "provider", "received_at"),
        Index(
            "ix_captures_not_paying",
            "allocation",
            postgresql_where=text("allocation <> 'pays_order'"),
            sqlite_where=text("allocation <> 'pays_order'"),
        ),
    )

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)


class Refund(Base):
    """A refund. Its id is our reference and the idempotency key at the acquirer.

    It comes from one capture, or, without one, from the store credit that the order was paid with. `destination` says
    where it goes: the provider that took it, store_credit or bank. `kind` says why: customer, late, duplicate, mismatch
    or outside. One that needs a second person is not due until `approved_by`; one to a bank always does. `acquirer_id`
    is the acquirer's id of ours, once a report has named it.
    """

    __tablename__ = "refunds"
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    capture_id: Mapped[int | None] = mapped_column(ForeignKey("captures.id"), index=True)
    payment_id: Mapped[str | None] = mapped_column(ForeignKey("payments.id"), index=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), index=True)
    destination: Mapped[RefundDestination] = mapped_column(
        EnumText(RefundDestination), default=RefundDestination.PROVIDER
    )
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text)
    kind: Mapped[RefundKind] = mapped_column(EnumText(RefundKind))
    reason: Mapped[str] = mapped_column(Text, default="")
    state: Mapped[RefundState] = mapped_column(EnumText(RefundState))
    requested_by: Mapped[Actor] = mapped_column(ActorText)
    needs_two: Mapped[bool] = mapped_column(default=False)
    approved_by: Mapped[Actor | None] = mapped_column(ActorText)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    next_check_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    checks: Mapped[int] = mapped_column(default=0)
    rejected_code: Mapped[str | None] = mapped_column(Text)
    acquirer_id: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        CheckConstraint("state IN ('REQUESTED', 'PENDING', 'UNKNOWN', 'DONE', 'REJECTED')", name="state_known"),
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint("destination IN ('provider', 'store_credit', 'bank')", name="destination_known"),
        CheckConstraint("capture_id IS NOT NULL OR destination <> 'provider'", name="provider_has_a_capture"),
        CheckConstraint("approved_by <> requested_by", name="two_people"),
        Index("ix_refunds_due", "next_check_at", postgresql_where=_DUE, sqlite_where=_DUE),
        Index(
            "ix_refunds_acquirer_id",
            "acquirer_id",
            postgresql_where=text("acquirer_id IS NOT NULL"),
            sqlite_where=text("acquirer_id IS NOT NULL"),
        ),
        Index("ix_refunds_under_way", "order_id", postgresql_where=text(_UNDER_WAY), sqlite_where=text(_UNDER_WAY)),
    )

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)

    @property
    def awaits_approval(self) -> bool:
        return refund_states.awaits_approval(self.state, self.approved_by, needs_two=self.needs_two)


class ShortfallRequest(Base):
    """A request to accept a capture of less than the price: REQUESTED by one person, APPROVED or DECLINED by another.

    `amount` is what is missing. `waiting_amount` is the sum of all captures of the order that waited for a decision at
    the request; when it has changed, the request is outdated.
    """

    __tablename__ = "shortfall_requests"
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    capture_id: Mapped[int] = mapped_column(ForeignKey("captures.id"))
    currency: Mapped[str] = mapped_column(Text)
    amount: Mapped[MinorUnits]
    waiting_amount: Mapped[MinorUnits]
    reason: Mapped[str] = mapped_column(Text)
    state: Mapped[ShortfallState] = mapped_column(EnumText(ShortfallState))
    requested_by: Mapped[Actor] = mapped_column(ActorText)
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime)
    decided_by: Mapped[Actor | None] = mapped_column(ActorText)
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint("state IN ('REQUESTED', 'APPROVED', 'DECLINED')", name="state_known"),
        CheckConstraint("decided_by <> requested_by OR state <> 'APPROVED'", name="two_people"),
        Index(
            "ix_shortfall_requests_waiting",
            "capture_id",
            unique=True,
            postgresql_where=text(_UNDECIDED),
            sqlite_where=text(_UNDECIDED),
        ),
    )

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)


class PaymentUpdateRow(Base):
    """An update of a payment, with its outcome. Queries that brought nothing new are only counted."""

    __tablename__ = "payment_updates"
    id: Mapped[int] = mapped_column(primary_key=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payments.id"), index=True)
    webhook_event_id: Mapped[int | None] = mapped_column(ForeignKey("webhook_events.id"), index=True)
    source: Mapped[Source] = mapped_column(EnumText(Source))
    outcome: Mapped[Outcome] = mapped_column(EnumText(Outcome))
    state: Mapped[PaymentState | None] = mapped_column(EnumText(PaymentState))
    facts: Mapped[dict[str, Any]] = mapped_column(JSON)
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (Index("ix_payment_updates_hints", "received_at", postgresql_where=_HINT, sqlite_where=_HINT),)


class WebhookEventRow(Base):
    """A verified webhook event, as it was received. `outcome` is empty until it has been applied; `due_at` is when to
    try again. `reference` is the payment id that it names, which need not exist. `not_ours` says why an event whose
    outcome is foreign deserves an alert. `took_ms` is how long the last attempt to apply it took, without the commit.
    """

    __tablename__ = "webhook_events"
    id: Mapped[int] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(Text)
    dedupe_key: Mapped[str] = mapped_column(Text)
    body_hash: Mapped[str] = mapped_column(Text)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    headers: Mapped[dict[str, str]] = mapped_column(JSON)
    trust: Mapped[Trust] = mapped_column(EnumText(Trust))
    reference: Mapped[str | None] = mapped_column(Text)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    repeats: Mapped[int] = mapped_column(default=0)
    tries: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    outcome: Mapped[Outcome | None] = mapped_column(EnumText(Outcome))
    done_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    error: Mapped[str | None] = mapped_column(Text)
    not_ours: Mapped[str | None] = mapped_column(Text)
    took_ms: Mapped[int | None]

    __table_args__ = (
        UniqueConstraint("provider", "dedupe_key"),
        Index("ix_webhook_events_due", "due_at", postgresql_where=_TO_APPLY, sqlite_where=_TO_APPLY),
        Index("ix_webhook_events_received", "provider", "received_at"),
        Index("ix_webhook_events_at", "received_at", "id"),
        Index("ix_webhook_events_reference", "reference", "received_at"),
        Index("ix_webhook_events_waiting", "received_at", "id", postgresql_where=_TO_APPLY, sqlite_where=_TO_APPLY),
        Index(
            "ix_webhook_events_outcome",
            *("outcome", "received_at", "id"),
            postgresql_where=_NOT_APPLIED,
            sqlite_where=_NOT_APPLIED,
        ),
        Index("ix_webhook_events_not_ours", "received_at", postgresql_where=_NOT_OURS, sqlite_where=_NOT_OURS),
    )


class RefusedWebhook(Base):
    """A webhook that was turned away: forged, malformed, or an event id used again. Only the newest are kept."""

    __tablename__ = "refused_webhooks"
    id: Mapped[int] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(Text)
    outcome: Mapped[Outcome] = mapped_column(EnumText(Outcome))
    reason: Mapped[str] = mapped_column(Text)
    headers: Mapped[dict[str, str]] = mapped_column(JSON)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (Index("ix_refused_webhooks_received", "provider", "outcome", "received_at"),)


class ProviderHealth(Base):
    """Health of a provider: consecutive failures, their start, and the end of the pause in calls."""

    __tablename__ = "provider_health"
    provider: Mapped[str] = mapped_column(Text, primary_key=True)
    failures: Mapped[int] = mapped_column(default=0)
    unavailable_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    paused_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
