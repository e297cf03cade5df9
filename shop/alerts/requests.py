"""Requests that wait for a second person about money and roles, as one list of one statement."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import CompoundSelect, Integer, Select, Text, cast, literal, null, select, union_all

from shop.accounts.models import RoleRequest, RoleRequestState
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.money import Money
from shop.credit_gifts.models import CreditGift, GiftState
from shop.orders.models import Order
from shop.payments.providers.types import RefundState
from shop.payments.records.models import REFUND_UNDER_WAY, Capture, Refund, ShortfallRequest
from shop.payments.updates import shortfalls
from shop.payouts.models import Payout, PayoutState

ROLES = "roles-"
"""Before the number of a request for roles, which may be that of another request."""


@dataclass(frozen=True)
class Request:
    """A request. `kind` is refund, shortfall, payout, store credit or roles. Roles have no amount; refunds and
    shortfalls have an order.
    """

    kind: str
    id: str
    order_id: int | None
    order_number: str | None
    money: Money | None
    requested_by: Actor
    requested_at: datetime


def load(limit: int, before: datetime | None = None) -> list[Request]:
    """Requests that wait, oldest first; with `before` those requested until then. One statement."""
    rows = db.session.execute(waiting(before).order_by("requested_at", "id").limit(limit))
    return [
        Request(
            row.kind,
            row.id,
            row.order_id,
            row.number,
            Money(row.amount, row.currency) if row.currency else None,
            row.requested_by,
            row.requested_at,
        )
        for row in rows
    ]


def waiting(before: datetime | None = None) -> CompoundSelect[Any]:
    """Select the columns of requests that wait; with `before` those requested until then."""
    kinds = (_refunds(), _shortfalls(), _payouts(), _gifts(), _roles())
    return union_all(*(_until(query, before) for query in kinds))


def waits(name: str) -> bool:
    """True if the request with this id waits; the id of one for roles begins with ROLES."""
    queries = [_roles()] if name.startswith(ROLES) else [_refunds(), _shortfalls(), _payouts(), _gifts()]
    together = union_all(*queries).subquery()
    id = name.removeprefix(ROLES)
    return db.session.scalar(select(together.c.id).where(together.c.id == id).limit(1)) is not None


def _refunds() -> Select[Any]:
    """As `Refund.awaits_approval`, along the index of refunds under way."""
    found = _columns("refund", Refund, Refund.created_at, Refund.order_id, Order.number).join(
        Order, Order.id == Refund.order_id
    )
    waits = (Refund.state == RefundState.REQUESTED, Refund.needs_two, Refund.approved_by.is_(None))
    return found.where(REFUND_UNDER_WAY, *waits)


def _shortfalls() -> Select[Any]:
    columns = _columns("shortfall", ShortfallRequest, ShortfallRequest.requested_at, Order.id, Order.number)
    of_orders = columns.select_from(ShortfallRequest).join(Order, Order.id == ShortfallRequest.order_id)
    of_captures = of_orders.join(Capture, Capture.id == ShortfallRequest.capture_id)
    return of_captures.where(*shortfalls.IS_WAITING)


def _payouts() -> Select[Any]:
    return _columns("payout", Payout, Payout.requested_at).where(Payout.state == PayoutState.REQUESTED)


def _gifts() -> Select[Any]:
    return _columns("store credit", CreditGift, CreditGift.requested_at).where(CreditGift.state == GiftState.REQUESTED)


def _roles() -> Select[Any]:
    is_open = RoleRequest.state == literal(RoleRequestState.REQUESTED, Text, literal_execute=True)
    return _columns("roles", RoleRequest, RoleRequest.requested_at).where(is_open)


def _columns(kind: str, table: Any, at: Any, order_id: Any = None, number: Any = None) -> Select[Any]:
    is_money = hasattr(table, "amount")
    return select(
        literal(kind, Text).label("kind"),
        cast(table.id, Text).label("id"),
        (cast(null(), Integer) if order_id is None else order_id).label("order_id"),
        (cast(null(), Text) if number is None else number).label("number"),
        (table.amount if is_money else cast(null(), Integer)).label("amount"),
        (table.currency if is_money else cast(null(), Text)).label("currency"),
        (table.destination if table is Refund else cast(null(), Text)).label("destination"),
        table.requested_by.label("requested_by"),
        at.label("requested_at"),
    )


def _until(query: Select[Any], before: datetime | None) -> Select[Any]:
    return query if before is None else query.where(query.selected_columns.requested_at <= before)
