"""The cart. Every change is a form that works alone; htmx sends the same forms and gets the cart back as a fragment."""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext

from shop.catalogue import browse
from shop.checkout import cart as carts
from shop.core.errors import BadInput, Refusal
from shop.core.money import CURRENCIES
from shop.web import visitor
from shop.web.access import access
from shop.web.catalogue import product_page

bp = Blueprint("cart", __name__, url_prefix="/cart")
_SKU = "[A-Z0-9-]{1,64}"


@bp.get("")
@access("public")
def show() -> ResponseReturnValue:
    """The cart; `removed` and `quantity` in the address offer to put back what was just taken out."""
    return _page(removed=_removed(request.args.get("removed", ""), request.args.get("quantity", "")))


@bp.post("/lines")
@access("public")
def add() -> ResponseReturnValue:
    """Put something in."""
    sku, in_cart = request.form.get("sku", ""), request.form.get("from") == "cart"
    try:
        quantity = _quantity()
        carts.add(visitor.cart_id(), _sku(sku), quantity)
    except Refusal as refusal:
        return _page(refusal) if in_cart else _not_added(sku, refusal)
    if in_cart or not _by_htmx():
        return _changed(gettext("It is back in the cart."))
    name = browse.by_skus([sku])[sku].name
    said = ngettext("%(name)s is in your cart.", "%(num)d × %(name)s are in your cart.", quantity, name=name)
    return render_template("shop/_added.html", said=said)


@bp.post("/lines/<sku>")
@access("public")
def change(sku: str) -> ResponseReturnValue:
    """Another quantity; 0 takes it out."""
    before = _removed(sku, str(_in_cart().get(sku, "")))
    try:
        quantity = _quantity(least=0)
        carts.change(visitor.cart_id(), _sku(sku), quantity)
    except Refusal as refusal:
        return _page(refusal, problem_sku=sku)
    return _changed(_total_said(), removed=None if quantity else before)


@bp.post("/lines/<sku>/remove")
@access("public")
def remove(sku: str) -> ResponseReturnValue:
    """Take it out, with a way back."""
    before = _removed(sku, str(_in_cart().get(sku, "")))
    try:
        carts.remove(visitor.cart_id(), _sku(sku))
    except Refusal as refusal:
        return _page(refusal)
    return _changed(_total_said(), removed=before)


@bp.post("/prices")
@access("public")
def accept_prices() -> ResponseReturnValue:
    """Take the prices as they are now."""
    try:
        carts.accept_prices(visitor.cart_id())
    except Refusal as refusal:
        return _page(refusal)
    return _changed(_total_said())


@bp.post("/currency")
@access("public")
def currency() -> ResponseReturnValue:
    """Show and pay in another currency."""
    try:
        carts.set_currency(visitor.cart_id(), _currency())
    except Refusal as refusal:
        return _page(refusal)
    return _changed(_total_said())


def _by_htmx() -> bool:
    return "HX-Request" in request.headers


def _changed(said: str, removed: dict[str, Any] | None = None) -> ResponseReturnValue:
    if _by_htmx():
        return _page(removed=removed, said=said)
    back = {"removed": removed["sku"], "quantity": removed["quantity"]} if removed else {}
    return redirect(url_for("cart.show", **back), 303)


def _page(refusal: Refusal | None = None, said: str = "", **values: Any) -> ResponseReturnValue:
    fragment = _by_htmx()
    page = render_template(
        "shop/_cart.html" if fragment else "shop/cart.html",
        cart=visitor.my_cart(),
        currencies=CURRENCIES,
        fragment=fragment,
        problem=refusal.message if refusal else None,
        said=refusal.message if refusal else said,
        **values,
    )
    response = make_response(page, refusal.status if refusal else 200)
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def _not_added(sku: str, refusal: Refusal) -> ResponseReturnValue:
    if _by_htmx():
        return render_template("shop/_added.html", problem=refusal.message), refusal.status
    product = browse.by_skus([sku]).get(sku) if re.fullmatch(_SKU, sku) else None
    if product is None:
        raise refusal
    return product_page(product, refusal), refusal.status


def _sku(text: str) -> str:
    """`text` when it could be one of our SKUs. Raises BadInput before any database is asked about something else."""
    if not re.fullmatch(_SKU, text):
        raise BadInput("unknown_sku", gettext("We do not sell that."))
    return text


def _quantity(least: int = 1) -> int:
    """The quantity in the form. Raises BadInput for anything but a whole number that the cart would consider."""
    text = request.form.get("quantity", "").strip()
    if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) < least:
        raise BadInput("bad_quantity", gettext("Please choose a whole number from 1 to 99."))
    return int(text)


def _currency() -> str:
    code = request.form.get("currency", "")
    if code not in CURRENCIES:
        raise BadInput("unknown_currency", gettext("Please choose one of the currencies that are listed."))
    return code


def _in_cart() -> dict[str, int]:
    return {line.sku: line.quantity for line in visitor.my_cart().lines}


def _removed(sku: str, quantity: str) -> dict[str, Any] | None:
    """What may be put back, when it is something that we sell and that is not in the cart any more."""
    if not re.fullmatch(_SKU, sku) or not re.fullmatch(r"[1-9][0-9]?", quantity):
        return None
    product = browse.by_skus([sku]).get(sku)
    return {"sku": sku, "quantity": int(quantity), "name": product.name} if product else None


def _total_said() -> str:
    view = visitor.my_cart()
    return ngettext("%(num)d item in the cart.", "%(num)d items in the cart.", view.count)
