"""Returns of an order by its customer: the form that requests one, and withdrawing it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext

from shop.core import clock, ids, text
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.errors import BadInput, Refusal
from shop.core.sentences import sentence
from shop.http_kit import visitor
from shop.http_kit.access import access
from shop.http_kit.request_guard import limited
from shop.http_kit.translation import translated
from shop.orders.models import Order
from shop.returns import decide, load, requests
from shop.returns.decide import Wanted
from shop.returns.states import ReturnReason

bp = Blueprint("order_returns", __name__, url_prefix="/orders")
REASONS = {
    ReturnReason.CHANGED_MIND: lazy_gettext("I changed my mind"),
    ReturnReason.DAMAGED: lazy_gettext("It arrived damaged"),
    ReturnReason.FAULTY: lazy_gettext("It does not work"),
    ReturnReason.WRONG_ITEM: lazy_gettext("It is not what I ordered"),
    ReturnReason.NOT_AS_DESCRIBED: lazy_gettext("It differs from its description"),
    ReturnReason.OTHER: lazy_gettext("Another reason"),
}
UNITS = "units-"
"""Names of the fields with units begin with it; the SKU follows."""
_FORM_KEY = re.compile("[A-Za-z0-9_-]{8,64}")
_MOST_DIGITS = 6


@bp.get("/<token>/returns")
@access("order_token")
def form(order: Order) -> ResponseReturnValue:
    """The form that requests a return, or the reason why none can be requested."""
    return _page(order, None)


@bp.post("/<token>/returns")
@access("order_token")
@limited("return", 30)
def create(order: Order) -> ResponseReturnValue:
    """Request a return. The form carries a key: sent twice, it requests one return."""
    try:
        form_key = request.form.get("form_key", "")
        if not _FORM_KEY.fullmatch(form_key):
            raise BadInput("bad_form", sentence("The form is not complete. Please fill it in again."))
        wanted = Wanted.of(units(request.form), request.form.get("reason", ""), request.form.get("comment", ""))
        requests.request(order.id, wanted, by=Actor.customer(visitor.user_id()), form_key=form_key)
    except Refusal as refusal:
        db.session.rollback()
        return _page(order, refusal), refusal.status
    flash(gettext("Your return request has been sent."))
    return redirect(url_for("orders.show", token=order.token), 303)


@bp.post("/<token>/returns/withdraw")
@access("order_token")
@limited("return", 30)
def withdraw(order: Order) -> ResponseReturnValue:
    """Withdraw a return before it is received."""
    try:
        requests.withdraw(order.id, request.form.get("return", "")[:40], by=Actor.customer(visitor.user_id()))
        flash(gettext("You withdrew the return."))
    except Refusal as refusal:
        db.session.rollback()
        flash(translated(refusal.message), "problem")
    return redirect(url_for("orders.show", token=order.token), 303)


def units(typed: Mapping[str, str]) -> dict[str, int]:
    """The units by SKU in the fields of a form. Raises BadInput `bad_quantity` for anything but whole numbers."""
    found = {}
    for name, value in typed.items():
        if name.startswith(UNITS):
            number = text.plain(value) or "0"
            if not (number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS):
                raise BadInput("bad_quantity", sentence("Enter whole numbers of items."), field="units")
            found[name.removeprefix(UNITS)] = int(number)
    return found


def _page(order: Order, refusal: Refusal | None) -> str:
    """The form with the units that are left, and what was typed if it was refused."""
    seen = load.snapshot(order.id, lock=False)
    refused = decide.refusal(seen, clock.now(), requests.days())
    left = {} if refused else seen.left()
    return render_template(
        "shop/return_request.html",
        order=order,
        left=left,
        reasons=REASONS,
        longest=decide.LONGEST_COMMENT,
        form_key=ids.token(),
        refusal=refusal or refused,
        wrong=(refusal.details.get("field") if refusal else "") or ("units" if refusal else ""),
        typed=request.form if refusal else {},
    )
