"""Requests that wait for a second person, with what that person has to know, read anew for each page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CompoundSelect,
    Row,
    Select,
    Text,
    cast,
    func,
    literal,
    null,
    select,
    type_coerce,
    union_all,
)

from shop.accounts.models import User
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.money import Money
from shop.credit_gifts.models import CreditGift, GiftState
from shop.ledger.models import Funds
from shop.ops import order_forms
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

    The reader may only withdraw their own one (`is_own`). The requester of a refund to a bank (`is_to_bank`)
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
    is_own: bool
    is_to_bank: bool = False


def requests(reader: Actor) -> list[Request]:
    """All requests that wait, oldest first. Three statements, however many there are."""
    refunding, others = db.session.execute(_refunds()).all(), db.session.execute(_others()).all()
    actors = {refund.requested_by for refund, _, _ in refunding} | {one.requested_by for one in others}
    emails = _emails({actor.user_id for actor in actors} | {one.user_id for one in others})
    found = [_refund(refund, order, capture, emails, reader) for refund, order, capture in refunding]
    found += [_other(one, emails, reader) for one in others]
    return sorted(found, key=lambda one: (one.requested_at, one.id))


def _refunds() -> Select[Refund, Order, Capture]:
    query = select(Refund, Order, Capture).join(Order, Order.id == Refund.order_id)
    return query.outerjoin(Capture, Capture.id == Refund.capture_id).where(*refund_requests.IS_WAITING)


def _others() -> CompoundSelect[Any]:
    """The other kinds in the same columns. `user_id` is the customer of a gift; `there` the settled money for a payout,
    or the total of the order of a shortfall; `captured` what was paid of it.
    """
    gift = _columns("store credit", CreditGift, CreditGift.reason, user_id=CreditGift.user_id)
    payout = _columns("payout", Payout, Payout.note, there=func.coalesce(Funds.settled, 0))
    of_order = {"number": Order.number, "state": type_coerce(Order.state, Text), "there": Order.total_amount}
    short = _columns("shortfall", ShortfallRequest, ShortfallRequest.reason, **of_order, captured=Capture.amount)
    short = short.select_from(ShortfallRequest).join(Order, Order.id == ShortfallRequest.order_id)
    return union_all(
        gift.where(CreditGift.state == GiftState.REQUESTED),
        payout.outerjoin(Funds, Funds.currency == Payout.currency).where(Payout.state == PayoutState.REQUESTED),
        short.join(Capture, Capture.id == ShortfallRequest.capture_id).where(*shortfalls.IS_WAITING),
    )


def _columns(kind: str, table: Any, reason: Any, **more: Any) -> Select[Any]:
    columns = (table.id, table.currency, table.amount, reason.label("reason"), table.requested_by, table.requested_at)
    empty: dict[str, Any] = {name: cast(null(), BigInteger) for name in ("user_id", "there", "captured")}
    empty |= {name: cast(null(), Text) for name in ("number", "state")}
    return select(
        literal(kind, Text).label("kind"), *columns, *(one.label(name) for name, one in (empty | more).items())
    )


def _refund(refund: Refund, order: Order, capture: Capture | None, names: Names, reader: Actor) -> Request:
    return Request(
        kind="refund",
        id=refund.id,
        order_number=order.number,
        about=f"to {order_forms.DESTINATIONS[refund.destination]}",
        money=refund.money,
        requested_by=names.get(refund.requested_by.user_id, str(refund.requested_by)),
        requested_at=refund.created_at,
        reason=refund.reason,
        now=_present(refund, order, capture),
        is_own=refund.requested_by == reader,
        is_to_bank=refund.destination == RefundDestination.BANK,
    )


def _other(one: Row[Any], names: Names, reader: Actor) -> Request:
    about, now = _SENTENCES[one.kind](one, names)
    return Request(
        kind=one.kind,
        id=one.id,
        order_number=one.number,
        about=about,
        money=Money(one.amount, one.currency),
        requested_by=names.get(one.requested_by.user_id, str(one.requested_by)),
        requested_at=one.requested_at,
        reason=one.reason,
        now=now,
        is_own=one.requested_by == reader,
    )


def _of_gift(one: Row[Any], names: Names) -> tuple[str, str]:
    return f"for {names[one.user_id]}", ""


def _of_payout(one: Row[Any], names: Names) -> tuple[str, str]:
    settled = Money(max(0, one.there), one.currency)
    return "to the owner's bank", f"{settled.with_code()} of settled money are there."


def _of_shortfall(one: Row[Any], names: Names) -> tuple[str, str]:
    total, captured = Money(one.there, one.currency), Money(one.captured, one.currency)
    now = f"The order costs {total.with_code()} and is {words(one.state)}."
    return f"with a payment of {captured.with_code()}", now


_SENTENCES = {"store credit": _of_gift, "payout": _of_payout, "shortfall": _of_shortfall}
"""What a request is about, and its present numbers, by kind."""


def _present(refund: Refund, order: Order, capture: Capture | None) -> str:
    """Sentence with the present numbers. The amount of a waiting refund counts as refunded already."""
    state = f"The order is {words(order.state)}"
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
