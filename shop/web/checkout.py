"""Checkout page: one form that shows what the order costs, places it and leads to the order page."""

from __future__ import annotations

import re
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from typing import Any

from flask import Blueprint, make_response, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from limits import RateLimitItemPerHour

from shop.accounts import address_book, sessions
from shop.checkout import agreement, draft, place_order
from shop.checkout import cart as carts
from shop.checkout.cart_view import CartView
from shop.checkout.differences import CHARGES, differences
from shop.checkout.placing.decide import AlreadyPlaced
from shop.checkout.placing.request import Customer
from shop.core import clock, email_address, languages
from shop.core.client_address import client_network
from shop.core.countries import SHIPS_TO
from shop.core.db import db
from shop.core.errors import Away, BadInput, Refusal
from shop.core.money import Money
from shop.core.redis import RedisAway
from shop.core.sentences import sentence
from shop.http_kit import language, visitor
from shop.http_kit.access import access
from shop.http_kit.errors import DATABASE_AWAY, note_database_away, stale_form
from shop.http_kit.request_guard import TooMany, limited, limited_answers
from shop.http_kit.translation import locale_name, translated
from shop.ledger import store_credit
from shop.orders.models import Order
from shop.payments.providers import charging, registry
from shop.pricing import codes
from shop.pricing import load as pricing
from shop.pricing.decide import Choices, Quote, quote
from shop.web.cart import cart_page
from shop.web.forms import CheckoutForm

bp = Blueprint("checkout", __name__)
_TYPED = (
    *("email", "name", "line1", "line2", "city", "region", "postcode", "country", "phone"),
    *("method", "credit", "delivery", "code", "save_address"),
)
_DRAFT = "draft"
_NOT_USABLE = frozenset({"code_expired", "code_used_up", "code_used_before"})
"""Refusals of a code that the customer cannot correct."""
USED_BEFORE = RateLimitItemPerHour(20)
"""Answers to one client network that an e-mail address has used a code; each shows that it has ordered."""


@bp.route("/checkout", methods=["GET", "POST"])
@access("public")
@limited("place_order", 30, free=(409, 422), shown_again=lambda refusal: _again(refusal))
def show() -> ResponseReturnValue:
    """Show the form; a valid form places an order, starts its payment and redirects to the order page."""
    form = _form()
    if request.method == "POST":
        if _is_complete(form):  # even with an empty cart: this form may have placed its order before
            return _place(form)
        earlier = None if form.key.errors else place_order.placed_from(visitor.known_cart() or "", form.key.data)
        if earlier:
            return _already_placed(earlier)
    cart = visitor.my_cart()
    if cart.is_empty or cart.unpriced:
        return redirect(url_for("cart.show"), 303)
    if request.method == "GET":
        _fill(form, cart)
    return _page(cart, form), 422 if form.errors else 200


@bp.post("/checkout/update")
@access("public")
@limited("checkout_update", 60, shown_again=lambda refusal: _again(refusal))
def update() -> ResponseReturnValue:
    """Show what the order costs with the chosen country, delivery method and discount code. Places nothing.

    htmx gets the changed parts of the page; the customer's other values stay as they are typed.
    """
    cart = visitor.my_cart()
    if cart.is_empty or cart.unpriced:
        return redirect(url_for("cart.show"), 303)
    form = _form()
    is_filled = _take_saved(form)
    if "HX-Request" not in request.headers:
        return _page(cart, form, is_update=True)
    quoted = _quote(cart, form)
    _state_terms(form, cart.terms_with(quoted.terms))
    is_refitted = form.fitted.data != form.country.data
    form.fit()
    shown = {"is_refitted": is_refitted, "is_filled": is_filled, "saved_id": request.form.get("saved", "")}
    return render_template("shop/_checkout_update.html", **shown, **_totals(cart, form, quoted))


def _take_saved(form: CheckoutForm) -> bool:
    """Fill in the address that the customer has just chosen in the address book, or empty the fields for another one;
    True if the fields changed.
    """
    chosen, user_id = request.form.get("saved", ""), visitor.user_id()
    if user_id is None or chosen == request.form.get("saved_before", "") or not re.fullmatch("[0-9]{0,9}", chosen):
        return False
    if not chosen:
        form.clear()
        return True
    saved = address_book.find(user_id, int(chosen))
    if saved is not None:
        form.take(saved)
    return saved is not None


