"""Lock the rows around a payment and read the snapshot of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

from flask import current_app
from sqlalchemy import Row, Select, bindparam, exists, false, func, select

from shop.core.db import db, table
from shop.inventory.models import Reservation, Stock
from shop.inventory.states import ReservationState
from shop.ledger.models import CreditHold, StoreCredit
from shop.orders.models import IS_LIVE, Order
from shop.orders.states import UNPAID_END
from shop.payments.records import locking
from shop.payments.records.models import Capture, Payment, WebhookEventRow
from shop.payments.updates.decide import code_action
from shop.payments.updates.snapshot import (
    CodeSeen,
    CreditSeen,
    OrderSeen,
    PaymentSeen,
    PaymentUpdate,
    ReservationSeen,
    Share,
    Snapshot,
)
from shop.pricing import uses

_PAYMENTS, _ORDERS, _CAPTURES = table(Payment), table(Order), table(Capture)
_STOCK, _RESERVATIONS, _WEBHOOK_EVENTS = table(Stock), table(Reservation), table(WebhookEventRow)
_HOLDS, _CREDITS = table(CreditHold), table(StoreCredit)
_PAYMENT_COLUMNS = [_PAYMENTS.c[one.name] for one in fields(PaymentSeen)]
_ORDER_COLUMNS = [_ORDERS.c[one.name] for one in fields(OrderSeen)]
_BESIDE = _PAYMENTS.alias()
_OF_ORDER = select(*_PAYMENT_COLUMNS).where(_PAYMENTS.c.order_id == bindparam("order"))
_ORDER_OF_PAYMENT = select(_BESIDE.c.order_id).where(_BESIDE.c.id == bindparam("payment")).scalar_subquery()
_BESIDE_PAYMENT = select(*_PAYMENT_COLUMNS).where(_PAYMENTS.c.order_id == _ORDER_OF_PAYMENT)
_IS_KNOWN = exists().where(
    _WEBHOOK_EVENTS.c.provider == bindparam("provider"), _WEBHOOK_EVENTS.c.dedupe_key == bindparam("dedupe_key")
)


def _order_with(known: Any, order_id: Any) -> Select[Any]:
    """The order with its reservations and what one payment of it has captured; a row for each pair of both."""
    return (
        select(
            *_ORDER_COLUMNS,
            _RESERVATIONS.c.sku.label("sku"),
            _RESERVATIONS.c.quantity.label("quantity"),
            _RESERVATIONS.c.state.label("reservation_state"),
            _CAPTURES.c.capture_id.label("capture_id"),
            known.label("event_known"),
        )
        .select_from(
            _ORDERS.outerjoin(_RESERVATIONS, _RESERVATIONS.c.order_id == _ORDERS.c.id).outerjoin(
                _CAPTURES, _CAPTURES.c.payment_id == bindparam("payment")
            )
        )
        .where(_ORDERS.c.id == order_id)
    )


_ORDER = _order_with(false(), bindparam("order"))
_ORDER_FOR_UPDATE = _order_with(false(), _ORDER_OF_PAYMENT)
_ORDER_FOR_EVENT = _order_with(_IS_KNOWN, _ORDER_OF_PAYMENT)
_OF_OTHERS = select(_CAPTURES.c.capture_id).where(
    _CAPTURES.c.provider == bindparam("provider"),
    _CAPTURES.c.capture_id.in_(bindparam("captures", expanding=True)),
    _CAPTURES.c.payment_id != bindparam("payment"),
)
_STOCK_OF = (
    select(_STOCK.c.sku, (_STOCK.c.on_hand - _STOCK.c.reserved).label("free"))
    .where(_STOCK.c.sku.in_(bindparam("skus", expanding=True)))
    .order_by(_STOCK.c.sku)
)
_HOLD = select(_HOLDS.c.user_id, _HOLDS.c.currency, _HOLDS.c.amount, _HOLDS.c.state).where(
    _HOLDS.c.order_id == bindparam("order")
)
_CREDIT = select(_CREDITS.c.balance - _CREDITS.c.held).where(
    _CREDITS.c.user_id == bindparam("user"), _CREDITS.c.currency == bindparam("currency")
)


def around_payment(
    update: PaymentUpdate, now: datetime, *, event: tuple[str, str] | None = None, lock: bool = True
) -> Snapshot | None:
    """Return the snapshot for an update, locked until the transaction ends; None for an unknown payment or one of
    another provider.

    `event` is the provider and key of a webhook event, to see whether it was stored before; captures of other payments
    are not looked up then, and the unique index refuses them. Without `lock`, nothing is locked.
    """
    values = {"payment": update.payment_id, **dict(zip(("provider", "dedupe_key"), event or (), strict=False))}
    found = locking.rows(_BESIDE_PAYMENT, _ORDER_FOR_EVENT if event else _ORDER_FOR_UPDATE, values, lock=lock)
    if not any(one["id"] == update.payment_id and update.provider in (None, one["provider"]) for one in found[0]):
        return None
    seen = _snapshot(*found)
    new = [capture.id for capture in update.facts.captures if capture.id not in seen.booked]
    if new:
        seen = _with_holdings(seen, lock)
        if event is None:
            seen = replace(seen, of_others=_of_others(seen.payment(update.payment_id), new))
    show, payment = update.facts.show, seen.payment(update.payment_id)
    if show is not None and payment.is_open and payment.action != code_action(show):
        seen = replace(seen, shares=_shares(seen.order.id, now, lock))
    return seen


def _of_others(payment: PaymentSeen, capture_ids: Sequence[str]) -> frozenset[str]:
    """Those of the captures that are booked for another payment of this provider."""
    rows = _execute(_OF_OTHERS, {"provider": payment.provider, "captures": capture_ids, "payment": payment.id})
    return frozenset(row.capture_id for row in rows)


def of_order(order_id: int) -> Snapshot:
    """Return the snapshot of an order, locked until the transaction ends. Raises NoResultFound."""
    found = locking.rows(_OF_ORDER, _ORDER, {"order": order_id, "payment": ""}, lock=True)
    return _with_holdings(_snapshot(*found), lock=True)


def _snapshot(payments: locking.Found, rows: locking.Found) -> Snapshot:
    first = rows[0]
    reservations = {row["sku"]: (row["quantity"], row["reservation_state"]) for row in rows if row["sku"]}
    return Snapshot(
        OrderSeen(**{one.name: first[one.name] for one in _ORDER_COLUMNS}),
        tuple(PaymentSeen(**row) for row in payments),
        frozenset(row["capture_id"] for row in rows if row["capture_id"] is not None),
        tuple(ReservationSeen(sku, *reserved) for sku, reserved in reservations.items()),
        event_known=bool(first["event_known"]),
    )


def _with_holdings(seen: Snapshot, lock: bool) -> Snapshot:
    """Add the order's reservations and held store credit; of an ended order, also how much can be held again, and its
    discount code.
    """
    ended = seen.order.state in UNPAID_END
    if seen.order.credit_amount:
        seen = replace(seen, credit=_credit(seen.order.id, lock=lock and ended, with_free=ended))
    if ended:
        seen = replace(seen, released_code=_released_code(seen.order.id, lock))
    if ended and seen.reservations:
        statement = _STOCK_OF.with_for_update() if lock else _STOCK_OF
        skus = [one.sku for one in seen.reservations]
        free = {row.sku: row.free for row in _execute(statement, {"skus": skus})}
        seen = replace(seen, reservations=tuple(replace(one, free=free[one.sku]) for one in seen.reservations))
    return seen


def _credit(order_id: int, *, lock: bool, with_free: bool) -> CreditSeen | None:
    rows = _execute(_HOLD, {"order": order_id})
    if not rows:
        return None
    held = CreditSeen(**rows[0]._mapping)
    if not with_free:
        return held
    statement = _CREDIT.with_for_update() if lock else _CREDIT
    free = _execute(statement, {"user": held.user_id, "currency": held.currency})
    return replace(held, free=free[0][0] if free else 0)


def _released_code(order_id: int, lock: bool) -> CodeSeen | None:
    """The discount code of an ended order. The row of the code is locked, so that no other order can use it."""
    found = uses.released(order_id, lock=lock)
    return None if found is None else CodeSeen(*found)


def _shares(order_id: int, now: datetime, lock: bool) -> tuple[Share, ...]:
    """Return the share of stock that the order takes of each product. Stock is locked, so that the second of two orders
    that get codes at the same time counts the first.
    """
    reserved = (
        select(_RESERVATIONS.c.sku, _RESERVATIONS.c.quantity, _STOCK.c.on_hand)
        .join(_STOCK, _STOCK.c.sku == _RESERVATIONS.c.sku)
        .where(_RESERVATIONS.c.order_id == order_id, _RESERVATIONS.c.state == ReservationState.HELD)
        .order_by(_RESERVATIONS.c.sku)
    )
    rows = _execute(reserved.with_for_update(of=_STOCK) if lock else reserved, {})
    held = _held_long([row.sku for row in rows], order_id, now)
    return tuple(Share(row.quantity, held.get(row.sku, 0), row.on_hand) for row in rows)


def _held_long(skus: list[str], except_for: int, now: datetime) -> dict[str, int]:
    """Units by SKU that unpaid orders hold for longer than an order without a code can."""
    soon = now + timedelta(seconds=max(current_app.config[name] for name in ("PAY_WITHIN", "PAY_WITHIN_STORE_LARGE")))
    query = (
        select(Reservation.sku, func.sum(Reservation.quantity))
        .join(Order, Order.id == Reservation.order_id)
        .where(IS_LIVE, Order.pay_by > soon, Order.id != except_for)
        .where(Reservation.sku.in_(skus), Reservation.state == ReservationState.HELD)
        .group_by(Reservation.sku)
    )
    return {row[0]: int(row[1]) for row in db.session.execute(query)}


def _execute(statement: Select[Any], values: dict[str, Any]) -> Sequence[Row[Any]]:
    return db.session.execute(statement, values).all()
