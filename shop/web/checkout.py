"""The checkout: one form, and then the order's own page."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import get_locale, gettext
from flask_login import current_user

from shop.checkout import saga
from shop.checkout.cart import CartView
from shop.core.errors import Refusal
from shop.ledger import store_credit
from shop.payments import registry
from shop.web import visitor
from shop.web.access import access
from shop.web.forms import CheckoutForm, countries
from shop.web.guard import limited

bp = Blueprint("checkout", __name__)


@bp.route("/checkout", methods=["GET", "POST"])
@access("public")
@limited("place_order", 30)
def show() -> ResponseReturnValue:
    """The form; sent and complete, it becomes an order with its payment opened, and the buyer goes to its page."""
    cart = visitor.my_cart()
    form = _form(cart)
    if request.method == "POST" and form.validate():  # even when the cart is empty: this key may have placed its order
        return _place(cart, form)
    if cart.is_empty:
        return redirect(url_for("cart.show"), 303)
    return _page(cart, form), 422 if form.errors else 200


def _place(cart: CartView, form: CheckoutForm) -> ResponseReturnValue:
    try:
        order = saga.place_order(cart.id, _buyer(form), form.method.data, form.key.data, credit=form.credit.data or 0)
    except Refusal as refusal:
        if refusal.code == "cart_empty":
            return redirect(url_for("cart.show"), 303)
        return _page(visitor.my_cart(), form, refusal), refusal.status
    return redirect(url_for("orders.show", token=order.token), 303)


def _buyer(form: CheckoutForm) -> saga.Buyer:
    return saga.Buyer(
        email=form.email.data.lower(),
        name=form.name.data,
        line1=form.line1.data,
        line2=form.line2.data or "",
        city=form.city.data,
        postcode=form.postcode.data or "",
        country=form.country.data,
        user_id=current_user.id if current_user.is_authenticated else None,
        locale=str(get_locale() or "en"),
    )


def _form(cart: CartView) -> CheckoutForm:
    form = CheckoutForm()
    form.country.choices = countries()
    methods = registry.methods(cart.currency)
    form.method.choices = [(method.provider, method.name) for method in methods]
    if request.method == "GET":
        form.key.data = cart.checkout_key
        form.country.data = {"TWD": "TW", "JPY": "JP", "USD": "US"}.get(cart.currency)
        form.method.data = methods[0].provider if methods else None
        if current_user.is_authenticated:
            form.email.data, form.name.data = current_user.email, current_user.name
    return form


def _page(cart: CartView, form: CheckoutForm, problem: Refusal | None = None) -> str:
    form.key.data = cart.checkout_key  # what is on the page now is what the next press of the button agrees to
    if form.method.errors:
        form.method.errors = [gettext("Please choose one of the ways to pay that are listed.")]
    user_id = current_user.id if current_user.is_authenticated else None
    credit = min(store_credit.available(user_id, cart.currency), cart.total, key=lambda money: money.amount)
    return render_template(
        "shop/checkout.html",
        cart=cart,
        form=form,
        methods=registry.methods(cart.currency),
        problem=problem,
        credit=credit if credit.amount else None,
        left=cart.total + credit * -1,
    )
