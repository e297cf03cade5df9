"""Lookup of orders by an exact id of any kind, and by the beginning of an e-mail address.

Every query is an equality on an index, or a range of one. There is no search for parts of a text, which would read
whole tables.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    and_,
    bindparam,
    func,
    literal,
    literal_column,
    or_,
    select,
    union_all,
)

from shop.core import email_address, ids, text
from shop.core.db import db
from shop.core.money import Money
from shop.core.prefix import begins_with, in_order
from shop.ledger.models import Journal
from shop.orders.models import Order
from shop.orders.states import OrderState
from shop.payments.records.models import THEIR_IDS, Capture, Payment, PaymentUpdateRow, Refund, WebhookEventRow
from shop.payments.records.settlement_models import Discrepancy, Dispute, SettlementLineRow
from shop.payments.refunds import own_or_outside

LONGEST = 200
SHORTEST_ADDRESS = 3
"""Characters of an e-mail address that a search needs."""
MOST = 20
"""Orders that a search shows."""


class HitKind(StrEnum):
    """Kind of the id that was found."""

    ORDER = "order number"
    PAYMENT = "payment"
    PAYMENT_THERE = "payment at the acquirer"
    REFUND = "refund"
    REFUND_THERE = "refund at the acquirer"
    CAPTURE = "capture at the acquirer"
    DISPUTE = "dispute at the acquirer"
    SETTLEMENT_LINE = "settlement line"
    UNMATCHED_LINE = "unmatched settlement line"
    EVENT = "webhook event"
    EMAIL = "e-mail address"


@dataclass(frozen=True)
class Hit:
    """A match: the kind of the id, the id or address itself, and the order; None for a webhook event or a settlement
    line that is about no order of ours.
    """

    kind: HitKind
    found: str
    order: Found | None


@dataclass(frozen=True)
class Found:
    """The number of an order, and facts that tell it from others."""

    number: str
    placed_at: datetime
    state: OrderState
    total: Money


def find(typed: str, providers: Collection[str]) -> list[Hit]:
    """Orders that have this id, or an address that begins with it; at most MOST + 1 of these. `providers` are known.
    The addresses count if no id is found. One statement.
    """
    words = text.tidy(typed)
    if not words or len(words) > LONGEST or text.is_unusable(words):
        return []
    known, plain = tuple(sorted(providers)), text.plain(words).upper()
    values = {
        "words": words,
        "plain": plain,
        "number": ids.read_order_number(words),
        "made_there": [own_or_outside.name_of(provider, words) for provider in known],
    }
    parts = [_by_id(known)]
    if len(prefix := email_address.for_lookup(words)) >= SHORTEST_ADDRESS:
        parts.append(_by_email(prefix))
    each = (select(part.subquery(f"found_by_{number}")) for number, part in enumerate(parts))
    every = union_all(*each).subquery("found_all")
    query = select(every).order_by(every.c.place, in_order(every.c.found), every.c.id)
    found = [Hit(HitKind(kind), of, _order(*order)) for _, _, kind, of, *order in db.session.execute(query, values)]
    return [hit for hit in found if hit.kind is not HitKind.EMAIL] or found


def _order(number: str | None, placed_at: datetime, state: OrderState, amount: int, currency: str) -> Found | None:
    return None if number is None else Found(number, placed_at, state, Money(amount, currency))


_FACTS: tuple[Any, ...] = (Order.number, Order.placed_at, Order.state, Order.total_amount, Order.currency)
_WORDS, _PLAIN, _NUMBER = (bindparam(name, type_=Text) for name in ("words", "plain", "number"))


@cache
def _by_id(providers: tuple[str, ...]) -> Select[Any]:
    """Select kind, id and order of what has the id, with its place in `_queries`. Made once, because that takes
    longer than the queries.
    """
    parts = []
    for place, (query, kind) in enumerate(_queries(providers)):
        one = query.limit(MOST + 1).subquery(f"found_{place}")
        found, number = one.c
        columns = (literal(place).label("place"), literal(kind, Text).label("kind"))
        parts.append(select(*columns, found.label("found"), number.label("number")))
    every = union_all(*parts).subquery("found_any")
    shown: tuple[Any, ...] = (every.c.place, Order.id, every.c.kind, every.c.found)
    return select(*shown, *_FACTS).outerjoin_from(every, Order, Order.number == every.c.number)


def _queries(providers: tuple[str, ...]) -> Iterator[tuple[Select[*tuple[Any, ...]], HitKind]]:
    """Selects of (id, order number), with the kind of the id."""
    order, of_payment = Order.number, Payment.order_id
    yield select(_NUMBER.label("found"), order).where(order == _NUMBER), HitKind.ORDER
    yield _of_order(select(Payment.id, order), of_payment, Payment.id == _PLAIN), HitKind.PAYMENT
    yield _of_order(select(Refund.id, order), Refund.order_id, Refund.id == _PLAIN), HitKind.REFUND
    payment = select(_WORDS.label("found"), order).select_from(Payment)
    yield _of_order(payment, of_payment, _their_payment()), HitKind.PAYMENT_THERE
    capture = select(Capture.capture_id, order).join(Payment, Payment.id == Capture.payment_id)
    theirs = and_(Capture.provider.in_(providers), Capture.capture_id == _WORDS)
    yield _of_order(capture, of_payment, theirs), HitKind.CAPTURE
    refund = select(_WORDS.label("found"), order).select_from(Refund)
    named = or_(Refund.acquirer_id == _WORDS, Refund.id.in_(bindparam("made_there", expanding=True)))
    yield _of_order(refund, Refund.order_id, named), HitKind.REFUND_THERE
    disputed = and_(Dispute.provider.in_(providers), Dispute.dispute_id == _WORDS)
    yield _of_order(select(Dispute.dispute_id, order), Dispute.order_id, disputed), HitKind.DISPUTE
    line = select(SettlementLineRow.line_id, order).join(Journal, Journal.key == SettlementLineRow.fact)
    settled = and_(SettlementLineRow.provider.in_(providers), SettlementLineRow.line_id == _WORDS)
    yield _of_order(line, Journal.order_id, settled), HitKind.SETTLEMENT_LINE
    unmatched = select(Discrepancy.about, order).outerjoin(Order, Order.id == Discrepancy.order_id).distinct()
    about_line = (Discrepancy.about == _WORDS, Discrepancy.ours.is_(None), Discrepancy.closed_at.is_(None))
    yield unmatched.where(*about_line), HitKind.UNMATCHED_LINE
    yield _event(providers), HitKind.EVENT


def _their_payment() -> ColumnElement[bool]:
    """The acquirer has the payment under this id. The text of the expressions is that of their indexes."""
    names: Iterator[ColumnElement[str]] = (
        literal_column(f"(payments.provider_data ->> '{name}')") for name in THEIR_IDS
    )
    return or_(*(name == _WORDS for name in names))


def _event(providers: tuple[str, ...]) -> Select[*tuple[Any, ...]]:
    """The event, with the order of the payment that it was applied to or names. It may have none."""
    event = select(WebhookEventRow.dedupe_key, Order.number).distinct()
    event = event.outerjoin(PaymentUpdateRow, PaymentUpdateRow.webhook_event_id == WebhookEventRow.id)
    payment = func.coalesce(PaymentUpdateRow.payment_id, WebhookEventRow.reference)
    event = event.outerjoin(Payment, Payment.id == payment).outerjoin(Order, Order.id == Payment.order_id)
    return event.where(WebhookEventRow.provider.in_(providers), WebhookEventRow.dedupe_key == _WORDS)


def _of_order(query: Select[*tuple[Any, ...]], order_id: Any, which: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    return query.join(Order, Order.id == order_id).where(which)


def _by_email(prefix: str) -> Select[Any]:
    """Select orders whose address begins with the prefix, in the order of the addresses and of the orders."""
    columns: tuple[Any, ...] = (literal(len(HitKind)).label("place"), Order.id)
    columns += (literal(HitKind.EMAIL, Text).label("kind"),)
    query = select(*columns, Order.email.label("found"), *_FACTS).where(begins_with(Order.email, prefix))
    return query.order_by(in_order(Order.email), Order.id).limit(MOST + 1)
