"""Bodies of outgoing events: the state at the time of the event, rebuilt from the history of the order.

Effects run some time after an event, when the order may have changed again. So states come from the event itself and
from the order's history up to it, and the rest are values that never change. Bodies contain no personal data and
nothing that grants access.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from shop.core.db import db
from shop.core.event_types import EventKind
from shop.fulfilment import find as shipments
from shop.orders.models import Order, OrderEvent
from shop.payments.providers.types import DisputeState, PaymentState, RefundState
from shop.payments.records.models import Capture, Payment, Refund
from shop.payments.records.settlement_models import Dispute

_PAYMENTS = {EventKind.PAYMENT_CAPTURED: PaymentState.CAPTURED, EventKind.PAYMENT_FAILED: PaymentState.FAILED}
_REFUNDS = {EventKind.REFUND_DONE: RefundState.DONE, EventKind.REFUND_REJECTED: RefundState.REJECTED}
_DISPUTES = {
    EventKind.DISPUTE_OPEN: DisputeState.OPEN,
    EventKind.DISPUTE_WON: DisputeState.WON,
    EventKind.DISPUTE_LOST: DisputeState.LOST,
}
"""States of the subject at the time of the event, by its kind."""


def text(event_id: str, type_: str, at: datetime, data: Mapping[str, Any]) -> str:
    """The body as it is signed and sent."""
    body = {"id": event_id, "type": type_, "timestamp": stamp(at), "data": data}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def stamp(at: datetime) -> str:
    """RFC 3339 in UTC."""
    return at.isoformat().replace("+00:00", "Z")


def load(kind: str, event: Mapping[str, Any]) -> dict[str, Any]:
    """The `data` of the body of an event, read in the current transaction. `event` is its published payload."""
    data = {"order": _order(event["order_id"], event["seq"])}
    if kind == EventKind.SHIPMENT_SHIPPED:
        data["shipment"] = _shipment(event)
    if kind in _PAYMENTS:
        data["payment"] = _payment(kind, event)
    if kind in _REFUNDS:
        data["refund"] = _refund(kind, event)
    if kind in _DISPUTES:
        data["dispute"] = _dispute(kind, event)
    return data


def _order(order_id: int, seq: int) -> dict[str, Any]:
    states = select(OrderEvent.target).where(OrderEvent.order_id == order_id, OrderEvent.target.is_not(None))
    state = states.where(OrderEvent.seq <= seq).order_by(OrderEvent.seq.desc()).limit(1).scalar_subquery()
    columns = (Order.number, Order.total_amount, Order.currency, Order.placed_at, state.label("state"))
    order = db.session.execute(select(*columns).where(Order.id == order_id)).one()
    return {
        "id": order_id,
        "number": order.number,
        "state": order.state,
        "total": _money(order.total_amount, order.currency),
        "placed_at": stamp(order.placed_at),
    }


def _shipment(event: Mapping[str, Any]) -> dict[str, Any]:
    """The package that has left. Its tracking number leads to an address: it is in the API's order alone."""
    package = shipments.package(event["order_id"], event["shipment"])
    lines = package.lines if package is not None else ()
    return {
        "number": event["shipment"],
        "fulfilment": event["fulfilment"],
        "lines": [{"sku": line.sku, "quantity": line.quantity} for line in lines],
    }


def _payment(kind: str, event: Mapping[str, Any]) -> dict[str, Any]:
    columns = select(Payment.id, Payment.provider, Payment.amount, Payment.currency)
    payment = db.session.execute(columns.where(Payment.id == event["payment"])).one()
    found = {"id": payment.id, "provider": payment.provider, "state": _PAYMENTS[EventKind(kind)]}
    if kind == EventKind.PAYMENT_CAPTURED:
        captured = {"amount": _money(event["amount"], event["currency"]), "allocation": event["allocation"]}
        return found | captured
    return found | {"amount": _money(payment.amount, payment.currency)}


def _refund(kind: str, event: Mapping[str, Any]) -> dict[str, Any]:
    of_capture = select(Capture.payment_id).where(Capture.id == Refund.capture_id).scalar_subquery()
    columns = select(Refund.destination, func.coalesce(Refund.payment_id, of_capture).label("payment"))
    refund = db.session.execute(columns.where(Refund.id == event["refund"])).one()
    return {
        "id": event["refund"],
        "payment": refund.payment,
        "state": _REFUNDS[EventKind(kind)],
        "kind": event["why"],
        "destination": refund.destination,
        "amount": _money(event["amount"], event["currency"]),
    }


def _dispute(kind: str, event: Mapping[str, Any]) -> dict[str, Any]:
    payment = (
        select(Capture.payment_id)
        .join(Dispute, Dispute.capture_id == Capture.id)
        .where(Dispute.order_id == event["order_id"], Dispute.dispute_id == event["dispute"])
    )
    return {
        "id": event["dispute"],
        "payment": db.session.scalar(payment.limit(1)),
        "state": _DISPUTES[EventKind(kind)],
        "kind": event["disputed"],
        "reason": event["reason"],
        "amount": _money(event["amount"], event["currency"]),
    }


def _money(amount: int, currency: str) -> dict[str, Any]:
    return {"amount": amount, "currency": currency}
