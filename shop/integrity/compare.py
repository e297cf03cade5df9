"""Comparison of our records of an order with the acquirer's current response."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from shop.core.db import db
from shop.ledger.models import Journal
from shop.orders.models import Order
from shop.payments.calls import acquirer_view
from shop.payments.providers.interface import Done, Facts, Found, NotFound, Pending, RefundFact, Rejected, Unavailable
from shop.payments.providers.types import RefundState
from shop.payments.records.models import Capture, Payment, Refund
from shop.payments.records.settlement_models import Dispute
from shop.payments.records.types import RefundDestination, RefundKind
from shop.payments.refunds import outside as outside_refunds
from shop.payments.refunds.own_or_outside import is_own, name_of

_REFUND_STATES: dict[type, str] = {
    Done: RefundState.DONE,
    Pending: RefundState.PENDING,
    Rejected: RefundState.REJECTED,
    NotFound: "not_found",
}


def compare_with_acquirer(order_id: int) -> dict[str, Any]:
    """Our payments, captures, refunds, disputes and journals of an order, the acquirers' side of them, and the
    difference (ours minus theirs), per payment and in total.

    Calls the acquirers, outside of any transaction. `difference` holds minor units by currency, is empty where both
    agree, and null where an acquirer could not be queried. Raises NoResultFound.
    """
    shown = our_side(order_id)
    db.session.rollback()
    rows = [one | _theirs(one) for one in shown["payments"]]
    return shown | {"payments": rows, "difference": _in_all(rows)}


def our_side(order_id: int) -> dict[str, Any]:
    """Our side of `compare_with_acquirer` alone. Calls no acquirer."""
    order = db.session.get_one(Order, order_id)
    payments = db.session.scalars(select(Payment).where(Payment.order_id == order_id).order_by(Payment.id)).all()
    return {
        "order": order.number,
        "state": order.state,
        "price": order.accepted.amount,
        "store_credit": order.credit_amount,
        "currency": order.currency,
        "paid_with": order.paid_by,
        "payments": [_ours(payment) for payment in payments],
        "journals": _journals(order_id),
    }


def of_payment(payment: Payment) -> dict[str, Any]:
    """Our side of a payment, the acquirer's, and the `difference` as in `compare_with_acquirer`. Calls the acquirer."""
    ours = _ours(payment)
    db.session.rollback()
    return ours | _theirs(ours)


# --- ours ------------------------------------------------------------------------------------------------------------


def _ours(payment: Payment) -> dict[str, Any]:
    """Our side of a payment. Three statements."""
    captures = db.session.scalars(select(Capture).where(Capture.payment_id == payment.id).order_by(Capture.id)).all()
    refunds = db.session.scalars(select(Refund).where(Refund.payment_id == payment.id).order_by(Refund.id)).all()
    disputes = db.session.scalars(
        select(Dispute).join(Capture, Capture.id == Dispute.capture_id).where(Capture.payment_id == payment.id)
    ).all()
    return of_rows(payment, captures, refunds, disputes)


def of_rows(
    payment: Payment, captures: Iterable[Capture], refunds: Iterable[Refund], disputes: Iterable[Dispute]
) -> dict[str, Any]:
    """Our side of a payment with these rows."""
    return {
        "payment": payment.id,
        "provider": payment.provider,
        "ours": {
            "state": payment.state,
            "captures": [
                _capture(one.capture_id, one.amount, one.currency, one.captured_at) | {"allocation": one.allocation}
                for one in captures
            ],
            "refunds": [
                {
                    "id": one.id,
                    "amount": one.amount,
                    "currency": one.currency,
                    "state": one.state,
                    "to": one.destination,
                    "why": one.kind,
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
    answer = acquirer_view.payment(row["payment"])
    if isinstance(answer, Unavailable):
        return {"theirs": {"answer": "unavailable", "reason": answer.reason}, "difference": None}
    facts = answer.facts if isinstance(answer, Found) else Facts()
    captures = [_capture(one.id, one.money.amount, one.money.currency, one.at) for one in facts.captures]
    own, outside = _own_and_outside(row["provider"], facts.refunds)
    refunds = [_refund(row["provider"], one) for one in outside]
    not_ours = {one.reference for one in outside} - own
    unsure = False
    for one in row["ours"]["refunds"]:
        if one["to"] == RefundDestination.PROVIDER and one["why"] != RefundKind.OUTSIDE:
            refund = NotFound() if one["id"] in not_ours else acquirer_view.refund(one["id"])
            unsure = unsure or isinstance(refund, Unavailable)
            state = _REFUND_STATES.get(type(refund), "unavailable")
            refunds.append({"id": one["id"], "amount": one["amount"], "currency": one["currency"], "state": state})
    there = {
        "answer": "found" if isinstance(answer, Found) else "not_found",
        "state": facts.state,
        "captures": captures,
        "refunds": refunds,
    }
    here = row["ours"]
    left = _net(here["captures"], [one for one in here["refunds"] if one["to"] == RefundDestination.PROVIDER])
    left.subtract(_net(captures, refunds))
    return {"theirs": there, "difference": None if unsure else _without_zeros(left)}


def _own_and_outside(provider: str, reported: Collection[RefundFact]) -> tuple[set[str], list[RefundFact]]:
    """Ids of our own refunds, including those requested during the query, and all other refunds of the acquirer."""
    own, outside = set[str](), list[RefundFact]()
    known = outside_refunds.known(provider, reported)
    for fact in reported:
        if is_own(known, provider, fact):
            own.add(fact.reference)
        else:
            outside.append(fact)
    db.session.rollback()
    return own, outside


def _refund(provider: str, fact: RefundFact) -> dict[str, Any]:
    """A refund that the acquirer lists and that the shop did not make."""
    amount, currency = (fact.money.amount, fact.money.currency) if fact.money else (0, "")
    name = name_of(provider, fact.id) if fact.id else fact.reference
    return {"id": name, "amount": amount, "currency": currency, "state": fact.state}


def _net(captures: Iterable[dict[str, Any]], refunds: Iterable[dict[str, Any]]) -> Counter[str]:
    """Minor units by currency that were captured and not refunded."""
    net: Counter[str] = Counter()
    for one in captures:
        net[one["currency"]] += one["amount"]
    for one in refunds:
        if one["state"] == RefundState.DONE:
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
