"""Lookup of orders by an exact id of any kind, and by the beginning of an e-mail address.

Every query is an equality on an index, or a range of one. There is no search for parts of a text, which would read
whole tables.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, select

from shop.core import email_address, ids, text
from shop.core.db import db
from shop.orders.models import Order
from shop.payments.records.models import Capture, Payment, PaymentUpdateRow, Refund, WebhookEventRow
from shop.payments.records.settlement_models import Dispute

LONGEST = 200
SHORTEST_ADDRESS = 3
"""Characters of an e-mail address that a search needs."""
MOST = 20
"""Orders that a search shows."""
_LAST = "\U0010ffff"


class HitKind(StrEnum):
    """Kind of the id that was found."""

    ORDER = "order number"
    PAYMENT = "payment"
    REFUND = "refund"
    CAPTURE = "capture at the acquirer"
    DISPUTE = "dispute at the acquirer"
    EVENT = "webhook event"
    EMAIL = "e-mail address"


@dataclass(frozen=True)
class Hit:
    """An order that was found: the kind of the id, the id or address itself, and the order's number."""

    kind: HitKind
    found: str
    number: str


def find(typed: str, providers: Collection[str]) -> list[Hit]:
    """Orders that have this id, or an address that begins with it; at most MOST + 1 of these. `providers` are known."""
    words = text.tidy(typed)
    if not words or len(words) > LONGEST or text.is_unusable(words):
        return []
    found = [hit for query, kind in _queries(words, providers) for hit in _hits(query, kind)]
    return found or _by_email(words)


def _queries(words: str, providers: Collection[str]) -> Iterator[tuple[Select[*tuple[Any, ...]], HitKind]]:
    """Selects of (id, order number), with the kind of the id."""
    plain = text.plain(words).upper()
    number = ids.read_order_number(words)
    yield select(Order.number, Order.number).where(Order.number == number), HitKind.ORDER
    if ids.is_payment_id(plain):
        yield _of_order(select(Payment.id, Order.number), Payment.order_id, Payment.id == plain), HitKind.PAYMENT
    if ids.is_refund_id(plain):
        yield _of_order(select(Refund.id, Order.number), Refund.order_id, Refund.id == plain), HitKind.REFUND
    capture = select(Capture.capture_id, Order.number).join(Payment, Payment.id == Capture.payment_id)
    theirs = and_(Capture.provider.in_(providers), Capture.capture_id == words)
    yield _of_order(capture, Payment.order_id, theirs), HitKind.CAPTURE
    disputed = and_(Dispute.provider.in_(providers), Dispute.dispute_id == words)
    yield _of_order(select(Dispute.dispute_id, Order.number), Dispute.order_id, disputed), HitKind.DISPUTE
    event = select(WebhookEventRow.dedupe_key, Order.number).distinct()
    event = event.join(PaymentUpdateRow, PaymentUpdateRow.webhook_event_id == WebhookEventRow.id)
    event = event.join(Payment, Payment.id == PaymentUpdateRow.payment_id)
    sent = and_(WebhookEventRow.provider.in_(providers), WebhookEventRow.dedupe_key == words)
    yield _of_order(event, Payment.order_id, sent), HitKind.EVENT


def _of_order(query: Select[*tuple[Any, ...]], order_id: Any, which: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    return query.join(Order, Order.id == order_id).where(which)


def _hits(query: Select[*tuple[Any, ...]], kind: HitKind) -> list[Hit]:
    return [Hit(kind, found, number) for found, number in db.session.execute(query.limit(MOST + 1))]


def _by_email(words: str) -> list[Hit]:
    """Orders whose address begins with the words, in the order of the addresses and of the orders."""
    prefix = email_address.for_lookup(words)
    if len(prefix) < SHORTEST_ADDRESS:
        return []
    query = select(Order.email, Order.number).where(_begins_with(prefix))
    return _hits(query.order_by(Order.email, Order.id), HitKind.EMAIL)


def _begins_with(prefix: str) -> ColumnElement[bool]:
    """The address begins with `prefix`, in the form for which the database uses its index."""
    if db.engine.dialect.name == "postgresql":
        return Order.email.startswith(prefix, autoescape=True)  # the index has text_pattern_ops
    return and_(Order.email >= prefix, Order.email < prefix + _LAST)
