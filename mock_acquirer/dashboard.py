"""Behind the scenes: what the acquirer is, its payments with their stories, and the delivery log."""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, Response, abort, make_response, redirect, render_template, request, url_for
from sqlalchemy import select

from mock_acquirer import cards, deliveries, dialects, engine, faults, guards, timeline
from mock_acquirer.db import db
from mock_acquirer.models import Delivery, Payment

bp = Blueprint("dashboard", __name__)
NEWEST = 100


def _page(template: str, **values: Any) -> Response:
    return make_response(render_template(f"mock_acquirer/{template}", **values))


@bp.get("/")
def home() -> Response:
    """What it is. The rest of these pages needs the control switch."""
    return _page("home.html", test_cards=cards.CARDS, dialects=dialects.every().values(), declines=cards.DECLINES)


@bp.get("/payments")
def payments() -> Response:
    guards.require_control()
    run, wanted = _filters()
    query = select(Payment)
    if run:
        query = query.where(Payment.run == run)
    if wanted:
        query = query.where((Payment.id == wanted) | (Payment.reference == wanted))
    found = list(db.session.scalars(query.order_by(Payment.created_at.desc(), Payment.id).limit(NEWEST)))
    return _page("payments.html", payments=found, run=run, wanted=wanted, newest=NEWEST)


def _filters() -> tuple[str, str]:
    """(run, payment id or reference) to look for; odd ones find nothing."""
    run, wanted = request.args.get("run", "").strip(), request.args.get("payment", "").strip()
    if any(value and not engine.REFERENCE.fullmatch(value) for value in (run, wanted)):
        abort(422, "A run or payment is named by letters, digits and a few signs; look for one of those.")
    return run, wanted


@bp.get("/payments/<payment_id>")
def payment(payment_id: str) -> Response:
    guards.require_control()
    found = db.session.get(Payment, payment_id) if re.fullmatch(r"pay_[0-9a-f]{30}", payment_id) else None
    if found is None:
        abort(404, "There is no such payment.")
    return _page(
        "payment.html",
        payment=found,
        shop=dialects.merchant_of(found),
        timeline=timeline.of(found),
        deliveries=deliveries.of(found),
        fired=faults.used(found),
        armed=faults.armed_for(found),
    )


@bp.get("/deliveries")
def delivery_log() -> Response:
    guards.require_control()
    run, wanted = _filters()
    query = select(Delivery).join(Payment, Payment.id == Delivery.payment_id)
    if run:
        query = query.where(Delivery.run == run)
    if wanted:
        query = query.where((Payment.id == wanted) | (Payment.reference == wanted))
    found = list(db.session.scalars(query.order_by(Delivery.position.desc()).limit(NEWEST)).unique())
    return _page("deliveries.html", deliveries=found, run=run, wanted=wanted, newest=NEWEST)


@bp.get("/deliveries/<delivery_id>")
def delivery(delivery_id: str) -> Response:
    guards.require_control()
    return _page("delivery.html", delivery=_delivery(delivery_id))


@bp.post("/deliveries/<delivery_id>/resend")
def resend(delivery_id: str) -> Any:
    guards.require_control()
    guards.require_own_form()
    found = _delivery(delivery_id)
    deliveries.resend(found)
    return redirect(url_for("dashboard.delivery", delivery_id=found.id), 303)


def _delivery(delivery_id: str) -> Delivery:
    known = re.fullmatch(r"dlv_[0-9a-f]{30}", delivery_id)
    found = db.session.scalar(select(Delivery).where(Delivery.id == delivery_id)) if known else None
    if found is None:
        abort(404, "There is no such delivery.")
    return found
