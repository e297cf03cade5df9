"""Order page and its actions."""

from __future__ import annotations

import io
import re

import segno
from flask import Blueprint, Response, abort, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext

from shop.checkout import cart as carts
from shop.checkout import end_order
from shop.checkout.order_status import OrderStatus, load_status
from shop.core import clock, ids
from shop.core.actor import Actor
from shop.core.errors import BadInput, Refusal
from shop.http_kit import visitor
from shop.http_kit.access import access
from shop.http_kit.request_guard import limited
from shop.http_kit.template_helpers import payment_methods
from shop.http_kit.translation import translated
from shop.orders.models import Order
from shop.payments.initiation import initiate
from shop.payments.initiation.attempt_limits import TooSoon
from shop.payments.polling import poll
from shop.payments.providers import registry
from shop.payments.providers.types import ActionKind, PaymentState
from shop.payments.records.models import Payment
from shop.payments.records.types import Source
from shop.web import returning
from shop.web.cart import limited_message

bp = Blueprint("orders", __name__, url_prefix="/orders")
_FORM_ID = re.compile("[A-Za-z0-9_-]{8,64}")
_TITLES = {
    "too_soon": lazy_gettext("Please wait a moment"),
    "too_many_payments": lazy_gettext("Too many attempts to pay"),
    "cannot_charge": lazy_gettext("Choose another payment method"),
}
"""Page titles of refusals to start a payment; other refusals redirect to the order page, which gives the reason."""


@bp.get("/<token>")
@access("order_token")
def show(order: Order) -> ResponseReturnValue:
    """Order page. Viewing it makes a pending payment due for a poll."""
    s = load_status(order)
    events_url = f"{url_for('orders.show', token=order.token)}/events?showing={s.key}&since={s.seq}"
    values = {"events_url": events_url, "updated_at": clock.now(), "form_id": ids.token()}
    page = make_response(render_template("shop/order.html", s=s, **values))
    returning.remember(order, page)
    _make_due(s)
    return page


@bp.get("/<token>/status")
@access("order_token")
def status(order: Order) -> ResponseReturnValue:
    """The fragment that the stream sends, for pages that return from the background. Sets no cookie."""
    s = load_status(order)
    update = render_template("shop/_order_update.html", s=s)
    _make_due(s)
    return update


@bp.post("/<token>/pay")
@access("order_token")
@limited("pay", 30)
def pay(order: Order) -> ResponseReturnValue:
    """Open a payment, or reuse the open one, and redirect to its next action; redirect to the order page when it cannot
    be paid.
    """
    try:
        payment = initiate.open_payment(order.id, _provider(order), instead_of=request.form.get("instead_of", ""))
    except BadInput:
        raise
    except Refusal as refusal:
        return _not_started(order, refusal) if refusal.code in _TITLES else _to_order_page(order)
    return _to_payment_page(order, payment)


@bp.get("/<token>/qr.svg")
@access("order_token")
def qr(order: Order) -> ResponseReturnValue:
    """QR code that the customer scans to pay; 404 while there is none. Black on white in every colour scheme."""
    payment = load_status(order).payment
    if (
        payment is None
        or payment.state != PaymentState.OPEN
        or not payment.action
        or payment.action["kind"] != ActionKind.QR
    ):
        abort(404)
    return qr_picture(payment.action["url"])


def qr_picture(address: str) -> Response:
    """The QR code of an address as an SVG."""
    picture = io.BytesIO()
    segno.make(address, error="m", micro=False).save(picture, kind="svg", scale=5, light="#fff")
    return Response(picture.getvalue(), mimetype="image/svg+xml")


@bp.post("/<token>/check")
@access("order_token")
@limited("check_payment", 30)
def check(order: Order) -> ResponseReturnValue:
    """Query the acquirer now."""
    poll.check_now(order.id, Source.VIEW)
    return _to_order_page(order)


@bp.post("/<token>/payment/cancel")
@access("order_token")
def cancel_payment(order: Order) -> ResponseReturnValue:
    """Close the open payment; the order stays."""
    end_order.cancel_payment(order.id)
    return _to_order_page(order)


@bp.get("/<token>/cancel")
@access("order_token")
def confirm_cancel(order: Order) -> ResponseReturnValue:
    """Ask before the order is cancelled."""
    if "cancel_order" not in load_status(order).can:
        return _to_order_page(order)
    return render_template("shop/cancel_order.html", order=order)


@bp.post("/<token>/cancel")
@access("order_token")
def cancel(order: Order) -> ResponseReturnValue:
    """Cancel the order."""
    end_order.cancel_order(order.id, Actor.customer(visitor.user_id()))
    return _to_order_page(order)


@bp.post("/<token>/again")
@access("order_token")
def again(order: Order) -> ResponseReturnValue:
    """Add the order's products to the cart, as far as they are sold and available, and list those that were not added
    in full.
    """
    wanted, names = {line.sku: line.quantity for line in order.lines}, {line.sku: line.name for line in order.lines}
    form_id = request.form.get("form_id", "")
    added = carts.add_again(
        visitor.cart_id(order.currency), wanted.items(), form_id if _FORM_ID.fullmatch(form_id) else ""
    )
    for sku in sorted(added.not_sold):
        flash(gettext("%(name)s is no longer available and was not added to your cart.", name=names[sku]))
    for sku in sorted(added.not_in_currency):
        flash(
            gettext(
                "%(name)s is not sold in %(currency)s and was not added to your cart.",
                name=names[sku],
                currency=visitor.currency(),
            )
        )
    for sku, (there, most) in sorted(added.limited.items()):
        flash(limited_message(names[sku], there, most))
    return redirect(url_for("cart.show"), 303)


def _not_started(order: Order, refusal: Refusal) -> ResponseReturnValue:
    """Page with the reason for not starting a payment and a link to the order."""
    shown = {"title": _TITLES[refusal.code], "message": translated(refusal.message)}
    page = render_template("shop/pay_later.html", order=order, **shown)
    return page, refusal.status, {"Retry-After": str(refusal.retry_after)} if isinstance(refusal, TooSoon) else {}


def _to_order_page(order: Order) -> ResponseReturnValue:
    return redirect(url_for("orders.show", token=order.token), 303)


def _make_due(s: OrderStatus) -> None:
    """Make the payment due for a poll after a view. Call it last, because its commit expires the objects that the
    session has read.
    """
    if s.pending and s.view_changes:
        poll.make_due(s.order.id, Source.VIEW)


def _provider(order: Order) -> str:
    chosen = request.form.get("method", "")
    if chosen:
        return chosen
    payment = load_status(order).payment
    if payment:
        return payment.provider
    able = payment_methods(order) or registry.methods(order.currency)
    return able[0].provider if able else ""


def _to_payment_page(order: Order, payment: Payment) -> ResponseReturnValue:
    action = initiate.next_action(payment)
    if action is None or action.kind not in (ActionKind.REDIRECT, ActionKind.FORM_POST):
        return _to_order_page(order)
    initiate.visited(payment.id)
    if action.kind == ActionKind.REDIRECT:
        return redirect(action.url, 303)
    return render_template("shop/post_on.html", action=action, provider_name=registry.label(payment.provider))
