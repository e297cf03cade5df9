"""Requests that wait for a second person, with what that person has to know, read anew for each page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from flask import url_for
from sqlalchemy import (
    BigInteger,
    Row,
    Select,
    Text,
    bindparam,
    cast,
    func,
    literal,
    null,
    select,
    tuple_,
    type_coerce,
    union_all,
)

from shop.accounts.models import User
from shop.core import keyset
from shop.core.actor import Actor
from shop.core.db import UtcDateTime, db
from shop.core.keyset import ON_A_PAGE, Page, Place, Position
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
    is_to_bank: bool

    @property
    def position(self) -> Position:
        return Position(self.requested_at, self.id)


def requests(reader: Actor, place: Place = keyset.FIRST, *, limit: int = ON_A_PAGE) -> Page[Request]:
    """A page of the requests that wait, oldest first. Two statements."""
    found = db.session.execute(_page(place.is_backwards, place.beyond is not None, limit + 1), _position(place)).all()
    emails = _emails({one.requested_by.user_id for one in found} | {one.user_id for one in found})
    return keyset.page([_request(one, emails, reader) for one in found], place, limit)


def before(request_id: str, requested_at: datetime) -> Position:
    """The position after which the page begins whose first request is this one."""
    return Position(requested_at - timedelta(microseconds=1), request_id)


def address(request_id: str, requested_at: datetime) -> str:
    """The place of a request on its page of the list."""
    after = str(before(request_id, requested_at))
    return url_for("ops.approvals.index", after=after, _anchor=f"request-{request_id}")


def _position(place: Place) -> dict[str, Any]:
    return {"beyond_at": place.beyond.at, "beyond_id": place.beyond.id} if place.beyond else {}


@cache
def _page(is_backwards: bool, has_position: bool, limit: int) -> Select[Any]:
    """The query of a page. It is cached, because making it takes longer than running it."""
    each = union_all(*_kinds()).subquery()
    place = tuple_(each.c.requested_at, each.c.id)
    query = select(each)
    if has_position:
        beyond = tuple_(bindparam("beyond_at", type_=UtcDateTime), bindparam("beyond_id", type_=Text))
        query = query.where(place < beyond if is_backwards else place > beyond)
    sorting = (each.c.requested_at, each.c.id)
    return query.order_by(*(one.desc() if is_backwards else one for one in sorting)).limit(limit)


def _kinds() -> Iterator[Select[Any]]:
    """The kinds of requests in the same columns. `user_id` is the customer of a gift; `there` the settled money for a
    payout, or the total of the order of a shortfall; `captured` what was captured, `refunded` what is refunded or
    requested of it, all in the currency of the request.
    """
    of_order = {"number": Order.number, "state": type_coerce(Order.state, Text), "captured": Capture.amount}
    refund = _columns(
        "refund",
        Refund,
        Refund.reason,
        **of_order,
        refunded=Capture.refunded_amount,
        destination=type_coerce(Refund.destination, Text),
    )
    refund = refund.select_from(Refund).join(Order, Order.id == Refund.order_id)
    yield refund.outerjoin(Capture, Capture.id == Refund.capture_id).where(*refund_requests.IS_WAITING)
    gift = _columns("store credit", CreditGift, CreditGift.reason, user_id=CreditGift.user_id)
    yield gift.where(CreditGift.state == GiftState.REQUESTED)
    payout = _columns("payout", Payout, Payout.note, there=func.coalesce(Funds.settled, 0))
    yield payout.outerjoin(Funds, Funds.currency == Payout.currency).where(Payout.state == PayoutState.REQUESTED)
    short = _columns("shortfall", ShortfallRequest, ShortfallRequest.reason, **of_order, there=Order.total_amount)
    short = short.select_from(ShortfallRequest).join(Order, Order.id == ShortfallRequest.order_id)
    yield short.join(Capture, Capture.id == ShortfallRequest.capture_id).where(*shortfalls.IS_WAITING)


def _columns(kind: str, table: Any, reason: Any, **more: Any) -> Select[Any]:
    columns = (table.id, table.currency, table.amount, reason.label("reason"), table.requested_by)
    empty: dict[str, Any] = {name: cast(null(), BigInteger) for name in ("user_id", "there", "captured", "refunded")}
    empty |= {name: cast(null(), Text) for name in ("number", "state", "destination")}
    at = Refund.created_at if table is Refund else table.requested_at
    return select(
        literal(kind, Text).label("kind"),
        *columns,
        at.label("requested_at"),
        *(one.label(name) for name, one in (empty | more).items()),
    )


def _request(one: Row[Any], names: Names, reader: Actor) -> Request:
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
        is_to_bank=one.destination == RefundDestination.BANK,
    )


def _of_refund(one: Row[Any], _names: Names) -> tuple[str, str]:
    """The amount of a waiting refund counts as refunded already."""
    about, state = f"to {order_forms.DESTINATIONS[one.destination]}", f"The order is {words(one.state)}"
    if one.captured is None:
        return about, f"{state}; the amount was paid with store credit."
    captured, others = Money(one.captured, one.currency), Money(one.refunded - one.amount, one.currency)
    now = f"{captured.with_code()} were captured, and {others.with_code()} refunded or requested besides this."
    return about, f"{state}; {now}"


def _of_gift(one: Row[Any], names: Names) -> tuple[str, str]:
    return f"for {names[one.user_id]}", ""


def _of_payout(one: Row[Any], names: Names) -> tuple[str, str]:
    settled = Money(max(0, one.there), one.currency)
    return "to the owner's bank", f"{settled.with_code()} of settled money are there."


def _of_shortfall(one: Row[Any], names: Names) -> tuple[str, str]:
    total, captured = Money(one.there, one.currency), Money(one.captured, one.currency)
    now = f"The order costs {total.with_code()} and is {words(one.state)}."
    return f"with a payment of {captured.with_code()}", now


_SENTENCES = {"refund": _of_refund, "store credit": _of_gift, "payout": _of_payout, "shortfall": _of_shortfall}
"""What a request is about, and its present numbers, by kind."""


def names(actors: set[Actor]) -> dict[Actor, str]:
    """Display names: the address of an account, else the text of the actor. One query."""
    emails = _emails({actor.user_id for actor in actors})
    return {actor: emails.get(actor.user_id, str(actor)) for actor in actors}


def _emails(user_ids: set[int | None]) -> Names:
    """Addresses by the ids of their accounts. One query."""
    known = select(User.id, User.email).where(User.id.in_(user_ids - {None}))
    return {row.id: row.email for row in db.session.execute(known)}
