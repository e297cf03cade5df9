"""Details of a webhook of the inbox: content, outcome, and what it changed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import or_, select

from shop.core import audit_search, redacted
from shop.core.actor import Actor
from shop.core.audit import SubjectKind
from shop.core.audit_search import Entry
from shop.core.db import db
from shop.orders.models import Order, OrderEvent
from shop.payments.providers.types import Outcome, Trust
from shop.payments.records.models import Payment, PaymentUpdateRow, RefusedWebhook, WebhookEventRow
from shop.payments.records.types import Source
from shop.payments.webhooks import content
from shop.payments.webhooks.filters import State
from shop.payments.webhooks.pages import state_of

_KEY = re.compile(r"(refused-)?([1-9][0-9]{0,8})", re.ASCII)
_AT_ONCE = timedelta(seconds=5)
"""Time within which a refund or a dispute is written after its webhook is applied."""


@dataclass(frozen=True)
class Detail:
    """A webhook. `headers` and `body` are redacted. `updates` are the payment updates that it brought, `events` what
    these added to the history of the order, and `acts` what staff did with it. The fields after `body` are empty for a
    refused one, but for `reason`.
    """

    key: str
    provider: str
    outcome: Outcome | None
    state: State
    received_at: datetime
    headers: Mapping[str, str]
    body: str
    fields: Sequence[tuple[str, str]]
    reason: str = ""
    trust: Trust | None = None
    summary: str = ""
    event_id: str = ""
    payment: str | None = None
    order_number: str | None = None
    repeats: int = 0
    attempts: int = 0
    next_attempt: datetime | None = None
    done_at: datetime | None = None
    error: str | None = None
    not_ours: str | None = None
    took_ms: int | None = None
    updates: Sequence[PaymentUpdateRow] = ()
    events: Sequence[OrderEvent] = ()
    acts: Sequence[Entry] = field(default=())

    @property
    def id(self) -> int | None:
        """The id of a stored webhook; None for a refused one."""
        return int(self.key) if self.key.isdigit() else None


def stored_id(key: str) -> int | None:
    """The id of the stored webhook with this key; None for other keys."""
    found = _KEY.fullmatch(key)
    return int(found[2]) if found and not found[1] else None


def load(key: str) -> Detail | None:
    """The webhook with this key (see `pages.Row`), or None."""
    found = _KEY.fullmatch(key)
    if found is None:
        return None
    return _refused(int(found[2])) if found[1] else _stored(int(found[2]))


def _refused(refused_id: int) -> Detail | None:
    row = db.session.get(RefusedWebhook, refused_id)
    if row is None:
        return None
    return Detail(
        f"refused-{row.id}",
        row.provider,
        row.outcome,
        State.REFUSED,
        row.received_at,
        redacted.headers(row.headers),
        redacted.body(row.body),
        redacted.fields(row.body),
        reason=row.reason,
    )


def _stored(webhook_event_id: int) -> Detail | None:
    row = db.session.get(WebhookEventRow, webhook_event_id, populate_existing=True)
    if row is None:
        return None
    of_webhook = select(PaymentUpdateRow).where(PaymentUpdateRow.webhook_event_id == row.id)
    updates = db.session.scalars(of_webhook.order_by(PaymentUpdateRow.id)).all()
    payment = updates[0].payment_id if updates else row.reference
    ours = select(Order.id, Order.number).join(Payment, Payment.order_id == Order.id)
    order = db.session.execute(ours.where(Payment.id == payment, Payment.provider == row.provider)).one_or_none()
    subject = audit_search.Filters(subject_kind=SubjectKind.WEBHOOK, subject_id=str(row.id))
    return Detail(
        str(row.id),
        row.provider,
        row.outcome,
        state_of(row.done_at, row.error),
        row.received_at,
        redacted.headers(row.headers),
        redacted.body(row.body),
        redacted.fields(row.body),
        trust=row.trust,
        summary=content.summary(row.provider, row.headers, row.body),
        event_id=row.dedupe_key,
        payment=payment,
        order_number=order.number if order else None,
        repeats=row.repeats,
        attempts=row.tries,
        next_attempt=row.due_at,
        done_at=row.done_at,
        error=row.error,
        not_ours=row.not_ours,
        took_ms=row.took_ms,
        updates=updates,
        events=_events(order.id, row, updates) if order else (),
        acts=audit_search.find(subject).rows,
    )


def _events(order_id: int, row: WebhookEventRow, updates: Sequence[PaymentUpdateRow]) -> Sequence[OrderEvent]:
    """Events in the history of the order that the webhook has added. An update and its events have the same time;
    refunds and disputes have no update, and are written just after the webhook is applied.
    """
    times = [OrderEvent.at == update.received_at for update in updates]
    if not updates and row.done_at is not None:
        times = [OrderEvent.at.between(row.done_at, row.done_at + _AT_ONCE)]
    if not times:
        return ()
    by_webhook = OrderEvent.actor == Actor.of_source(Source.WEBHOOK)
    which = select(OrderEvent).where(OrderEvent.order_id == order_id, by_webhook, or_(*times))
    return db.session.scalars(which.order_by(OrderEvent.seq)).all()
