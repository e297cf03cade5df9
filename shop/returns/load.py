"""Load an order with its returns, under the lock of the order, which decides between concurrent changes of returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, select

from shop.core.db import db
from shop.core.errors import Refusal
from shop.core.line_kinds import LineKind
from shop.core.money import smallest
from shop.core.sentences import sentence
from shop.fulfilment import find as fulfilment
from shop.orders.fulfilment_states import FulfilmentState
from shop.orders.models import Order, OrderLine
from shop.returns import amounts
from shop.returns.models import Return, ReturnLine
from shop.returns.snapshot import LineRow, ReturnRow, Sent, Snapshot

SHIPPED_STATES = (FulfilmentState.PARTLY_SHIPPED, FulfilmentState.SHIPPED)
_ORDER: tuple[Any, ...] = (Order.id, Order.number, Order.state, Order.currency)
_ORDER += (Order.total_amount, Order.accepted_amount, Order.paid_at, Order.fulfilment)
_LINE: tuple[Any, ...] = (OrderLine.kind, OrderLine.sku, OrderLine.name, OrderLine.quantity, OrderLine.unit_amount)
_RETURN: tuple[Any, ...] = (Return.id, Return.reference, Return.form_key, Return.state, Return.reason, Return.comment)
_RETURN += (Return.message, Return.goods_amount, Return.delivery_amount, Return.granted_amount, Return.requested_at)
_RETURN += (Return.requested_by, Return.decided_by, Return.received_by, Return.closed_by)
_RETURN_LINE: tuple[Any, ...] = (ReturnLine.sku, ReturnLine.quantity, ReturnLine.restocked, ReturnLine.not_restocked)


def snapshot(order_id: int, *, lock: bool) -> Snapshot:
    """The order and its returns; with `lock`, the order stays locked until the transaction ends. Raises NoResultFound.

    Returns and their lines change only while their order is locked, so they are read after it.
    """
    of_order = select(*_ORDER).where(Order.id == order_id)
    order = db.session.execute(of_order.with_for_update() if lock else of_order).one()
    in_order = (
        select(*_LINE, OrderLine.is_included, OrderLine.rate)
        .where(OrderLine.order_id == order_id)
        .order_by(OrderLine.position)
    )
    lines = db.session.execute(in_order).all()
    price = order.total_amount if order.accepted_amount is None else order.accepted_amount
    return Snapshot(
        order_id=order.id,
        number=order.number,
        state=order.state,
        currency=order.currency,
        names={line.sku: line.name for line in lines if line.kind == LineKind.ITEM},
        price=amounts.price_of(lines, price, smallest(order.currency)),
        sent=sent(order, lines),
        returns=returns(order_id),
    )


def returns(order_id: int) -> tuple[ReturnRow, ...]:
    """The returns of an order, oldest first. One statement."""
    query = select(*_RETURN, *_RETURN_LINE).join(ReturnLine, ReturnLine.return_id == Return.id)
    rows = db.session.execute(query.where(Return.order_id == order_id).order_by(Return.id, ReturnLine.sku)).all()
    found: dict[int, list[Row[Any]]] = {}
    for row in rows:
        found.setdefault(row.id, []).append(row)
    return tuple(_return(of_return) for of_return in found.values())


def sent(order: Any, lines: Sequence[Any]) -> Sent:
    """Units that the customer can send back, and the start of the days for returns: the units that have been
    shipped, since the last package left; all units since the payment, if no package is recorded as shipped.
    """
    bought = {line.sku: line.quantity for line in lines if line.kind == LineKind.ITEM}
    if order.fulfilment not in SHIPPED_STATES:
        return Sent(bought, order.paid_at)
    left = [package for package in fulfilment.packages([order.id]).get(order.id, ()) if package.is_shipped]
    units = dict.fromkeys(bought, 0)
    for line in (line for package in left for line in package.lines):
        units[line.sku] += line.quantity
    return Sent(units, max(package.shipped_at for package in left if package.shipped_at) if left else order.paid_at)


def order_of(return_id: int) -> int:
    """The order of a return, which never changes. Raises Refusal `unknown_return`."""
    found = db.session.scalar(select(Return.order_id).where(Return.id == return_id))
    if found is None:
        raise unknown()
    return found


def unknown() -> Refusal:
    return Refusal("unknown_return", sentence("There is no such return."))


def _return(rows: Sequence[Row[Any]]) -> ReturnRow:
    fields = {column.key: getattr(rows[0], column.key) for column in _RETURN}
    lines = {row.sku: LineRow(row.quantity, row.restocked, row.not_restocked) for row in rows}
    return ReturnRow(**fields, lines=lines)
