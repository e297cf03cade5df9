"""Returns of an order as its customer may see them, on the order page and in mails."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from shop.core import clock
from shop.core.db import db
from shop.core.money import Money
from shop.orders.models import Order, OrderLine
from shop.returns import decide, load, requests
from shop.returns.amounts import Price
from shop.returns.models import Return, ReturnLine
from shop.returns.snapshot import LineRow, ReturnRow, Snapshot
from shop.returns.states import ARRIVED, SOURCES, ReturnState


@dataclass(frozen=True)
class ReturnView:
    """A return: its units by name, the message of the shop, and what is refunded once that is decided."""

    reference: str
    state: ReturnState
    units: tuple[tuple[str, int], ...]
    message: str
    granted: Money | None
    requested_at: datetime

    @property
    def can_be_withdrawn(self) -> bool:
        return self.state in SOURCES[ReturnState.WITHDRAWN]


@dataclass(frozen=True)
class OrderReturns:
    """The returns of an order, oldest first, and whether its customer can request another one now."""

    returns: tuple[ReturnView, ...] = ()
    can_request: bool = False


NONE = OrderReturns()
_UNITS = (ReturnLine.quantity, ReturnLine.restocked, ReturnLine.not_restocked)


def of_order(order: Order) -> OrderReturns:
    """The returns of an order whose lines are loaded. One statement; none for an order that was never paid."""
    if order.paid_at is None:
        return NONE
    names, rows = {line.sku: line.name for line in order.lines}, load.returns(order.id)
    sent, no_price = load.sent(order, order.lines), Price(0, 0, 1, ())
    seen = Snapshot(order.id, order.number, order.state, order.currency, names, no_price, sent, rows)
    can_request = decide.refusal(seen, clock.now(), requests.days()) is None
    return OrderReturns(tuple(_view(seen, one) for one in rows), can_request)


def of_mail(reference: str) -> dict[str, object]:
    """Units by name, and the message of the shop, for the mails about a return. One statement."""
    query = select(Return.state, Return.message, OrderLine.name, *_UNITS)
    query = query.join(ReturnLine, ReturnLine.return_id == Return.id)
    query = query.join(OrderLine, (OrderLine.order_id == Return.order_id) & (OrderLine.sku == ReturnLine.sku))
    rows = db.session.execute(query.where(Return.reference == reference).order_by(OrderLine.position)).all()
    lines = [(row.name, LineRow(row.quantity, row.restocked, row.not_restocked), row.state) for row in rows]
    units = [[name, _units(line, state)] for name, line, state in lines if _units(line, state)]
    return {"units": units, "message": rows[0].message if rows else ""}


def _view(seen: Snapshot, one: ReturnRow) -> ReturnView:
    units = ((seen.names[sku], _units(line, one.state)) for sku, line in one.lines.items())
    granted = None if one.granted_amount is None else Money(one.granted_amount, seen.currency)
    return ReturnView(
        one.reference, one.state, tuple(unit for unit in units if unit[1]), one.message, granted, one.requested_at
    )


def _units(line: LineRow, state: ReturnState) -> int:
    """The units that have arrived, once that is known."""
    return line.arrived if state in ARRIVED else line.quantity
