"""What the control API shows of a payment and its deliveries, and the sums over all of them."""

from __future__ import annotations

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
    Event,
    FaultPlan,
    FaultUse,
    Payment,
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
        "captures": [capture_record(capture) for capture in payment.captures],
        "refunds": [],
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
    """Captured and refunded, per merchant and currency, and per payment."""
    taken = (
        select(
            Payment.merchant,
            Payment.dialect,
            Payment.id,
            Payment.reference,
            Capture.currency,
            func.sum(Capture.amount),
            func.count(Capture.id),
        )
        .join(Capture, Capture.payment_id == Payment.id)
        .where(Payment.run == run)
        .group_by(Payment.merchant, Payment.dialect, Payment.id, Payment.reference, Payment.number, Capture.currency)
        .order_by(Payment.number)
    )
    payments: list[dict[str, Any]] = []
    sums: dict[tuple[str, str, str], int] = {}
    for merchant, dialect, payment, reference, currency, captured, parts in db.session.execute(taken):
        place = {"merchant": merchant, "dialect": dialect, "currency": currency}
        amounts = {"captured": int(captured), "captures": parts, "refunded": 0}
        payments.append({"payment": payment, "reference": reference} | place | amounts)
        sums[merchant, dialect, currency] = sums.get((merchant, dialect, currency), 0) + int(captured)
    merchants = [
        {"merchant": merchant, "dialect": dialect, "currency": currency, "captured": captured, "refunded": 0}
        for (merchant, dialect, currency), captured in sums.items()
    ]
    return {"merchants": merchants, "payments": payments}


@unit
def clear(run: str, keep_clock: bool) -> None:
    """Forget everything of this run."""
    mine = select(Payment.id).where(Payment.run == run)
    sent = select(Delivery.id).where(Delivery.run == run)
    db.session.execute(delete(Attempt).where(Attempt.delivery_id.in_(sent)))
    db.session.execute(delete(Capture).where(Capture.payment_id.in_(mine)))
    for table in (Delivery, Event, TimelineEntry, FaultUse, FaultPlan, Counter, DisabledEndpoint, StoredAnswer, Secret):
        db.session.execute(delete(table).where(table.run == run))
    db.session.execute(delete(Payment).where(Payment.run == run))
    found = db.session.get_one(Run, run, populate_existing=True)
    found.payment_seq = 0
    if not keep_clock:
        found.offset_us = 0