def _is_complete(form: CheckoutForm) -> bool:
    """True for a form without errors. Where nothing is due it needs no payment method; with an empty cart, the order
    that it may have placed decides.
    """
    if form.validate():
        return True
    if set(form.errors) != {"method"} or form.method.data:
        return False
    cart = visitor.my_cart()
    if not cart.is_empty and (cart.unpriced or _quote(cart, form).total.amount > (form.credit.data or 0)):
        return False
    form.method.errors = ()
    return True


def _again(refusal: Refusal) -> str:
    """The form with the submitted values and the refusal."""
    cart = visitor.my_cart()
    return _page(cart, _form(), refusal)


@bp.errorhandler(CSRFError)
def csrf_failed(error: CSRFError) -> ResponseReturnValue:
    """Show the form again with the submitted values when its CSRF token is from before a sign-in. Forms of other sites,
    which could contain any values, are refused.
    """
    cart = visitor.my_cart()
    elsewhere = request.headers.get("Origin", request.host_url.rstrip("/")) != request.host_url.rstrip("/")
    if cart.is_empty or elsewhere or "Sec-Fetch-Site" in request.headers:
        return stale_form(error)
    problem = BadInput("csrf", gettext("This page was out of date. No order was placed."))
    return _refused(cart, _form(), problem)


@bp.post("/checkout/sign-in")
@access("public")
@limited("checkout_sign_in", 30, shown_again=lambda refusal: _again(refusal))
def sign_in() -> ResponseReturnValue:
    """Store the entered values, redirect to the sign-in page, and return to the filled form."""
    cart = visitor.my_cart()
    form = _form()
    try:
        _keep(form)
    except RedisAway:
        if not cart.is_empty:
            problem = Away(
                "sign_in_unavailable",
                gettext("Sign-in is temporarily unavailable. Please try again in a minute, or order as a guest."),
            )
            return _page(cart, form, problem), problem.status
    here = url_for("checkout.show")
    if current_user.is_authenticated:
        return redirect(here, 303)
    return redirect(url_for("accounts.sign_in", next=here), 303)


@bp.post("/checkout/language")
@access("public")
@limited("checkout_language", 60, shown_again=lambda refusal: _again(refusal))
def choose_language() -> ResponseReturnValue:
    """Show the checkout in another language, with the entered values."""
    if locale := languages.offered(request.form.get("lang", "")):
        language.choose(locale)
    cart, form = visitor.my_cart(), _form()
    try:
        _keep(form)
    except RedisAway:
        if not cart.is_empty and not cart.unpriced:
            return _page(cart, form, is_update=True)
    return redirect(url_for("checkout.show"), 303)


def _keep(form: CheckoutForm) -> None:
    """Store the entered values for the next view of the form. Raises RedisAway."""
    session[_DRAFT] = draft.keep({name: str(form[name].data or "") for name in _TYPED})


def _place(form: CheckoutForm) -> ResponseReturnValue:
    shown = agreement.Shown(form.key.data, form.terms.data or "", form.customer.data or "")
    try:
        order = _placed(form, shown)
    except AlreadyPlaced as earlier:
        return _already_placed(db.session.get_one(Order, earlier.order_id))
    except Refusal as refusal:
        now = visitor.my_cart()
        if now.is_empty:
            return cart_page(_signed_out() if _was_for_customer(shown) else refusal)
        if now.unpriced:
            return cart_page(refusal)
        return _refused(now, form, refusal)
    except DATABASE_AWAY as error:
        return _not_written(form, error)
    session.pop(_DRAFT, None)
    if form.save_address.data and current_user.is_authenticated:
        with suppress(Refusal):  # the address book is full; the order stands
            address_book.add(current_user.id, form.address)
    return redirect(url_for("orders.show", token=order.token), 303)


def _not_written(form: CheckoutForm, error: Exception) -> ResponseReturnValue:
    """The form with the submitted values, where the database can be read and the form has placed no order."""
    note_database_away(error)
    cart = visitor.my_cart()
    if cart.is_empty or cart.unpriced or cart.checkout_key != form.key.data:
        raise error
    message = gettext("We cannot place your order at the moment. Please try again in a few seconds.")
    return _refused(cart, form, Away("database_away", message))


