"""Hosted payment pages. A decorator decides on every URL which page the payment's state allows; the engine decides the
rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any

from flask import Blueprint, Response, abort, current_app, make_response, redirect, render_template, request, url_for
from flask_babel import gettext

from mock_acquirer import (
    barcode,
    cards,
    clock,
    dialect_interface,
    engine,
    faults,
    guards,
    language,
    links,
    presets,
    qr,
    states,
    timeline,
)
from mock_acquirer.db import db
from mock_acquirer.digits import narrow
from mock_acquirer.language import marked
from mock_acquirer.models import Payment

bp = Blueprint("pages", __name__, url_prefix="/pay")
EXPIRY = re.compile(r"\s*([0-9]{1,2})\s*[/-]?\s*([0-9]{4}|[0-9]{2})\s*")
LONGEST_VALID_YEARS = 50


def stage_of(payment: Payment) -> str:
    """The page of a payment's state: form, challenge, store (a code that awaits payment) or result."""
    if payment.state not in states.OPEN or payment.capture_due_at is not None:
        return "result"
    if payment.state != "requires_action":
        return "form"
    return "store" if payment.method == "store" else "challenge"


STAGES = {"form": "pages.form", "challenge": "pages.challenge", "store": "pages.store", "result": "pages.result"}


def at_stage(*stages: str) -> Callable[[Callable[[Payment], Any]], Callable[[str], Any]]:
    """Load the payment, expire it when due, and redirect the browser to the page of its state."""

    def decorate(view: Callable[[Payment], Any]) -> Callable[[str], Any]:
        @wraps(view)
        def guarded(payment_id: str) -> Any:
            payment = _load(payment_id)
            language.use(payment.locale)
            if request.method == "POST":
                guards.require_own_form()
            engine.expire_if_due(payment)
            stage = stage_of(payment)
            if stage not in stages:
                return redirect(url_for(STAGES[stage], payment_id=payment.id), 303)
            return view(payment)

        return guarded

    return decorate


def _load(payment_id: str) -> Payment:
    language.use()
    found = db.session.get(Payment, payment_id) if re.fullmatch(r"pay_[0-9a-f]{30}", payment_id) else None
    if found is None:
        abort(404, marked("There is no such payment. The link may be incomplete."))
    return found


@bp.get("/<payment_id>")
@at_stage("form")
def form(payment: Payment) -> Response:
    if dialect_interface.named(payment.dialect).wallet:
        return _page("wallet.html", payment, picture=qr.picture(links.wallet_url(payment)))
    if _methods(payment) == ("store",):
        return _page("store_choice.html", payment)
    return _form(payment, {}, {})


def _form(payment: Payment, errors: dict[str, str], values: dict[str, str]) -> Response:
    """Render the form. The card number and the security code are never sent back to the browser."""
    status = 422 if errors else 200
    return _page("checkout.html", payment, status, errors=errors, values=values, test_cards=cards.CARDS)


def _page(template: str, payment: Payment, status: int = 200, **values: Any) -> Response:
    """Render with the values that every payment page shows."""
    shop = dialect_interface.merchant_of(payment)
    panel: dict[str, Any] = {}
    if current_app.config["ACQUIRER_CONTROL"]:
        panel = {
            "armed": faults.armed_for(payment),
            "fired": faults.used(payment),
            "parts": presets.PARTS,
            "of_part": presets.of_part,
            "linked": presets.chosen(_fates(request.values.getlist("fate"))),
        }
    decline = gettext(cards.DECLINES[payment.last_decline][1]) if payment.last_decline else ""
    page = render_template(
        f"mock_acquirer/{template}",
        payment=payment,
        shop=shop,
        brand=dialect_interface.named(payment.dialect).title,
        wallet=dialect_interface.named(payment.dialect).wallet,
        methods=_methods(payment),
        rehearses=dialect_interface.named(payment.dialect).rehearses,
        decline=decline,
        tries_left=cards.MOST_DECLINES - payment.declines,
        panel=panel,
        **values,
    )
    return guards.may_post_on_to(make_response(page, status), payment)


def _methods(payment: Payment) -> tuple[str, ...]:
    return dialect_interface.named(payment.dialect).methods(payment)


def _fates(written: list[str]) -> list[str]:
    return [slug for part in written for slug in part.split(",")]


@bp.post("/<payment_id>/card")
@at_stage("form")
def pay(payment: Payment) -> Response:
    _require_wallet(payment, False)
    card, errors = _read_card(clock.now(payment.run))
    if card is None or errors:
        kept = {name: request.form.get(name, "")[:60] for name in ("name", "expiry")}
        return _form(payment, errors, kept)
    _arm_linked(payment)
    timeline.note(payment, "page", f"The customer pays with {card.brand} ending in {card.last4}")
    return _after(payment, engine.pay(payment, card))


@bp.get("/<payment_id>/wallet")
@at_stage("form")
def wallet(payment: Payment) -> Response:
    """The page of the wallet app after scanning the code."""
    _require_wallet(payment, True)
    return _page("wallet_confirm.html", payment)


@bp.post("/<payment_id>/wallet")
@at_stage("form")
def pay_with_wallet(payment: Payment) -> Response:
    _require_wallet(payment, True)
    _arm_linked(payment)
    timeline.note(payment, "page", "The customer pays with the wallet")
    return _after(payment, engine.pay(payment, cards.WALLET))


def _require_wallet(payment: Payment, wanted: bool) -> None:
    """Refuse a card for a wallet payment, and a scan for a card payment."""
    if dialect_interface.named(payment.dialect).wallet != wanted or not (wanted or "card" in _methods(payment)):
        abort(404, marked("This payment cannot be paid in this way."))


