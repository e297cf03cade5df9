"""Acts on an order: refund, cancel, accept a wrong amount, ask the acquirer now.

Each has a page with the present numbers and a form. The form carries the number that the reader saw: when it has moved
meanwhile, nothing is done and the page shows the new one (409).
"""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from shop.accounts.permissions import Permission
from shop.checkout import end_order
from shop.core.db import db
from shop.core.errors import BadInput, Refusal
from shop.core.money import Money
from shop.http_kit.access import requires
from shop.ops import acts, lists, requested
from shop.ops.formats import words
from shop.order_search import filters as filters_of
from shop.orders import states
from shop.orders.models import Order
from shop.payments.order_money import load
from shop.payments.order_money.snapshot import CaptureRow, Snapshot
from shop.payments.polling import requested as queries
from shop.payments.providers import registry
from shop.payments.records.types import Allocation, RefundDestination
from shop.payments.refunds import refunds
from shop.payments.updates import apply as updates

bp = Blueprint("order_acts", __name__)


@dataclass(frozen=True)
class Refundable:
    """A capture with what is left of it, which may be refunded."""

    capture: CaptureRow
    left: Money


def possible(order: Order) -> dict[str, bool]:
    """The acts that the state of the order allows now, by name."""
    is_paid = order.state in (states.OrderState.PAID, states.OrderState.PARTIALLY_REFUNDED)
    is_reviewed = order.review_since is not None
    return {
        "query": order.state in states.PAYABLE,
        "refund": is_paid or is_reviewed,
        "cancel": order.state in states.PAYABLE,
        "accept": is_reviewed,
    }


@bp.get("/orders/<number>/refund")
@requires(Permission.REFUND_REQUEST)
def refund_form(number: str) -> str:
    """Amounts that can be refunded now, with a form for each capture."""
    return _refund_page(requested.order(number))


@bp.post("/orders/<number>/refund")
@requires(Permission.REFUND_REQUEST)
def refund(number: str) -> ResponseReturnValue:
    """Request a refund of a part or all of a capture."""
    order = requested.order(number)
    to = url_for("ops.order.show", number=order.number)
    return acts.done(
        lambda: _refund(order),
        "The refund was requested. If it needs a second person, it waits under Approvals.",
        to,
        lambda refusal: _refund_page(order, refusal),
    )


def _refund(order: Order) -> None:
    seen = _snapshot(order.id)
    typed = request.form.get("capture", "")
    capture = next((one for one in seen.captures if str(one.id) == typed), None)
    if capture is None:
        raise BadInput("unknown_capture", "Choose a payment of this order.")
    try:
        money = Money.parse(request.form.get("amount", "").strip(), capture.currency)
        expected = int(request.form.get("left", ""))
    except ValueError as error:
        raise BadInput("bad_amount", f"Enter the amount to refund: {error}.") from error
    to = request.form.get("to", "")
    if to not in tuple(RefundDestination):
        raise BadInput("bad_destination", f"Choose a destination: {', '.join(RefundDestination)}.")
    refunds.request(capture.id, money, reason=acts.reason(), by=acts.reader(), expected_refundable=expected, to=to)


def _refund_page(order: Order, refusal: Refusal | None = None) -> str:
    seen = _snapshot(order.id)
    rows = [Refundable(one, Money(max(0, seen.refundable(one)), one.currency)) for one in seen.captures]
    return render_template(
        "ops/refund.html",
        order=order,
        captures=[row for row in rows if row.left.amount],
        refusal=refusal,
        typed=request.form if refusal else {},
    )


@bp.get("/orders/<number>/cancel")
@requires(Permission.ORDER_CANCEL)
def cancel_form(number: str) -> str:
    """Form that cancels the order, with the consequences."""
    return _cancel_page(requested.order(number))


@bp.post("/orders/<number>/cancel")
@requires(Permission.ORDER_CANCEL)
def cancel(number: str) -> ResponseReturnValue:
    """Cancel an unpaid order: its open payment is closed and its units are released."""
    order = requested.order(number)
    return acts.done(
        lambda: _cancel(order.id),
        "The cancellation was requested. The order ends once no payment can arrive any more.",
        url_for("ops.order.show", number=order.number),
        lambda refusal: _cancel_page(order, refusal),
    )


def _cancel(order_id: int) -> None:
    reason = acts.reason()
    state = db.session.get_one(Order, order_id, populate_existing=True).state
    db.session.rollback()
    if state not in states.PAYABLE:
        raise Refusal("not_cancellable", f"The order is {words(state)}: only unpaid ones can be cancelled.")
    end_order.cancel_order(order_id, acts.reader(), reason=reason)


def _cancel_page(order: Order, refusal: Refusal | None = None) -> str:
    db.session.rollback()
    order = db.session.get_one(Order, order.id)
    return render_template("ops/cancel.html", order=order, possible=order.state in states.PAYABLE, refusal=refusal)


@bp.get("/orders/<number>/accept")
@requires(Permission.PAYMENT_ACCEPT_AMOUNT)
def accept_form(number: str) -> str:
    """The captured amounts that differ from the total."""
    return _accept_page(requested.order(number))


@bp.post("/orders/<number>/accept")
@requires(Permission.PAYMENT_ACCEPT_AMOUNT)
def accept(number: str) -> ResponseReturnValue:
    """Accept a captured amount as the price of the order."""
    order = requested.order(number)
    return acts.done(
        lambda: _accept(order.id),
        "The amount is accepted, and the order is paid.",
        url_for("ops.order.show", number=order.number),
        lambda refusal: _accept_page(order, refusal),
    )


def _accept(order_id: int) -> None:
    typed = request.form.get("capture", "")
    if typed not in {str(one.id) for one in _snapshot(order_id).captures}:
        raise BadInput("unknown_capture", "Choose a payment of this order.")
    updates.accept(int(typed), by=acts.reader(), note=acts.reason())


def _accept_page(order: Order, refusal: Refusal | None = None) -> str:
    mismatched = [one for one in _snapshot(order.id).captures if one.allocation == Allocation.MISMATCH]
    return render_template(
        "ops/accept.html",
        order=db.session.get_one(Order, order.id),
        captures=[one for one in mismatched if not one.refunded_amount],
        refusal=refusal,
    )


@bp.post("/orders/<number>/query")
@requires(Permission.PAYMENT_SYNC)
def query(number: str) -> ResponseReturnValue:
    """Query the acquirer about the order's open payments now, each at most every two seconds."""
    order = requested.order(number)
    queries.query_now(order, by=acts.reader())
    flash("The acquirer was asked. What it answered is in the timeline.")
    return redirect(url_for("ops.order.show", number=order.number), 303)


@bp.post("/orders/query")
@requires(Permission.PAYMENT_SYNC)
def query_many() -> ResponseReturnValue:
    """Make the open payments of the selected orders due for a query."""
    filters = filters_of.parse(lists.given(), registry.all_providers())
    done = queries.query_soon(request.form.getlist("number"), by=acts.reader())
    others = f" Of the others ({done.without}) no payment can be asked about now." if done.without else ""
    flash(f"The acquirer is asked about {done.queried} order{'' if done.queried == 1 else 's'} within seconds.{others}")
    return redirect(lists.address("ops.orders.index", filters_of.pairs(filters)), 303)


def _snapshot(order_id: int) -> Snapshot:
    db.session.rollback()
    return load.snapshot(order_id, lock=False)
