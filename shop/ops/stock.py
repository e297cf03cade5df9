"""Stock: units on hand, reserved and available by product, receipts, corrections, limits, and the history."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from shop.accounts import rights, staff
from shop.accounts.permissions import Permission
from shop.core import ids, text
from shop.core.errors import BadInput, Refusal
from shop.http_kit.access import requires
from shop.inventory import stock
from shop.ops import acts, products
from shop.ops.navigation import Group, Link

bp = Blueprint("stock", __name__)
LINKS = (Link("Stock", "ops.stock.index", Permission.STOCK_READ, Group.SHOP),)


@bp.get("/stock")
@requires(Permission.STOCK_READ)
def index() -> ResponseReturnValue:
    """Products with their units by SKU, with the filters of the list of products."""
    return products.show_list("ops/stock.html", "ops.stock.index")


@bp.get("/stock/<sku>")
@requires(Permission.STOCK_READ)
def show(sku: str) -> str:
    """The stock of a product, the forms that change it, and its movements."""
    return _page(sku)


@bp.post("/stock/<sku>/receive")
@requires(Permission.STOCK_WRITE)
def receive(sku: str) -> ResponseReturnValue:
    """Add received units."""

    def act() -> None:
        form_id, quantity = request.form.get("form", "")[:64] or None, _number("quantity")
        stock.restock(sku, quantity, by=acts.reader(), reason=acts.reason(), form_id=form_id)

    return _done(sku, "receive", act, "The units are received.")


@bp.post("/stock/<sku>/correct")
@requires(Permission.STOCK_WRITE)
def correct(sku: str) -> ResponseReturnValue:
    """Set the units on hand after a count."""

    def act() -> None:
        stock.correct(sku, _number("on_hand"), seen=_number("seen"), by=acts.reader(), reason=acts.reason())

    return _done(sku, "correct", act, "The stock is corrected.")


@bp.post("/stock/<sku>/limit")
@requires(Permission.STOCK_WRITE)
def limit(sku: str) -> ResponseReturnValue:
    """Set the number of available units from which on staff are alerted; empty: none."""

    def act() -> None:
        low_at = _number("low_at") if request.form.get("low_at", "").strip() else None
        stock.set_low_at(sku, low_at, by=acts.reader())

    return _done(sku, "limit", act, "The limit is saved.")


def _done(sku: str, form: str, act: Callable[[], None], message: str) -> ResponseReturnValue:
    products.existing(sku)
    try:
        act()
    except rights.Forbidden:
        raise
    except Refusal as refusal:
        return _page(sku, form, refusal), refusal.status
    flash(message)
    return redirect(url_for("ops.stock.show", sku=sku), 303)


def _page(sku: str, form: str = "", refusal: Refusal | None = None) -> str:
    product, found, movements = products.existing(sku), stock.find(sku), stock.movements(sku)
    return render_template(
        "ops/stock_of.html",
        product=product,
        stock=found,
        movements=movements,
        people=staff.labels(movement.by for movement in movements if movement.by),
        wrong={form: refusal.message} if refusal else {},
        typed=request.form if refusal else {},
        form_id=request.form.get("form") if refusal else ids.token(),
    )


def _number(field: str) -> int:
    """The whole number in a field. Raises BadInput."""
    typed = text.plain(request.form.get(field, "")).replace(",", "")
    if not (typed.isascii() and typed.isdigit() and len(typed) < 10):
        raise BadInput("bad_quantity", "Enter a whole number.")
    return int(typed)
