"""Requests that wait for a second person, with what that person has to know, read anew for each page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import CompoundSelect, Integer, Row, Select, cast, func, literal, null, select, union_all

from shop.accounts.models import User
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.money import Money
from shop.credit_gifts.models import CreditGift, GiftState
from shop.ledger.models import Funds
from shop.ops.formats import words
from shop.orders.models import Order
from shop.payments.records.models import Capture, Refund, ShortfallRequest
from shop.payments.records.types import RefundDestination
from shop.payments.refunds import requests as refund_requests
from shop.payments.updates import shortfalls
from shop.payouts.models import Payout, PayoutState

Names = Mapping[int | None, str]
"""Addresses of accounts by their ids."""


@dataclass(frozen=True)
class Request:
    """A request for a decision about money. `now` is the sentence with the present numbers.

    `decide` is the endpoint that approves it, `withdraw` the one that declines it, `key` the name of the id in their
    addresses. The reader may only withdraw their own one (`is_own`). The requester of a refund to a bank (`is_to_bank`)
    sends it, and the second person checks that.
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
    is_to_bank: bool = False


def requests(reader: Actor) -> list[Request]:
    """All requests that wait, oldest first. Four statements, however many there are."""
    refunding, others = db.session.execute(_refunds()).all(), db.session.execute(_gifts_and_payouts()).all()
    short = db.session.execute(_shortfalls()).all()
    actors = {refund.requested_by for refund, _, _ in refunding} | {one.requested_by for one in others}
    actors |= {one.requested_by for one, _, _ in short}
    emails = _emails({actor.user_id for actor in actors} | {one.user_id for one in others})
    found = [_refund(refund, order, capture, emails, reader) for refund, order, capture in refunding]
    found += [_shortfall(row, order, capture, emails, reader) for row, order, capture in short]
    found += [_gift_or_payout(one, emails, reader) for one in others]
    return sorted(found, key=lambda one: (one.requested_at, one.id))


def _refunds() -> Select[Refund, Order, Capture]:
    query = select(Refund, Order, Capture).join(Order, Order.id == Refund.order_id)
    return query.outerjoin(Capture, Capture.id == Refund.capture_id).where(*refund_requests.IS_WAITING)


def _shortfalls() -> Select[ShortfallRequest, Order, Capture]:
    query = select(ShortfallRequest, Order, Capture).join(Order, Order.id == ShortfallRequest.order_id)
    return query.join(Capture, Capture.id == ShortfallRequest.capture_id).where(*shortfalls.IS_WAITING)


def _gifts_and_payouts() -> CompoundSelect[Any]:
    """Both kinds in the same columns. `user_id` is the customer of a gift, `settled` the money for a payout."""
    gift = select(
        literal("gift").label("kind"),
        *(CreditGift.id, CreditGift.user_id, CreditGift.currency, CreditGift.amount, CreditGift.reason),
        *(CreditGift.requested_by, CreditGift.requested_at, literal(0).label("settled")),
    ).where(CreditGift.state == GiftState.REQUESTED)
    payout = select(
        literal("payout").label("kind"),
        *(Payout.id, cast(null(), Integer), Payout.currency, Payout.amount, Payout.note),
        *(Payout.requested_by, Payout.requested_at, func.coalesce(Funds.settled, 0)),
    ).outerjoin(Funds, Funds.currency == Payout.currency)
    return union_all(gift, payout.where(Payout.state == PayoutState.REQUESTED))


def _refund(refund: Refund, order: Order, capture: Capture | None, names: Names, reader: Actor) -> Request:
    return Request(
        kind="refund",
        id=refund.id,
        order_number=order.number,
        about=_TO[refund.destination],
        money=refund.money,
        requested_by=names.get(refund.requested_by.user_id, str(refund.requested_by)),
        requested_at=refund.created_at,
        reason=refund.reason,
        now=_present(refund, order, capture),
        decide="ops.approvals.approve_refund",
        withdraw="ops.approvals.decline_refund",
        key="refund_id",
        is_own=refund.requested_by == reader,
        is_to_bank=refund.destination == RefundDestination.BANK,
    )


def _shortfall(short: ShortfallRequest, order: Order, capture: Capture, names: Names, reader: Actor) -> Request:
    return Request(
        kind="shortfall",
        id=short.id,
        order_number=order.number,
        about=f"with a payment of {capture.money.with_code()}",
        money=short.money,
        requested_by=names.get(short.requested_by.user_id, str(short.requested_by)),
        requested_at=short.requested_at,
        reason=short.reason,
        now=f"The order costs {order.total.with_code()} and is {words(order.state)}.",
        decide="ops.approvals.approve_shortfall",
        withdraw="ops.approvals.decline_shortfall",
        key="request_id",
        is_own=short.requested_by == reader,
    )


def _gift_or_payout(one: Row[Any], names: Names, reader: Actor) -> Request:
    is_gift = one.kind == "gift"
    settled = Money(max(0, one.settled), one.currency)
    return Request(
        kind="store credit" if is_gift else "payout",
        id=one.id,
        order_number=None,
        about=f"for {names[one.user_id]}" if is_gift else "to the owner's bank",
        money=Money(one.amount, one.currency),
        requested_by=names.get(one.requested_by.user_id, str(one.requested_by)),
        requested_at=one.requested_at,
        reason=one.reason,
        now="" if is_gift else f"{settled.with_code()} of settled money are there.",
        decide="ops.approvals.approve_gift" if is_gift else "ops.approvals.approve_payout",
        withdraw="ops.approvals.decline_gift" if is_gift else "ops.approvals.reject_payout",
        key="gift_id" if is_gift else "payout_id",
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
    if capture is None:
        return f"{state}; the amount was paid with store credit."
    captured = Money(capture.amount, capture.currency)
    others = Money(capture.refunded_amount - refund.amount, capture.currency)
    return (
        f"{state}; {captured.with_code()} were captured, and {others.with_code()} refunded or requested besides this."
    )


def names(actors: set[Actor]) -> dict[Actor, str]:
    """Display names: the address of an account, else the text of the actor. One query."""
    emails = _emails({actor.user_id for actor in actors})
    return {actor: emails.get(actor.user_id, str(actor)) for actor in actors}


def _emails(user_ids: set[int | None]) -> Names:
    """Addresses by the ids of their accounts. One query."""
    known = select(User.id, User.email).where(User.id.in_(user_ids - {None}))
    return {row.id: row.email for row in db.session.execute(known)}
