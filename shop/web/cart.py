"""Cart page. Every change is a form that works without JavaScript; htmx sends the same forms and receives the cart as a
fragment.
"""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext

from shop.catalogue import browse
from shop.catalogue.refusals import NotSoldIn
from shop.checkout import cart as carts
from shop.core.errors import BadInput, Refusal
from shop.core.money import CURRENCIES
from shop.core.text import plain
from shop.http_kit import visitor
from shop.http_kit.access import access
from shop.http_kit.translation import locale_name, translated
from shop.inventory import stock
from shop.web.catalogue import product_page

bp = Blueprint("cart", __name__, url_prefix="/cart")
_SKU = "[A-Z0-9-]{1,64}"


@bp.get("")
@access("public")
def show() -> ResponseReturnValue:
    """Cart page; `removed` and `quantity` in the query string offer to undo the removal of a product."""
    removed = _removed(request.args.get("removed", ""), _number(request.args.get("quantity", "")))
    return cart_page(removed=removed if removed and removed["sku"] not in _in_cart() else None)


@bp.post("/lines")
@access("public")
def add() -> ResponseReturnValue:
    """Add a product; from the cart's "Undo" button, restore the removed product."""
    sku, is_undo = request.form.get("sku", ""), request.form.get("from") == "cart"
    if is_undo:
        return _restore(sku)
    try:
        total = carts.add(visitor.cart_id(), _sku(sku), _quantity(), most=_available(sku))
    except Refusal as refusal:
        return _not_added(sku, refusal)
    name = browse.by_skus([sku])[sku].in_language(locale_name()).name
    message = ngettext("%(name)s is in your cart.", "%(num)d × %(name)s are in your cart.", total, name=name)
    if _by_htmx():
        return render_template("shop/_added.html", message=message)
    flash(message)
    return redirect(url_for("cart.show"), 303)


@bp.post("/lines/<sku>")
@access("public")
def change(sku: str) -> ResponseReturnValue:
    """Set a quantity; 0 removes the product."""
    try:
        quantity = _quantity(least=0)
        before = carts.change(visitor.cart_id(), _sku(sku), quantity, most=_available(sku))
    except Refusal as refusal:
        if isinstance(refusal, carts.TooMany):
            refusal.message = _only_left(refusal.most)
        return cart_page(refusal, problem_sku=sku)
    return _changed(_total_message(), removed=None if quantity else _removed(sku, before))


@bp.post("/lines/<sku>/remove")
@access("public")
def remove(sku: str) -> ResponseReturnValue:
    """Remove a product and offer to undo it. A repeated request offers the same undo."""
    try:
        before = carts.remove(visitor.cart_id(), _sku(sku))
    except Refusal as refusal:
        return cart_page(refusal)
    return _changed(_total_message(), removed=_removed(sku, before or _number(request.form.get("seen", ""))))


@bp.post("/prices")
@access("public")
def accept_prices() -> ResponseReturnValue:
    """Accept the prices that the page showed."""
    try:
        carts.accept_prices(visitor.cart_id(), request.form.get("terms", ""))
    except Refusal as refusal:
        return cart_page(refusal)
    return _changed(_total_message())


@bp.post("/currency")
@access("public")
def currency() -> ResponseReturnValue:
    """Change the currency of the cart."""
    try:
        carts.set_currency(visitor.cart_id(), _currency())
    except Refusal as refusal:
        return cart_page(refusal)
    return _changed(_total_message())


def cart_page(refusal: Refusal | None = None, message: str = "", **values: Any) -> ResponseReturnValue:
    """Render the current cart, with the refusal of a request if there is one."""
    fragment = _by_htmx()
    page = render_template(
        "shop/_cart.html" if fragment else "shop/cart.html",
        cart=visitor.my_cart(),
        currencies=CURRENCIES,
        fragment=fragment,
        problem=translated(_named(refusal).message) if refusal else None,
        message=translated(_named(refusal).message) if refusal else message,
        **values,
    )
    response = make_response(page, refusal.status if refusal else 200)
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def _by_htmx() -> bool:
    return "HX-Request" in request.headers


def _restore(sku: str) -> ResponseReturnValue:
    """Restore a removed product, as far as it is available, if its quantity has not changed since. Safe to repeat."""
    seen = request.form.get("seen", "0")
    try:
        wanted, most = _quantity(), _available(_sku(sku))
        quantity = most if 0 < most < wanted <= carts.MOST else wanted
        carts.change(visitor.cart_id(), sku, quantity, seen=_number(seen), most=most)
    except carts.QuantityChanged as changed:
        changed.message = ngettext(
            "Nothing was added. Your cart has changed and now contains %(num)d of this product.",
            "Nothing was added. Your cart has changed and now contains %(num)d of this product.",
            changed.there,
        )
        return cart_page(changed)
    except Refusal as refusal:
        if isinstance(refusal, carts.TooMany):
            refusal.message = _nothing_added(refusal)
        return cart_page(refusal)
    message, limited = gettext("The item is back in your cart."), ""
    if quantity < wanted:
        name = browse.by_skus([sku])[sku].in_language(locale_name()).name
        message = limited = limited_message(name, quantity, most)
    if not _by_htmx():
        flash(message)
    return _changed(message, limited=limited)