def _placed(form: CheckoutForm, shown: agreement.Shown) -> place_order.Placed:
    """The new order, or the one that this form has placed before. Raises what `place_order` raises, and TooMany."""
    message = sentence(
        "Several codes were refused because an e-mail address had used them. Remove the code, or try again in an hour."
    )
    has_code = bool(codes.normal(form.code.data or ""))
    with limited_answers("code_used_before", USED_BEFORE, TooMany(3600, message)) if has_code else nullcontext():
        return place_order.place_order(
            visitor.known_cart() or "",
            _customer(form),
            form.method.data or "",
            shown,
            credit=form.credit.data or 0,
            delivery=form.delivery.data or "",
            code=form.code.data or "",
            network=client_network(request.remote_addr),
        )


def _was_for_customer(shown: agreement.Shown) -> bool:
    """True if the form was shown to a signed-in customer and the request has no sign-in."""
    return (
        shown.customer not in ("", agreement.GUEST) and not current_user.is_authenticated and not sessions.unavailable()
    )


def _signed_out() -> Refusal:
    message = gettext("You have signed out since you opened this page, and your cart was emptied. No order was placed.")
    return Refusal("signed_out", message)


def _refused(cart: CartView, form: CheckoutForm, refusal: Refusal) -> ResponseReturnValue:
    retry_after = getattr(refusal, "retry_after", None)
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else {}
    return _page(cart, form, refusal), refusal.status, headers


def _already_placed(order: Order) -> ResponseReturnValue:
    """Answer 409 to a form that has placed this order and was sent again with different values."""
    response = make_response(render_template("shop/already_placed.html", order=order), 409)
    response.headers["Cache-Control"] = "no-store"
    return response


def _other_customer_message() -> str:
    if current_user.is_authenticated:
        message = gettext(
            "You are now signed in as %(email)s. No order was placed. Check the form, then place the order again.",
            email=current_user.email,
        )
    elif sessions.unavailable():
        message = gettext(
            "Sign-in is temporarily unavailable. No order was placed. "
            "You can place this order as a guest, or try again in a minute."
        )
    else:
        message = gettext(
            "You are no longer signed in. No order was placed. Sign in again, or place this order as a guest."
        )
    return str(message)


def _customer(form: CheckoutForm) -> Customer:
    return Customer(
        email=form.email.data,
        name=form.name.data,
        line1=form.line1.data,
        line2=form.line2.data or "",
        city=form.city.data or "",
        region=form.region.data or "",
        postcode=form.postcode.data or "",
        country=form.country.data,
        phone=form.phone.data or "",
        user_id=visitor.user_id(),
        locale=locale_name(),
    )


def _form() -> CheckoutForm:
    """The submitted form. It accepts all payment methods of the shop; whether the cart's currency has the chosen one is
    decided while the cart is locked.
    """
    form = CheckoutForm()
    form.email.data = email_address.typed(request.form.get("email_meant", "")) or form.email.data
    form.method.choices = [(name, provider.LABEL) for name, provider in registry.all_providers().items()]
    return form


def _fill(form: CheckoutForm, cart: CartView) -> None:
    """Fill in the customer's name and e-mail, a likely country, and stored values."""
    methods = registry.methods(cart.currency)
    form.country.data = {"TWD": "TW", "JPY": "JP", "USD": "US"}.get(cart.currency)
    if current_user.is_authenticated:
        form.email.data, form.name.data = current_user.email, current_user.name
        form.saved = address_book.of_user(current_user.id)
        if form.saved and form.saved[0].is_default:
            form.take(form.saved[0])
    token = session.get(_DRAFT)
    kept = draft.read(token) if isinstance(token, str) else {}
    for name in _TYPED:
        if kept.get(name):
            form[name].data = kept[name]
    if not form.method.data:
        total = _quote(cart, form).total
        able = [method for method in methods if registry.takes(method.provider, total)] or methods
        form.method.data = able[0].provider if able else None


