"""Requests that wait for a second person, with what that person has to know, read anew for each page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from shop.accounts.models import User
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.money import Money
from shop.credit_gifts import gifts
from shop.ledger import funds
from shop.ops.formats import words
from shop.orders.models import Order
from shop.payments.records.models import Capture, Refund
from shop.payments.records.types import RefundDestination
from shop.payments.refunds import refunds
from shop.payments.updates import shortfalls
from shop.payouts import payouts


@dataclass(frozen=True)
class Request:
    """A request for a decision about money. `now` is the sentence with the present numbers.

    `decide` is the endpoint that approves it, `withdraw` the one that declines it, `key` the name of the id in their
    addresses. The reader may only withdraw their own one (`is_own`).
    """

    kind: str
    id: str
    order_number: str | None
    about: str
    money: Money
    requested_by: str
    requested_at: datetime
    reason: str
    now: str
    decide: str
    withdraw: str
    key: str
    is_own: bool


def requests(reader: Actor) -> list[Request]:
    """All requests that wait, oldest first."""
    found = [*_refunds(reader), *_shortfalls(reader), *_gifts(reader), *_payouts(reader)]
    return sorted(found, key=lambda one: (one.requested_at, one.id))


def _refunds(reader: Actor) -> Iterator[Request]:
    waiting = refunds.waiting()
    orders = _by_id(Order, {one.order_id for one in waiting})
    captures = _by_id(Capture, {one.capture_id for one in waiting if one.capture_id})
    whom = names({one.requested_by for one in waiting})
    for one in waiting:
        order = orders[one.order_id]
        yield Request(
            kind="refund",
            id=one.id,
            order_number=order.number,
            about=_TO[one.destination],
            money=one.money,
            requested_by=whom[one.requested_by],
            requested_at=one.created_at,
            reason=one.reason,
            now=_present(one, order, captures.get(one.capture_id or 0)),
            decide="ops.approvals.approve_refund",
            withdraw="ops.approvals.decline_refund",
            key="refund_id",
            is_own=one.requested_by == reader,
        )


_TO = {
    RefundDestination.PROVIDER: "to the payment method",
    RefundDestination.STORE_CREDIT: "to store credit",
    RefundDestination.BANK: "to a bank",
}


def _present(refund: Refund, order: Order, capture: Capture | None) -> str:
    """Sentence with the present numbers. The amount of a waiting refund counts as refunded already."""
    state = f"The order is {order.state.replace('_', ' ').lower()}"
    if refund.destination == RefundDestination.BANK:
        state = f"Send the money to the customer's bank yourself, then approve. {state}"
    if capture is None:
        return f"{state}; the amount was paid with store credit."
    captured = Money(capture.amount, capture.currency)
    others = Money(capture.refunded_amount - refund.amount, capture.currency)
    return (
        f"{state}; {captured.with_code()} were captured, and {others.with_code()} refunded or requested besides this."
    )


def _shortfalls(reader: Actor) -> Iterator[Request]:
    waiting = shortfalls.waiting()
    orders = _by_id(Order, {one.order_id for one in waiting})
    captures = _by_id(Capture, {one.capture_id for one in waiting})
    whom = names({one.requested_by for one in waiting})
    for one in waiting:
        order, captured = orders[one.order_id], captures[one.capture_id].money
        yield Request(
            kind="shortfall",
            id=one.id,
            order_number=order.number,
            about=f"with a payment of {captured.with_code()}",
            money=one.money,
            requested_by=whom[one.requested_by],
            requested_at=one.requested_at,
            reason=one.reason,
            now=f"The order costs {order.total.with_code()} and is {words(order.state)}.",
            decide="ops.approvals.approve_shortfall",
            withdraw="ops.approvals.decline_shortfall",
            key="request_id",
            is_own=one.requested_by == reader,
        )


def _by_id(model: Any, ids: set[int]) -> dict[int, Any]:
    """Rows by their ids. One statement."""
    return {row.id: row for row in db.session.scalars(select(model).where(model.id.in_(ids)))}


def _gifts(reader: Actor) -> Iterator[Request]:
    waiting = gifts.waiting()
    whose = {
        user.id: user.email
        for user in db.session.scalars(select(User).where(User.id.in_({one.user_id for one in waiting})))
    }
    whom = names({one.requested_by for one in waiting})
    for one in waiting:
        yield Request(
            kind="store credit",
            id=one.id,
            order_number=None,
            about=f"for {whose[one.user_id]}",
            money=one.money,
            requested_by=whom[one.requested_by],
            requested_at=one.requested_at,
            reason=one.reason,
            now="",
            decide="ops.approvals.approve_gift",
            withdraw="ops.approvals.decline_gift",
            key="gift_id",
            is_own=one.requested_by == reader,
        )


def _payouts(reader: Actor) -> Iterator[Request]:
    waiting = payouts.waiting()
    whom = names({one.requested_by for one in waiting})
    settled = {currency: funds.settled(currency) for currency in {one.currency for one in waiting}}
    for one in waiting:
        yield Request(
            kind="payout",
            id=one.id,
            order_number=None,
            about="to the owner's bank",
            money=one.money,
            requested_by=whom[one.requested_by],
            requested_at=one.requested_at,
            reason=one.note,
            now=f"{settled[one.currency].with_code()} of settled money are there.",
            decide="ops.approvals.approve_payout",
            withdraw="ops.approvals.reject_payout",
            key="payout_id",
            is_own=one.requested_by == reader,
        )


def names(actors: set[Actor]) -> dict[Actor, str]:
    """Display names: the address of an account, else the text of the actor. One query."""
    ids = {actor.user_id for actor in actors if actor.user_id is not None}
    emails = {user.id: user.email for user in db.session.scalars(select(User).where(User.id.in_(ids)))}
    return {actor: emails.get(actor.user_id or 0, str(actor)) for actor in actors}
