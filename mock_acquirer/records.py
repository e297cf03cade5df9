"""Control API documents of a payment and its deliveries, and totals over all payments."""

from __future__ import annotations

from collections import Counter as Counts
from typing import Any

from sqlalchemy import delete, func, select

from mock_acquirer import deliveries, faults, timeline
from mock_acquirer.db import db, unit
from mock_acquirer.models import (
    Attempt,
    Capture,
    Counter,
    Delivery,
    DisabledEndpoint,
    Dispute,
    Event,
    FaultPlan,
    FaultUse,
    Payment,
    Refund,
    Run,
    Secret,
    StoredAnswer,
    TimelineEntry,
)
from mock_acquirer.times import rfc3339


def payment_record(payment: Payment) -> dict[str, Any]:
    """State, captures, refunds, timeline, deliveries, faults used."""
    return {
        "id": payment.id,
        "run": payment.run,
        "dialect": payment.dialect,
        "merchant": payment.merchant,
        "reference": payment.reference,
        "state": payment.state,
        "amount": payment.amount,
        "currency": payment.currency,
        "created_at": rfc3339(payment.created_at),
        "expires_at": rfc3339(payment.expires_at),
        "ended_by": payment.ended_by,
        "last_decline": payment.last_decline,
        "method": payment.method,
        "store_code": payment.store_code,
        "captures": [capture_record(capture) for capture in payment.captures],
        "refunds": [refund_record(refund) for refund in payment.refunds],
        "disputes": [dispute_record(dispute) for dispute in payment.disputes],
        "timeline": [
            {"at": rfc3339(entry.at), "kind": entry.kind, "text": entry.text} for entry in timeline.of(payment)
        ],
        "deliveries": [delivery_record(delivery) for delivery in deliveries.of(payment)],
        "faults": [{"level": level, "plan": plan} for level, plan in faults.armed_for(payment)],
        "faults_used": [
            {"at": rfc3339(use.at), "level": use.level, "fault": use.fault, "detail": use.detail}
            for use in faults.used(payment)
        ],
    }


def capture_record(capture: Capture) -> dict[str, Any]:
    return {
        "id": capture.id,
        "amount": capture.amount,
        "currency": capture.currency,
        "captured_at": rfc3339(capture.captured_at),
    }


def refund_record(refund: Refund) -> dict[str, Any]:
    return {
        "id": refund.id,
        "reference": refund.reference,
        "capture": refund.capture_id,
        "amount": refund.amount,
        "currency": refund.currency,
        "state": refund.state,
        "created_at": rfc3339(refund.created_at),
        "due_at": rfc3339(refund.due_at),
    }


def dispute_record(dispute: Dispute) -> dict[str, Any]:
    return {
        "id": dispute.id,
        "capture": dispute.capture_id,
        "kind": dispute.kind,
        "reason": dispute.reason,
        "amount": dispute.amount,
        "currency": dispute.currency,
        "state": dispute.state,
        "opened_at": rfc3339(dispute.opened_at),
        "respond_by": rfc3339(dispute.respond_by),
    }


def delivery_record(delivery: Delivery) -> dict[str, Any]:
    """One delivery with its attempts."""
    return {
        "id": delivery.id,
        "payment": delivery.payment_id,
        "event": {"id": delivery.event.id, "type": delivery.event.type},
        "url": delivery.url,
        "state": delivery.state,
        "due_at": rfc3339(delivery.due_at) if delivery.state == "pending" else None,
        "hold_until": delivery.hold_until,
        "attempts": [attempt_record(attempt) for attempt in delivery.attempts],
    }


def attempt_record(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "at": rfc3339(attempt.at),
        "wall_at": rfc3339(attempt.wall_at),
        "outcome": attempt.outcome,
        "headers": attempt.request_headers,
        "body": attempt.request_body,
        "signed_string": attempt.signed_string,
        "status": attempt.status,
        "answer_headers": attempt.answer_headers,
        "answer": attempt.answer,
        "ms": attempt.milliseconds,
        "next_due_at": rfc3339(attempt.next_due_at),
        "faults_used": attempt.faults_used,
    }


def totals(run: str) -> dict[str, Any]:
    """Captured, refunded, pending refunds and withdrawn by chargebacks: per merchant, currency and payment."""
    taken = (
        select(
            Payment.merchant,
            Payment.dialect,
            Payment.id,
            Payment.reference,
            Capture.currency,
            func.sum(Capture.amount),
            func.sum(Capture.disputed),
            func.count(Capture.id),
        )
        .join(Capture, Capture.payment_id == Payment.id)
        .where(Payment.run == run)
        .group_by(Payment.merchant, Payment.dialect, Payment.id, Payment.reference, Payment.number, Capture.currency)
        .order_by(Payment.number)
    )
    back = _refunded(run)
    payments: list[dict[str, Any]] = []
    sums: dict[tuple[str, str, str], Counts[str]] = {}
    for merchant, dialect, payment, reference, currency, captured, disputed, parts in db.session.execute(taken):
        place = {"merchant": merchant, "dialect": dialect, "currency": currency}
        done, pending = (back.get((payment, currency, state), 0) for state in ("succeeded", "pending"))
        amounts = {"captured": int(captured), "refunded": done, "refund_pending": pending, "disputed": int(disputed)}
        payments.append({"payment": payment, "reference": reference} | place | amounts | {"captures": parts})
        sums.setdefault((merchant, dialect, currency), Counts()).update(amounts)
    merchants = [
        {"merchant": merchant, "dialect": dialect, "currency": currency} | amounts
        for (merchant, dialect, currency), amounts in sums.items()
    ]
    return {"merchants": merchants, "payments": payments}


def _refunded(run: str) -> dict[tuple[str, str, str], int]:
    """Sums of refunds by (payment, currency, state)."""
    key = (Refund.payment_id, Refund.currency, Refund.state)
    mine = select(*key, func.sum(Refund.amount)).join(Payment, Payment.id == Refund.payment_id)
    rows = db.session.execute(mine.where(Payment.run == run).group_by(*key))
    return {(payment, currency, state): int(amount) for payment, currency, state, amount in rows}


@unit
def clear(run: str, keep_clock: bool) -> None:
    """Delete everything of this run."""
    mine = select(Payment.id).where(Payment.run == run)
    sent = select(Delivery.id).where(Delivery.run == run)
    db.session.execute(delete(Attempt).where(Attempt.delivery_id.in_(sent)))
    for part in (Refund, Dispute, Capture):
        db.session.execute(delete(part).where(part.payment_id.in_(mine)))
    for table in (Delivery, Event, TimelineEntry, FaultUse, FaultPlan, Counter, DisabledEndpoint, StoredAnswer, Secret):
        db.session.execute(delete(table).where(table.run == run))
    db.session.execute(delete(Payment).where(Payment.run == run))
    found = db.session.get_one(Run, run, populate_existing=True)
    found.payment_seq = 0
    if not keep_clock:
        found.offset_us = 0