def _page(cart: CartView, form: CheckoutForm, problem: Refusal | None = None, *, is_update: bool = False) -> str:
    """Render the form for the current cart; submitting it accepts the terms that the page shows.

    The changes of an update are those that the customer asked for: only changes of the cart are listed.
    """
    user_id, quoted = visitor.user_id(), _quote(cart, form)
    if problem and form.code.data and problem.code in _NOT_USABLE:
        form.code.data = ""  # the total is now that without the code, which the next submission agrees to
        quoted = replace(_quote(cart, form), refusal=problem)
    terms = cart.terms_with(quoted.terms)
    shown = agreement.read(form.shown.data or "") if request.method == "POST" else None
    changed = differences(cart, shown, terms) if request.method == "POST" else []
    if is_update:
        changed = [one for one in changed if one.kind not in CHARGES]
    shown_to = form.customer.data if not form.key.errors else None
    other_customer = bool(shown_to) and shown_to != agreement.customer_mark(form.key.data or "", user_id)
    form.key.data = cart.checkout_key
    form.customer.data = agreement.customer_mark(cart.checkout_key, user_id)
    _state_terms(form, terms)
    form.fit()
    method_unavailable = form.method.data if form.method.data not in registry.charging(cart.currency) else None
    if user_id is not None and form.saved is None:
        form.saved = address_book.of_user(user_id)
    saved = form.saved or ()
    page = render_template(
        "shop/checkout.html",
        method_unavailable=registry.label(method_unavailable)
        if method_unavailable in registry.all_providers()
        else None,
        problem=problem,
        changed=changed,
        only_charges=bool(changed) and all(one.kind in CHARGES for one in changed),
        other_customer=_other_customer_message() if other_customer else "",
        saved=saved,
        saved_id=next((one.id for one in saved if form.holds(one)), ""),
        may_save=user_id is not None and len(saved) < address_book.MOST,
        **_totals(cart, form, quoted, problem),
    )
    if any(difference.kind == "price" for difference in changed):
        _accept_shown_prices(cart)
    return page


def _quote(cart: CartView, form: CheckoutForm) -> Quote:
    """The price of the cart with the choices in the form."""
    country = form.country.data if form.country.data in SHIPS_TO else ""
    choices = Choices(country, form.delivery.data or "", codes.normal(form.code.data or ""), locale_name())
    return quote(cart.total, choices, pricing.rules(choices, cart.currency), clock.now(), cart.tax_classes)


def _state_terms(form: CheckoutForm, terms: agreement.Terms) -> None:
    form.terms.data, form.shown.data = terms.digest, terms.text


def _totals(cart: CartView, form: CheckoutForm, quoted: Quote, problem: Refusal | None = None) -> dict[str, Any]:
    """Values of the parts of the page that depend on what the order costs."""
    total = quoted.total
    credit = min(store_credit.available(visitor.user_id(), cart.currency), total, key=lambda money: money.amount)
    if problem and problem.code == "cannot_charge":  # offer the credit that works with the chosen payment method
        credit = Money(min(credit.amount, problem.details.get("usable_credit", credit.amount)), cart.currency)
    return {
        "cart": cart,
        "form": form,
        "quote": quoted,
        "methods": _offers(registry.methods(cart.currency), total, credit),
        "credit": credit if credit.amount else None,
        "left": total + credit * -1,
    }


@dataclass(frozen=True)
class _Offer:
    """A payment method in the checkout, and why it cannot charge the total, and what `credit` leaves of it; empty
    where it can. `usable` is the part of the credit that leaves an amount which it can charge; zero if there is none.
    """

    method: registry.Method
    without_credit: str
    with_credit: str
    usable: Money


def _offers(methods: list[registry.Method], total: Money, credit: Money) -> list[_Offer]:
    left, able = total + credit * -1, registry.charging(total.currency)
    refused = [(method, charging.refusal(able[method.provider], left, credit)) for method in methods]
    return [
        _Offer(
            method,
            translated(charging.reason(able[method.provider], total)),
            translated(charging.reason(able[method.provider], left)),
            Money(refusal.details.get("usable_credit", 0) if refusal else 0, total.currency),
        )
        for method, refusal in refused
    ]


def _accept_shown_prices(cart: CartView) -> None:
    """Accept the changed prices that the page lists, so that submitting it again succeeds."""
    try:
        carts.accept_prices(cart.id, cart.terms.digest)
    except Refusal:  # they have changed again: the next submission lists the changes
        return