def limited_message(name: str, there: int, most: int) -> str:
    """The reason why a cart contains only `there` units of a product: it may contain at most `most`."""
    if most <= 0:
        return str(gettext("%(name)s has sold out and was not added to your cart.", name=name))
    if most < carts.MOST:
        return str(
            ngettext(
                "%(name)s: only %(num)d left. Your cart contains %(there)d.",
                "%(name)s: only %(num)d left. Your cart contains %(there)d.",
                most,
                name=name,
                there=there,
            )
        )
    return str(
        gettext("%(name)s: your cart contains %(most)d, the maximum for one product.", name=name, most=carts.MOST)
    )


def _changed(message: str, removed: dict[str, Any] | None = None, *, limited: str = "") -> ResponseReturnValue:
    if _by_htmx():
        return cart_page(removed=removed, message=message, limited=limited)
    back = {"removed": removed["sku"], "quantity": removed["quantity"]} if removed else {}
    return redirect(url_for("cart.show", **back), 303)


def _not_added(sku: str, refusal: Refusal) -> ResponseReturnValue:
    if isinstance(refusal, carts.TooMany):
        refusal.message = _nothing_added(refusal)
    refusal = _named(refusal)
    if _by_htmx():
        return render_template("shop/_added.html", problem=translated(refusal.message)), refusal.status
    product = browse.by_skus([sku]).get(sku) if re.fullmatch(_SKU, sku) else None
    if product is None:
        raise refusal
    return product_page(product, refusal), refusal.status


def _named(refusal: Refusal) -> Refusal:
    """The refusal with its product's name in the customer's language."""
    if not isinstance(refusal, NotSoldIn):
        return refusal
    product = browse.by_skus([refusal.sku]).get(refusal.sku)
    name = product.in_language(locale_name()).name if product else refusal.name
    return NotSoldIn(refusal.sku, name, refusal.currency)


def _nothing_added(refusal: carts.TooMany) -> str:
    if refusal.most <= 0:
        return str(gettext("This product has sold out. Nothing was added."))
    if refusal.most < carts.MOST:
        return str(
            ngettext(
                "Only %(num)d left. Your cart already contains %(there)d. Nothing was added.",
                "Only %(num)d left. Your cart already contains %(there)d. Nothing was added.",
                refusal.most,
                there=refusal.there,
            )
        )
    return str(
        gettext(
            "You can order at most %(most)d of one product. Your cart already contains %(there)d. Nothing was added.",
            most=carts.MOST,
            there=refusal.there,
        )
    )


def _only_left(units: int) -> str:
    if units <= 0:
        return str(gettext("This product has sold out. Remove it from your cart."))
    return str(ngettext("Only %(num)d left. Reduce the quantity.", "Only %(num)d left. Reduce the quantity.", units))


def _available(sku: str) -> int:
    """Units that the cart may contain now. Order placing decides: the stock may change at any moment."""
    return carts.most_of(stock.available([sku])[sku])


def _sku(text: str) -> str:
    """Return `text` if it has the form of a SKU. Raises BadInput otherwise, without a database query."""
    if not re.fullmatch(_SKU, text):
        raise BadInput("unknown_sku", gettext("We do not sell this product."))
    return text


def _quantity(least: int = 1) -> int:
    """The quantity in the form. Raises BadInput unless it is a whole number of at least `least`."""
    text = plain(request.form.get("quantity", ""))
    if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) < least:
        raise BadInput("bad_quantity", gettext("Enter a whole number from 1 to 99."))
    return int(text)


def _currency() -> str:
    code = request.form.get("currency", "")
    if code not in CURRENCIES:
        raise BadInput("unknown_currency", gettext("Choose a currency from the list."))
    return code


def _in_cart() -> dict[str, int]:
    cart = visitor.my_cart()
    lines = ((line.sku, line.quantity) for line in cart.lines)
    return {**dict(lines), **{line.sku: line.quantity for line in cart.unpriced}}


def _number(text: str) -> int:
    """A quantity of one or two digits in a form or query string; 0 for anything else."""
    return int(text) if re.fullmatch(r"[1-9][0-9]?", text) else 0


def _removed(sku: str, quantity: int) -> dict[str, Any] | None:
    """Product and quantity that can be restored; None unless the shop sells the product."""
    if not quantity or not re.fullmatch(_SKU, sku):
        return None
    product = browse.by_skus([sku]).get(sku)
    return {"sku": sku, "quantity": quantity, "name": product.in_language(locale_name()).name} if product else None


def _total_message() -> str:
    view = visitor.my_cart()
    return str(ngettext("%(num)d item in your cart.", "%(num)d items in your cart.", view.count))
