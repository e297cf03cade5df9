"""Form that packs and ships several orders at once: one carrier, and a tracking number for each order."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.core import ids
from shop.core.db import db
from shop.core.errors import Refusal
from shop.fulfilment import to_ship, write
from shop.fulfilment.carriers import CARRIERS
from shop.http_kit.access import requires
from shop.ops import acts, fulfilment_forms
from shop.orders import find

bp = Blueprint("fulfilment_ship", __name__)


@bp.get("/fulfilment/ship")
@requires(Permission.FULFILMENT_WRITE)
def form() -> str:
    """The selected orders, with a field for the tracking number of each."""
    return _page(fulfilment_forms.numbers(), {})


@bp.post("/fulfilment/ship")
@requires(Permission.FULFILMENT_WRITE)
def ship() -> ResponseReturnValue:
    """Pack and ship all that is left of each order, each in a transaction of its own. The page shows again those that
    were refused, with the reasons. The page of a single order, or the list, leads to the next one.
    """
    numbers = request.form.getlist("number")
    fulfilment_forms.filters()
    rows = to_ship.chosen(numbers)
    refusals: dict[str, Refusal] = {}
    for row in rows:
        try:
            _ship(row.id, row.number)
        except rights.Forbidden:
            raise
        except Refusal as refusal:
            db.session.rollback()
            refusals[row.number] = refusal
    done = len(rows) - len(refusals)
    if done:
        flash(f"{done} order{' is' if done == 1 else 's are'} shipped. The customers get mails.")
    if refusals:
        return _page(list(refusals), refusals), max(refusal.status for refusal in refusals.values())
    if not done:
        flash("Nothing was left to ship: these orders were shipped before.")
    if len(numbers) == 1 and (order := find.by_number(numbers[0])):
        return redirect(url_for("ops.fulfilment_order.show", number=order.number, **fulfilment_forms.kept()), 303)
    return redirect(url_for("ops.fulfilment.index", **fulfilment_forms.kept()), 303)


def _ship(order_id: int, number: str) -> None:
    tracking = fulfilment_forms.tracking(request.form.get(f"tracking.{number}", ""))
    write.pack_and_ship(order_id, tracking, by=acts.reader(), form_key=request.form.get("key", ""))


def _page(numbers: list[str], refusals: dict[str, Refusal]) -> str:
    rows = to_ship.chosen(numbers)
    return render_template(
        "ops/fulfilment_ship.html",
        rows=rows,
        kept=fulfilment_forms.kept(),
        refusals=refusals,
        carriers=CARRIERS,
        typed=request.form,
        key=request.form.get("key") or ids.token(),
    )
