"""The page of an order and what can be done from it. Nothing here decides what became of a payment."""

from __future__ import annotations

import io

import segno
from flask import Blueprint, Response, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from shop.checkout import cart as carts
from shop.checkout import closing
from shop.checkout.standing import Standing, standing
from shop.core import clock
from shop.core.errors import BadInput, Refusal
from shop.orders.models import Order
from shop.payments import poll, registry, start
from shop.payments.models import Payment
from shop.payments.states import OPEN
from shop.web import visitor
from shop.web.access import access

bp = Blueprint("orders", __name__, url_prefix="/orders")


@bp.get("/<token>")
@access("order_token")
def show(order: Order) -> ResponseReturnValue:
    """Where the order stands. Looking makes its payment due to be asked about."""
    s = _look(order)
    events_url = f"{url_for('orders.show', token=order.token)}/events?showing={s.key}&since={s.seq}"
    return render_template("shop/order.html", s=s, events_url=events_url, updated_at=clock.now())


@bp.get("/<token>/status")
@access("order_token")
def status(order: Order) -> ResponseReturnValue:
    """The same as the stream sends; for pages that come back from the background. Never sets a cookie."""
    return render_template("shop/_order_update.html", s=_look(order))


@bp.post("/<token>/pay")
@access("order_token")
def pay(order: Order) -> ResponseReturnValue:
    """Open the payment, or the one that is open already, and send the buyer there; who cannot pay sees the order."""
    try:
        payment = start.open_payment(order.id, _provider(order))
    except BadInput:
        raise
    except Refusal:
        return _back(order)
    return _go(order, payment)


@bp.get("/<token>/return")
@access("order_token")
def came_back(order: Order) -> ResponseReturnValue:
    """The acquirer sends the buyer back here. Decides nothing: the acquirer is asked."""
    poll.make_due(order.id, "return")
    return _back(order)


@bp.get("/<token>/qr.svg")
@access("order_token")
def qr(order: Order) -> ResponseReturnValue:
    """The code that the buyer scans to pay; 404 while there is none. Black on white in every colour scheme."""
    payment = standing(order).payment
    if payment is None or payment.state != OPEN or not payment.action or payment.action["kind"] != "qr":
        abort(404)
    picture = io.BytesIO()
    segno.make(payment.action["url"], error="m", micro=False).save(picture, kind="svg", scale=5, light="#fff")
    return Response(picture.getvalue(), mimetype="image/svg+xml")


@bp.post("/<token>/check")
@access("order_token")
def check(order: Order) -> ResponseReturnValue:
    """Ask the acquirer now."""
    poll.check_now(order.id, "view")
    return _back(order)


@bp.post("/<token>/payment/cancel")
@access("order_token")
def cancel_payment(order: Order) -> ResponseReturnValue:
    """Close the open payment; the order stays."""
    closing.cancel_payment(order.id)
    return _back(order)


@bp.post("/<token>/cancel")
@access("order_token")
def cancel(order: Order) -> ResponseReturnValue:
    """Cancel the order."""
    closing.cancel_order(order.id, "buyer")
    return _back(order)


@bp.post("/<token>/again")
@access("order_token")
def again(order: Order) -> ResponseReturnValue:
    """Put the same things into the cart, as far as the shop still sells them."""
    carts.put_back(visitor.cart_id(order.currency), [(line.sku, line.quantity) for line in order.lines])
    return redirect(url_for("cart.show"), 303)


def _back(order: Order) -> ResponseReturnValue:
    return redirect(url_for("orders.show", token=order.token), 303)


def _look(order: Order) -> Standing:
    s = standing(order)
    if s.pending:
        poll.make_due(order.id, "view")
    return s


def _provider(order: Order) -> str:
    chosen = request.form.get("method", "")
    if chosen:
        return chosen
    payment = standing(order).payment
    return payment.provider if payment else registry.methods(order.currency)[0].provider


def _go(order: Order, payment: Payment) -> ResponseReturnValue:
    action = start.next_action(payment)
    if action is None or action.kind not in ("redirect", "form_post"):
        return _back(order)
    start.visited(payment.id)
    if action.kind == "redirect":
        return redirect(action.url, 303)
    return render_template("shop/post_on.html", action=action, provider_name=registry.label(payment.provider))