def _read_card(now: datetime) -> tuple[cards.Card | None, dict[str, str]]:
    """(the test card, an error sentence for each invalid field)."""
    errors: dict[str, str] = {}
    card, why = cards.read_number(request.form.get("number", "")[:40])
    if why:
        errors["number"] = gettext(why)
    wrong_date = _wrong_expiry(request.form.get("expiry", "")[:20], now)
    if wrong_date:
        errors["expiry"] = wrong_date
    cvc = narrow(request.form.get("cvc", "")[:20]).strip()
    if not re.fullmatch(r"[0-9]{3,4}", cvc):
        errors["cvc"] = gettext("Enter the 3 or 4 digits of the security code.")
    if not request.form.get("name", "").strip():
        errors["name"] = gettext("Enter the name on the card.")
    return card, errors


def _wrong_expiry(entered: str, now: datetime) -> str:
    """Error sentence about the expiry date; empty when the card is valid at the end of this month."""
    expiry = EXPIRY.fullmatch(narrow(entered))
    if expiry is None or not 1 <= int(expiry[1]) <= 12:
        return gettext("Enter month and year, such as 12/34.")
    year = int(expiry[2]) + (now.year // 100 * 100 if len(expiry[2]) == 2 else 0)
    if (year, int(expiry[1])) < (now.year, now.month):
        return gettext("This card has expired. Check the date or use another card.")
    if year > now.year + LONGEST_VALID_YEARS:
        return gettext("This date is too far in the future. Enter month and year, such as 12/34.")
    return ""


def _arm_linked(payment: Payment) -> None:
    """Arm the fault plan of the link when the customer acts."""
    if current_app.config["ACQUIRER_CONTROL"]:
        faults.add(payment, presets.plan_of(presets.chosen(_fates(request.form.getlist("fate")))))


def _after(payment: Payment, outcome: str) -> Response:
    """Redirect to the shop when the customer is done, else to the page of the payment's state."""
    if outcome in ("captured", "authorized", "processing") and payment.return_url:
        return _redirect(payment.return_url)
    return _redirect(url_for(STAGES[stage_of(payment)], payment_id=payment.id))


def _redirect(where: str) -> Response:
    response = make_response("", 303)
    response.headers["Location"] = where
    return response


@bp.post("/<payment_id>/store")
@at_stage("form", "store")
def choose_store(payment: Payment) -> Response:
    """Issue a code to pay with at a convenience store."""
    if "store" not in _methods(payment):
        abort(404, marked("This payment cannot be paid in this way."))
    _arm_linked(payment)
    timeline.note(payment, "page", "The customer chooses a convenience store")
    return _after(payment, engine.show_code(payment))


@bp.get("/<payment_id>/store")
@at_stage("store")
def store(payment: Payment) -> Response:
    """The code as text and barcode, and its expiry."""
    return _page("store.html", payment, barcode=barcode.code39(payment.store_code or ""))


@bp.post("/<payment_id>/pay_at_counter")
@at_stage("store")
def pay_at_counter(payment: Payment) -> Response:
    """For testers: pay the code at the counter."""
    guards.require_control()
    timeline.note(payment, "page", "The customer pays at the counter")
    engine.pay_at_counter(payment)
    return _redirect(url_for(STAGES[stage_of(payment)], payment_id=payment.id))


@bp.post("/<payment_id>/rehearse")
@at_stage("form", "store", "challenge", "result")
def rehearse(payment: Payment) -> Response:
    """For testers: notify the merchant of a simulated payment without money."""
    guards.require_control()
    engine.rehearse(payment)
    return _redirect(url_for(STAGES[stage_of(payment)], payment_id=payment.id) + "#fate")


@bp.post("/<payment_id>/cancel")
@at_stage("form", "challenge", "store")
def cancel(payment: Payment) -> Response:
    _arm_linked(payment)
    timeline.note(payment, "page", "The customer cancels")
    engine.cancel(payment, "customer")
    return _redirect(payment.return_url or url_for(STAGES["result"], payment_id=payment.id))


@bp.get("/<payment_id>/challenge")
@at_stage("challenge")
def challenge(payment: Payment) -> Response:
    return _page("challenge.html", payment)


@bp.post("/<payment_id>/challenge")
@at_stage("challenge")
def answer_challenge(payment: Payment) -> Response:
    """Approve, fail, time out or leave the challenge; a customer who leaves may come back until the session expires."""
    answer = request.form.get("answer", "")
    if answer not in (*engine.CHALLENGE, "leave"):
        abort(422, marked("Choose one of the answers on the page."))
    timeline.note(payment, "page", f"The customer answers the 3-D Secure challenge: {answer}")
    if answer == "leave":
        return _redirect(payment.return_url or url_for("pages.challenge", payment_id=payment.id))
    return _after(payment, engine.finish_challenge(payment, answer))


@bp.get("/<payment_id>/result")
@at_stage("result")
def result(payment: Payment) -> Response:
    return _page("result.html", payment)


@bp.post("/<payment_id>/fate")
@at_stage("form", "challenge", "store", "result")
def arm_fate(payment: Payment) -> Response:
    """Replace the faults armed on this payment by the chosen presets."""
    guards.require_control()
    picked = [] if "clear" in request.form else presets.chosen(_fates(request.form.getlist("pick")))
    faults.arm(payment.run, "payment", payment.id, presets.plan_of(picked))
    labels = ", ".join(preset.label for preset in picked) or "nothing"
    timeline.note(payment, "control", f"Armed on the payment page: {labels}")
    return _redirect(url_for(STAGES[stage_of(payment)], payment_id=payment.id) + "#fate")
