"""The acquirer's tables. Times are on the run's clock unless the name starts with `wall_`; money is in minor units."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from mock_acquirer.db import Model, Moment
from mock_acquirer.times import wall_now

DEFAULT_RUN = "default"


def new_id(prefix: str) -> str:
    """A new id of 120 random bits, such as `pay_…`."""
    return f"{prefix}_{secrets.token_hex(15)}"


class Run(Model):
    """An isolated run: its own clock, seed, faults and payments. Parallel tests use one each."""

    __tablename__ = "runs"
    name: Mapped[str] = mapped_column(primary_key=True)
    offset_us: Mapped[int] = mapped_column(BigInteger, default=0)
    payment_seq: Mapped[int] = mapped_column(default=0)
    wall_draining_until: Mapped[datetime | None] = mapped_column(Moment)
    wall_created_at: Mapped[datetime] = mapped_column(Moment, default=wall_now)


class FaultPlan(Model):
    """The fault plan of one level (scenario, payment, endpoint, global) for one owner of a run.

    `scenario` is the name of the scenario that it belongs to.
    """

    __tablename__ = "fault_plans"
    __table_args__ = (UniqueConstraint("run", "level", "owner"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    run: Mapped[str]
    level: Mapped[str]
    owner: Mapped[str]
    version: Mapped[str]
    plan: Mapped[dict[str, Any]] = mapped_column(JSON)
    scenario: Mapped[str | None]


class Counter(Model):
    """Number of times that a fault was drawn or used; `times` and the random draws depend on it."""

    __tablename__ = "counters"
    run: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    used: Mapped[int] = mapped_column(default=0)


class FaultUse(Model):
    """A fault that fired."""

    __tablename__ = "fault_uses"
    id: Mapped[int] = mapped_column(primary_key=True)
    run: Mapped[str] = mapped_column(index=True)
    payment_id: Mapped[str | None] = mapped_column(index=True)
    at: Mapped[datetime] = mapped_column(Moment)
    level: Mapped[str]
    fault: Mapped[str]
    detail: Mapped[dict[str, Any]] = mapped_column(JSON)


class Payment(Model):
    """A payment session of a merchant. Only `engine` writes its state.

    `wire` holds the dialect's own fields of the merchant's request (such as its metadata); only the dialect reads it.
    """

    __tablename__ = "payments"
    __table_args__ = (
        Index("ix_payments_run_reference", "run", "reference"),
        Index("ix_payments_state_expires", "state", "expires_at"),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    run: Mapped[str] = mapped_column(ForeignKey("runs.name"))
    number: Mapped[int]
    dialect: Mapped[str]
    merchant: Mapped[str]
    reference: Mapped[str]
    state: Mapped[str]
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    capture_method: Mapped[str]
    return_url: Mapped[str] = mapped_column(Text)
    webhook_url: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text, default="")
    locale: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment)
    ended_at: Mapped[datetime | None] = mapped_column(Moment)
    ended_by: Mapped[str | None]
    declines: Mapped[int] = mapped_column(default=0)
    last_decline: Mapped[str | None]
    card: Mapped[str | None]
    brand: Mapped[str | None]
    last4: Mapped[str | None]
    capture_due_at: Mapped[datetime | None] = mapped_column(Moment, index=True)
    method: Mapped[str] = mapped_column(default="card", server_default="card")
    store_code: Mapped[str | None]
    refund_seq: Mapped[int] = mapped_column(default=0, server_default="0")
    wire: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict, server_default="{}")
    captures: Mapped[list[Capture]] = relationship(order_by="Capture.position", lazy="selectin", viewonly=True)
    refunds: Mapped[list[Refund]] = relationship(order_by="Refund.position", viewonly=True)
    disputes: Mapped[list[Dispute]] = relationship(
        primaryjoin="and_(Payment.id == foreign(Dispute.payment_id), Dispute.state != 'scheduled')",
        order_by="Dispute.opened_at",
        viewonly=True,
    )


class Capture(Model):
    """Captured money; with a fault a payment has two captures.

    `refunded` is refunded or pending, `disputed` is withdrawn by a bank: together never more than `amount`, which the
    conditional UPDATEs of `refunds` and `disputes` enforce.
    """

    __tablename__ = "captures"
    __table_args__ = (UniqueConstraint("payment_id", "position"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payments.id"))
    position: Mapped[int]
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    captured_at: Mapped[datetime] = mapped_column(Moment)
    refunded: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    disputed: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")


class Refund(Model):
    """A refund. `reference` is the merchant's own id of it; `state` pending, succeeded or failed.

    At `due_at` it becomes `due_state`. `wire` holds the dialect's own fields of the merchant's request.
    """

    __tablename__ = "refunds"
    __table_args__ = (UniqueConstraint("payment_id", "reference"), UniqueConstraint("payment_id", "position"))
    id: Mapped[str] = mapped_column(primary_key=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payments.id"))
    capture_id: Mapped[str] = mapped_column(ForeignKey("captures.id"), index=True)
    position: Mapped[int]
    reference: Mapped[str]
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    state: Mapped[str]
    reason: Mapped[str] = mapped_column(Text, default="", server_default="")
    created_at: Mapped[datetime] = mapped_column(Moment)
    changed_at: Mapped[datetime] = mapped_column(Moment)
    succeeded_at: Mapped[datetime | None] = mapped_column(Moment)
    due_at: Mapped[datetime | None] = mapped_column(Moment, index=True)
    due_state: Mapped[str | None]
    wire: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict, server_default="{}")


class Dispute(Model):
    """A dispute of a capture. `state` is scheduled (by a test card), open, won or lost.

    A chargeback withdraws the money when it opens and returns it when it is won; an inquiry moves no money.
    """

    __tablename__ = "disputes"
    id: Mapped[str] = mapped_column(primary_key=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payments.id"), index=True)
    capture_id: Mapped[str] = mapped_column(ForeignKey("captures.id"), unique=True)
    kind: Mapped[str]
    reason: Mapped[str]
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    state: Mapped[str]
    opened_at: Mapped[datetime] = mapped_column(Moment)
    respond_by: Mapped[datetime] = mapped_column(Moment)
    closed_at: Mapped[datetime | None] = mapped_column(Moment)
    due_at: Mapped[datetime | None] = mapped_column(Moment, index=True)


class TimelineEntry(Model):
    """A timeline entry of a payment: calls, page actions, states, control."""

    __tablename__ = "timeline"
    id: Mapped[int] = mapped_column(primary_key=True)
    run: Mapped[str] = mapped_column(index=True)
    payment_id: Mapped[str] = mapped_column(index=True)
    at: Mapped[datetime] = mapped_column(Moment)
    wall_at: Mapped[datetime] = mapped_column(Moment, default=wall_now)
    kind: Mapped[str]
    text: Mapped[str] = mapped_column(Text)


class Event(Model):
    """A webhook event, in the bytes in which it is sent."""

    __tablename__ = "events"
    id: Mapped[str] = mapped_column(primary_key=True)
    run: Mapped[str] = mapped_column(index=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payments.id"), index=True)
    type: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(Moment)
    body: Mapped[str] = mapped_column(Text)
    content_type: Mapped[str]


class Delivery(Model):
    """Delivery of an event to an address. `due_at` is authoritative; queues only make it sooner.

    States: pending, held (until `hold_until` is delivered, or a resend), delivered, given_up, disabled.
    """

    __tablename__ = "deliveries"
    __table_args__ = (Index("ix_deliveries_state_due", "state", "due_at"),)
    position: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    run: Mapped[str] = mapped_column(ForeignKey("runs.name"), index=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payments.id"), index=True)
    event_id: Mapped[str] = mapped_column(ForeignKey("events.id"), index=True)
    url: Mapped[str] = mapped_column(Text)
    state: Mapped[str]
    due_at: Mapped[datetime] = mapped_column(Moment)
    attempts_made: Mapped[int] = mapped_column(default=0)
    hold_until: Mapped[str | None]
    parallel: Mapped[bool] = mapped_column(default=False)
    inline: Mapped[bool] = mapped_column(default=False)
    faults: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    claim: Mapped[str | None]
    wall_claimed_until: Mapped[datetime | None] = mapped_column(Moment)
    wall_handed_until: Mapped[datetime | None] = mapped_column(Moment)
    event: Mapped[Event] = relationship(lazy="joined", viewonly=True)
    attempts: Mapped[list[Attempt]] = relationship(order_by="Attempt.id", viewonly=True)


class Attempt(Model):
    """An attempt to deliver: request, response, and faults used."""

    __tablename__ = "attempts"
    id: Mapped[int] = mapped_column(primary_key=True)
    delivery_id: Mapped[str] = mapped_column(ForeignKey("deliveries.id"), index=True)
    number: Mapped[int]
    at: Mapped[datetime] = mapped_column(Moment)
    wall_at: Mapped[datetime] = mapped_column(Moment)
    outcome: Mapped[str]
    request_headers: Mapped[dict[str, str]] = mapped_column(JSON)
    request_body: Mapped[str] = mapped_column(Text)
    signed_string: Mapped[str] = mapped_column(Text)
    status: Mapped[int | None]
    answer_headers: Mapped[dict[str, str]] = mapped_column(JSON)
    answer: Mapped[str] = mapped_column(Text)
    milliseconds: Mapped[int]
    next_due_at: Mapped[datetime | None] = mapped_column(Moment)
    faults_used: Mapped[list[str]] = mapped_column(JSON)


class DisabledEndpoint(Model):
    """An address that answered 410: no deliveries are sent to it until a resend is accepted."""

    __tablename__ = "disabled_endpoints"
    run: Mapped[str] = mapped_column(primary_key=True)
    url: Mapped[str] = mapped_column(Text, primary_key=True)
    at: Mapped[datetime] = mapped_column(Moment)


class StoredAnswer(Model):
    """The stored response of an Idempotency-Key; `status` is empty while the call is in flight."""

    __tablename__ = "stored_answers"
    run: Mapped[str] = mapped_column(primary_key=True)
    dialect: Mapped[str] = mapped_column(primary_key=True)
    merchant: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    token: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(Moment)
    wall_in_flight_until: Mapped[datetime] = mapped_column(Moment)
    status: Mapped[int | None]
    body: Mapped[str | None] = mapped_column(Text)


class Secret(Model):
    """A webhook secret created by rotation. Without a row, the secret of the settings is valid."""

    __tablename__ = "secrets"
    id: Mapped[int] = mapped_column(primary_key=True)
    run: Mapped[str] = mapped_column(index=True)
    dialect: Mapped[str]
    merchant: Mapped[str]
    secret: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(Moment)
    valid_until: Mapped[datetime | None] = mapped_column(Moment)
