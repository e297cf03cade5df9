"""Tables of outgoing webhooks: endpoints, events with their bodies, deliveries, and attempts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.actor import Actor
from shop.core.column_types import ActorText, EnumText
from shop.core.db import Base, UtcDateTime
from shop.outgoing_webhooks.kinds import DeliveryState, DisabledBecause

_DUE = text("next_attempt_at IS NOT NULL")
_PRESENT = text("deleted_at IS NULL")


class WebhookEndpoint(Base):
    """An address that receives events.

    `secret` is encrypted (`shop.core.sealed`), and so is `former_secret`, which signs too until `former_until`;
    `rotations` counts the rotations. `failing_since` is the first failure since the last success, `unanswered` the
    number of attempts without an answer since the last answer. Until `lane_until` a process delivers to the endpoint,
    or the endpoint gets a pause. A deleted endpoint has no secret; its row stays while its deliveries are kept.
    """

    __tablename__ = "webhook_endpoints"
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    url: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text)
    event_types: Mapped[list[str]] = mapped_column(JSON)
    secret: Mapped[str] = mapped_column(Text)
    former_secret: Mapped[str | None] = mapped_column(Text)
    former_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    rotations: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by: Mapped[Actor] = mapped_column(ActorText)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    disabled_because: Mapped[DisabledBecause | None] = mapped_column(EnumText(DisabledBecause))
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    attempted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    succeeded_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    unanswered: Mapped[int] = mapped_column(default=0)
    lane_until: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        CheckConstraint("disabled_because IN ('staff', 'gone', 'failing')", name="reason_known"),
        CheckConstraint("(disabled_at IS NULL) = (disabled_because IS NULL)", name="disabled_for_a_reason"),
        Index("ix_webhook_endpoints_url", "url", unique=True, postgresql_where=_PRESENT, sqlite_where=_PRESENT),
    )


class OutgoingEvent(Base):
    """An event as it is sent: `body` is the JSON text, written once and never changed.

    (`order_id`, `seq`) is the event of the order's history; both are empty for a test event. `event_id` is the id in
    the body and in the header `webhook-id`. The body contains no personal data.
    """

    __tablename__ = "outgoing_events"
    id: Mapped[int] = mapped_column(primary_key=True)
    event_id: Mapped[str] = mapped_column(Text, unique=True)
    type: Mapped[str] = mapped_column(Text)
    order_id: Mapped[int | None] = mapped_column(ForeignKey("orders.id"))
    seq: Mapped[int | None]
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    body: Mapped[str] = mapped_column(Text)

    __table_args__ = (
        UniqueConstraint("order_id", "seq"),
        Index("ix_outgoing_events_at", "occurred_at", "id"),
    )


class WebhookDelivery(Base):
    """The delivery of one event to one endpoint. `tries` and `tried_from` count from the last (re)send; `error` is the
    last failure in words.
    """

    __tablename__ = "webhook_deliveries"
    id: Mapped[int] = mapped_column(primary_key=True)
    endpoint_id: Mapped[str] = mapped_column(ForeignKey("webhook_endpoints.id"))
    event_id: Mapped[int] = mapped_column(ForeignKey("outgoing_events.id"), index=True)
    state: Mapped[DeliveryState] = mapped_column(EnumText(DeliveryState))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    tries: Mapped[int] = mapped_column(default=0)
    tried_from: Mapped[datetime | None] = mapped_column(UtcDateTime)
    next_attempt_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    delivered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    error: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        UniqueConstraint("endpoint_id", "event_id"),
        CheckConstraint("state IN ('QUEUED', 'DELIVERED', 'FAILED')", name="state_known"),
        CheckConstraint("(state = 'QUEUED') = (next_attempt_at IS NOT NULL)", name="due_while_queued"),
        Index(
            "ix_webhook_deliveries_due",
            *("endpoint_id", "next_attempt_at", "id"),
            postgresql_where=_DUE,
            sqlite_where=_DUE,
        ),
        Index("ix_webhook_deliveries_next", "next_attempt_at", postgresql_where=_DUE, sqlite_where=_DUE),
        Index("ix_webhook_deliveries_state", "endpoint_id", "state", "id"),
    )


class DeliveryAttempt(Base):
    """An attempt at a delivery: the status of the answer and the beginning of its body, or the failure in words."""

    __tablename__ = "delivery_attempts"
    id: Mapped[int] = mapped_column(primary_key=True)
    delivery_id: Mapped[int] = mapped_column(ForeignKey("webhook_deliveries.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    ms: Mapped[int]
    status: Mapped[int | None]
    answer: Mapped[str] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
