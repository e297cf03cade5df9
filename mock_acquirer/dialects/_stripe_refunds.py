"""Stripe's refunds: calls, objects, and webhook events about refunds and disputes."""

from __future__ import annotations

import re
from datetime import datetime

from flask import Blueprint, Response
from sqlalchemy import select

from mock_acquirer import calls, deliveries, refunds
from mock_acquirer.db import db
from mock_acquirer.dialects import _stripe_objects as objects
from mock_acquirer.dialects._stripe_calls import (
    NAME,
    Caller,
    asked_for,
    caller_of,
    change,
    mine,
    no_such,
    ok,
    respond,
    sent_form,
)
from mock_acquirer.dialects._stripe_form import Fields
from mock_acquirer.models import Capture, Dispute, Payment, Refund

bp = Blueprint("refunds", __name__)
REASONS = ("duplicate", "fraudulent", "requested_by_customer")
DISPUTE_STATUS = {
    # (kind, state): Stripe's status
    ("chargeback", "open"): "needs_response",
    ("inquiry", "open"): "warning_needs_response",
    ("inquiry", "won"): "warning_closed",
    ("inquiry", "lost"): "warning_closed",
}


@bp.post("/refunds")
def create_refund() -> Response:
    """Refund a charge, or of a PaymentIntent the oldest charge with a sufficient remaining amount."""
    caller, sent = caller_of(), sent_form()
    payment, capture_id = _subject(caller, sent)
    amount = sent.whole("amount", 1, objects.LARGEST) if "amount" in sent else None
    reason = sent.choice("reason", REASONS) if "reason" in sent else ""
    wire = {"metadata": sent.metadata()}

    def act() -> objects.Object:
        return refund_object(payment, refunds.refund(payment, amount, capture_id=capture_id, reason=reason, wire=wire))

    return change(caller, "refund", payment, act)


def _subject(caller: Caller, asked: Fields) -> tuple[Payment, str | None]:
    """(payment, capture id or None) named by `charge` or `payment_intent`. Refuses with 400 or 404."""
    if "charge" not in asked:
        if "payment_intent" not in asked:
            raise asked.missing("charge")
        return mine(caller, "payment_intent", "pi", asked.text("payment_intent", 80)), None
    shown = asked.text("charge", 80)
    known = re.fullmatch(r"ch_([0-9a-f]{30})", shown)
    capture = db.session.get(Capture, f"cap_{known[1]}") if known else None
    if capture is None:
        raise no_such("charge", shown)
    return mine(caller, "charge", "pay", capture.payment_id), capture.id


def _mine(payment: Payment, shown: str) -> Refund:
    found = refunds.find(payment, shown) if re.fullmatch(r"re_[0-9a-f]{30}", shown) else None
    if found is None:
        raise no_such("refund", shown)
    return found


@bp.get("/refunds/<shown>")
def show_refund(shown: str) -> Response:
    caller = caller_of()
    known = re.fullmatch(r"re_[0-9a-f]{30}", shown)
    found = db.session.get(Refund, shown, populate_existing=True) if known else None
    if found is None:
        raise no_such("refund", shown)
    payment = mine(caller, "refund", "pay", found.payment_id)

    def doing(shows: str) -> calls.Effect:
        if shows == "nothing":
            raise no_such("refund", shown)
        return ok(refund_object(payment, found))

    return respond(calls.Call(NAME, "query_refund", caller.run, payment), doing)


@bp.get("/refunds")
def list_refunds() -> Response:
    """Refunds of a charge or PaymentIntent, newest first."""
    caller, asked = caller_of(), asked_for()
    payment, capture_id = _subject(caller, asked)
    limit = asked.whole("limit", 1, 100, 10)
    wanted = select(Refund).where(Refund.payment_id == payment.id)
    if capture_id:
        wanted = wanted.where(Refund.capture_id == capture_id)
    if "starting_after" in asked:
        wanted = wanted.where(Refund.position < _mine(payment, asked.text("starting_after", 80)).position)

    def doing(_: str) -> calls.Effect:
        found = list(db.session.scalars(wanted.order_by(Refund.position.desc()).limit(limit + 1)))
        shown = [refund_object(payment, one) for one in found[:limit]]
        return ok(objects.listed(shown, "/v1/refunds", len(found) > limit))

    return respond(calls.Call(NAME, "query_refund", caller.run, payment), doing)


def refund_object(payment: Payment, refund: Refund) -> objects.Object:
    return {
        "id": refund.id,
        "object": "refund",
        "amount": refund.amount,
        "balance_transaction": f"txn_{objects.digits(refund.id)}",
        "charge": f"ch_{objects.digits(refund.capture_id)}",
        "created": objects.seconds(refund.created_at),
        "currency": refund.currency.lower(),
        "destination_details": {"card": {"type": "refund"}, "type": "card"},
        "failure_reason": "unknown" if refund.state == "failed" else None,
        "metadata": refund.wire.get("metadata", {}),
        "payment_intent": objects.intent_id(payment),
        "reason": refund.reason or None,
        "receipt_number": None,
        "status": refund.state,
    }


def dispute_object(payment: Payment, dispute: Dispute) -> objects.Object:
    return {
        "id": dispute.id,
        "object": "dispute",
        "amount": dispute.amount,
        "charge": f"ch_{objects.digits(dispute.capture_id)}",
        "created": objects.seconds(dispute.opened_at),
        "currency": dispute.currency.lower(),
        "evidence_details": {"due_by": objects.seconds(dispute.respond_by), "has_evidence": False},
        "is_charge_refundable": dispute.kind == "inquiry",
        "livemode": False,
        "metadata": {},
        "payment_intent": objects.intent_id(payment),
        "reason": dispute.reason,
        "status": DISPUTE_STATUS.get((dispute.kind, dispute.state), dispute.state),
    }


TELLS = ("refund.pending", "refund.succeeded", "refund.failed", "refund.shown", "dispute.created", "dispute.closed")


def event_about(
    payment: Payment, about: Refund | Dispute, kind: str, event_id: str, moment: datetime
) -> tuple[str, str] | None:
    """Stripe's event about a refund or dispute.

    `refund.created` and `charge.refunded` are sent with the refund, `refund.updated` or `refund.failed` when its state
    changes.
    """
    if isinstance(about, Dispute):
        shown, name = dispute_object(payment, about), f"charge.{kind}"
    elif kind == "refund.failed":
        shown, name = refund_object(payment, about), kind
    elif kind == "refund.shown":
        name = "refund.created" if about.changed_at == about.created_at else "refund.updated"
        shown = refund_object(payment, about)
    elif about.changed_at == about.created_at:
        capture = next(one for one in payment.captures if one.id == about.capture_id)
        shown, name = objects.charge(payment, capture), "charge.refunded"
    else:
        return None
    return objects.JSON, deliveries.compact(objects.event(event_id, name, shown, moment))
