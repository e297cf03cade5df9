"""Dashboard: start page, payments with their timelines, deliveries and events.

Pages that perform actions (scenarios, report card, keys, settlement) are in `workbench`.
"""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, Response, abort, make_response, redirect, render_template, request, url_for
from sqlalchemy import select

from mock_acquirer import cards, curl, deliveries, dialect_interface, engine, faults, guards, plans, states, timeline
from mock_acquirer.db import db
from mock_acquirer.models import Delivery, Event, Payment
from mock_acquirer.scenarios.saved import saved
from mock_acquirer.scenarios.toml import written

bp = Blueprint("dashboard", __name__)
NEWEST = 100
PAYMENT_ID = re.compile(r"pay_[0-9a-f]{30}")
RESENT: dict[str, dict[str, Any]] = {
    # faults that a resend can apply to its one attempt
    "": {},
    "drop": {"drop": 1},
    **{f"sign_{name}": {"sign": name} for name in plans.SIGN_FAULTS},
}


def _page(template: str, **values: Any) -> Response:
    return make_response(render_template(f"mock_acquirer/{template}", **values))


@bp.get("/")
def home() -> Response:
    """Start page. All other pages here need the control API to be switched on."""
    return _page(
        "home.html", test_cards=cards.CARDS, dialects=dialect_interface.every().values(), declines=cards.DECLINES
    )


@bp.get("/payments")
def payments() -> Response:
    guards.require_control()
    run, wanted = _filters()
    query = select(Payment)
    if run:
        query = query.where(Payment.run == run)
    if wanted:
        query = query.where((Payment.id == wanted) | (Payment.reference == wanted))
    chosen = {"state": request.args.get("state", ""), "dialect": request.args.get("dialect", "")}
    for name, value in chosen.items():
        if value:
            query = query.where(getattr(Payment, name) == value)
    found = list(db.session.scalars(query.order_by(Payment.created_at.desc(), Payment.id).limit(NEWEST)))
    choices = {"state": list(states.TRANSITIONS), "dialect": list(dialect_interface.every())}
    shown = {"run": run, "wanted": wanted, "newest": NEWEST, "chosen": chosen, "choices": choices}
    return _page("payments.html", payments=found, **shown)


def _filters() -> tuple[str, str]:
    """(run, payment id or reference) of the search; an invalid value finds nothing."""
    run, wanted = request.args.get("run", "").strip(), request.args.get("payment", "").strip()
    if any(value and not engine.REFERENCE.fullmatch(value) for value in (run, wanted)):
        abort(422, "Names of runs and payments contain only letters, digits and _ . : @ / + = -.")
    return run, wanted


@bp.get("/payments/<payment_id>")
def payment(payment_id: str) -> Response:
    guards.require_control()
    found = payment_or_404(payment_id)
    return _page(
        "payment.html",
        payment=found,
        shop=dialect_interface.merchant_of(found),
        timeline=timeline.of(found),
        deliveries=deliveries.of(found),
        fired=faults.used(found),
        armed=faults.armed_for(found),
        commands=curl.of_payment(found),
    )


def payment_or_404(payment_id: str) -> Payment:
    found = db.session.get(Payment, payment_id) if PAYMENT_ID.fullmatch(payment_id) else None
    if found is None:
        abort(404, "There is no such payment.")
    return found


@bp.get("/payments/<payment_id>/scenario.toml")
def scenario_of(payment_id: str) -> Response:
    """Download the payment as a scenario file."""
    guards.require_control()
    scenario = saved(payment_or_404(payment_id))
    response = make_response(written(scenario))
    response.headers["Content-Type"] = "application/toml; charset=utf-8"
    response.headers["Content-Disposition"] = f'attachment; filename="{scenario.name}.toml"'
    return response


@bp.get("/events")
def events() -> Response:
    """Events sent to merchants, delivered or not."""
    guards.require_control()
    run, wanted = _filters()
    query = select(Event, Payment).join(Payment, Payment.id == Event.payment_id)
    if run:
        query = query.where(Event.run == run)
    if wanted:
        query = query.where((Payment.id == wanted) | (Payment.reference == wanted))
    found = db.session.execute(query.order_by(Event.created_at.desc(), Event.id).limit(NEWEST)).all()
    return _page("events.html", events=found, run=run, wanted=wanted, newest=NEWEST)


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
    return _page("delivery.html", delivery=_delivery(delivery_id), resent=RESENT, curl=curl.of_attempt)


@bp.post("/deliveries/<delivery_id>/resend")
def resend(delivery_id: str) -> Any:
    guards.require_control()
    guards.require_own_form()
    found = _delivery(delivery_id)
    bend = request.form.get("bend", "")
    if bend not in RESENT:
        abort(422, "Choose a normal resend or one of the listed faults.")
    deliveries.resend(found, RESENT[bend] or None)
    return redirect(url_for("dashboard.delivery", delivery_id=found.id), 303)


def _delivery(delivery_id: str) -> Delivery:
    known = re.fullmatch(r"dlv_[0-9a-f]{30}", delivery_id)
    found = db.session.scalar(select(Delivery).where(Delivery.id == delivery_id)) if known else None
    if found is None:
        abort(404, "There is no such delivery.")
    return found
