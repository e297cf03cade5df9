"""Both ledgers of an order next to each other: what we have written down, and what the acquirer says when asked now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from shop.core.db import db
from shop.ledger.models import Journal
from shop.orders.models import Order
from shop.payments import theirs
from shop.payments.models import TO_PROVIDER, Capture, Payment, Refund
from shop.payments.provider import Done, Facts, Found, NotFound, Pending, Rejected, Unavailable
from shop.payments.refund_states import DONE
from shop.payments.settlement_models import Dispute
from shop.reports.why import why

_REFUND_SAYS: dict[type, str] = {Done: "DONE", Pending: "PENDING", Rejected: "REJECTED", NotFound: "not_found"}


def both_sides(order_id: int) -> dict[str, Any]:
    """Our payments, captures, refunds, disputes and journals of an order, the acquirers' side of them, and what is left
    when theirs is taken from ours, for each payment and in all.

    Asks the acquirers, outside of any transaction. `difference` holds minor units by currency, nothing where both
    agree, and is null where an acquirer could not be asked. Raises NoResultFound.
    """
    order = db.session.get_one(Order, order_id)
    shown: dict[str, Any] = {
        "order": order.number,
        "state": order.state,
        "why": why(order),
        "price": order.accepted.amount,
        "store_credit": order.credit_amount,
        "currency": order.currency,
        "paid_with": order.paid_by,
    }
    payments = db.session.scalars(select(Payment).where(Payment.order_id == order_id).order_by(Payment.id)).all()
    ours = [_ours(payment) for payment in payments]
    journals = _journals(order_id)
    db.session.rollback()
    rows = [one | _theirs(one) for one in ours]
    return shown | {"payments": rows, "difference": _in_all(rows), "journals": journals}


# --- ours ------------------------------------------------------------------------------------------------------------


def _ours(payment: Payment) -> dict[str, Any]:
    captures = db.session.scalars(select(Capture).where(Capture.payment_id == payment.id).order_by(Capture.id)).all()
    refunds = db.session.scalars(select(Refund).where(Refund.payment_id == payment.id).order_by(Refund.id)).all()
    disputes = db.session.scalars(
        select(Dispute).join(Capture, Capture.id == Dispute.capture_id).where(Capture.payment_id == payment.id)
    ).all()
    return {
        "payment": payment.id,
        "provider": payment.provider,
        "ours": {
            "state": payment.state,
            "captures": [
                _capture(one.capture_id, one.amount, one.currency, one.captured_at) | {"standing": one.standing}
                for one in captures
            ],
            "refunds": [
                {
                    "id": one.id,
                    "amount": one.amount,
                    "currency": one.currency,
                    "state": one.state,
                    "to": one.destination,
                }
                for one in refunds
            ],
            "disputes": [
                {
                    "id": one.dispute_id,
                    "kind": one.kind,
                    "state": one.state,
                    "amount": one.amount,
                    "currency": one.currency,
                }
                for one in disputes
            ],
        },
    }


def _capture(name: str, amount: int, currency: str, at: datetime) -> dict[str, Any]:
    return {"id": name, "amount": amount, "currency": currency, "at": at.isoformat()}


def _journals(order_id: int) -> list[dict[str, Any]]:
    found = select(Journal).where(Journal.order_id == order_id).order_by(Journal.at, Journal.key)
    return [
        {
            "key": journal.key,
            "kind": journal.kind,
            "at": journal.at.isoformat(),
            "entries": [
                {"account": entry.account, "currency": entry.currency, "amount": entry.amount}
                for entry in journal.entries
            ],
        }
        for journal in db.session.scalars(found.options(selectinload(Journal.entries)))
    ]


# --- theirs ----------------------------------------------------------------------------------------------------------


def _theirs(row: dict[str, Any]) -> dict[str, Any]:
    """The acquirer's side of a payment, and the difference."""
    answer = theirs.payment(row["payment"])
    if isinstance(answer, Unavailable):
        return {"theirs": {"answer": "unavailable", "reason": answer.reason}, "difference": None}
    facts = answer.facts if isinstance(answer, Found) else Facts()
    captures = [_capture(one.id, one.money.amount, one.money.currency, one.at) for one in facts.captures]
    refunds, unsure = [], False
    for one in row["ours"]["refunds"]:
        if one["to"] == TO_PROVIDER:
            said = theirs.refund(one["id"])
            unsure = unsure or isinstance(said, Unavailable)
            state = _REFUND_SAYS.get(type(said), "unavailable")
            refunds.append({"id": one["id"], "amount": one["amount"], "currency": one["currency"], "state": state})
    there = {
        "answer": "found" if isinstance(answer, Found) else "not_found",
        "state": facts.state,
        "captures": captures,
        "refunds": refunds,
    }
    here = row["ours"]
    left = _net(here["captures"], [one for one in here["refunds"] if one["to"] == TO_PROVIDER])
    left.subtract(_net(captures, refunds))
    return {"theirs": there, "difference": None if unsure else _without_zeros(left)}


def _net(captures: Iterable[dict[str, Any]], refunds: Iterable[dict[str, Any]]) -> Counter[str]:
    """Minor units by currency that were taken and have not gone back."""
    net: Counter[str] = Counter()
    for one in captures:
        net[one["currency"]] += one["amount"]
    for one in refunds:
        if one["state"] == DONE:
            net[one["currency"]] -= one["amount"]
    return net


def _in_all(rows: list[dict[str, Any]]) -> dict[str, int] | None:
    if any(row["difference"] is None for row in rows):
        return None
    total: Counter[str] = Counter()
    for row in rows:
        total.update(row["difference"])
    return _without_zeros(total)


def _without_zeros(amounts: Counter[str]) -> dict[str, int]:
    return {currency: amount for currency, amount in sorted(amounts.items()) if amount}
