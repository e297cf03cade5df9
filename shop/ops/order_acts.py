"""Acts on an order: refund, cancel, accept a wrong amount, ask the acquirer now.

The first three have a page with the present numbers, the sentence that the customer will read, and a form that carries
the number that the reader saw: when it has moved meanwhile, nothing is done and the page shows the new one (409).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from shop.accounts.permissions import Permission
from shop.checkout import end_order
from shop.core.db import db
from shop.core.errors import BadInput, Refusal
from shop.core.filter_values import refuse_unknown
from shop.core.money import Money
from shop.http_kit.access import requires
from shop.ops import acts, lists, order_forms, requested
from shop.ops.order_forms import CREDIT, Form
from shop.order_search import filters as filters_of
from shop.orders import states
from shop.orders.models import Order
from shop.orders.states import OrderState
from shop.payments.order_money import load
from shop.payments.order_money.snapshot import Snapshot
from shop.payments.polling import requested as queries
from shop.payments.providers import registry
from shop.payments.records.types import RefundDestination
from shop.payments.refunds import requests
from shop.payments.updates import apply as updates

bp = Blueprint("order_acts", __name__)
_INCOMPLETE = "The form is not complete. Check the numbers and confirm again."
_PARAMETERS = ("again", "to")
_MOST_DIGITS = 18


@dataclass(frozen=True)
class Act:
    """An act on an order. `forms` are possible now; `carry_out` does what the form of the request says. `reads` is the
    status key whose sentence the customer will read, or, if empty, that depends on the destination of the money.
    """

    name: str
    title: str
    permission: Permission
    forms: Callable[[Order, Snapshot], list[Form]]
    carry_out: Callable[[Order], object]
    done: str
    nothing: str
    reads: str = ""


def _refund(order: Order) -> None:
    about, expected = request.form.get("about", ""), _number("seen")
    to, amount = request.form.get("to", ""), request.form.get("amount", "").strip()
    form = next((one for one in order_forms.refund(order, snapshot(order)) if one.about == about), None)
    if form is None or form.money is None:
        raise BadInput("unknown_capture", "Choose a payment of this order.")
    try:
        money = Money.parse(amount, form.money.currency)
    except ValueError as error:
        raise BadInput("bad_amount", f"Enter the amount to refund: {error}.") from error
    if to not in tuple(RefundDestination):
        raise BadInput("bad_destination", f"Choose a destination: {', '.join(RefundDestination)}.")
    why = {"reason": acts.reason(), "by": acts.reader(), "expected_refundable": expected}
    if about == CREDIT:
        requests.request_credit(order.id, money, **why)  # type: ignore[arg-type]
    else:
        requests.request(int(about), money, to=to, **why)  # type: ignore[arg-type]


def _cancel(order: Order) -> None:
    seen = request.form.get("seen", "")
    if seen not in states.PAYABLE:
        raise BadInput("bad_form", _INCOMPLETE)
    end_order.cancel_order(order.id, acts.reader(), reason=acts.reason(), expected_state=OrderState(seen))


def _accept(order: Order) -> None:
    about = request.form.get("about", "")
    if about not in {str(one.id) for one in snapshot(order).captures}:
        raise BadInput("unknown_capture", "Choose a payment of this order.")
    updates.accept(int(about), by=acts.reader(), note=acts.reason(), expected_waiting=_number("seen"))


REFUND = Act(
    "refund",
    "Refund",
    Permission.REFUND_REQUEST,
    order_forms.refund,
    _refund,
    "The refund was requested. If it needs a second person, it waits under Approvals.",
    "Nothing on this order can be refunded now.",
)
CANCEL = Act(
    "cancel",
    "Cancel order",
    Permission.ORDER_CANCEL,
    order_forms.cancel,
    _cancel,
    "The cancellation was requested. The order ends once no payment can arrive any more.",
    "Only unpaid orders can be cancelled. A paid one is refunded.",
    "cancelled",
)
ACCEPT = Act(
    "accept",
    "Accept amount",
    Permission.PAYMENT_ACCEPT_AMOUNT,
    order_forms.accept,
    _accept,
    "The amount is accepted, and the order is paid.",
    "No amount of this order waits for a decision.",
    "paid",
)
ACTS = (REFUND, CANCEL, ACCEPT)


def possible(order: Order, seen: Snapshot) -> list[Act]:
    """The acts that the order allows now."""
    return [act for act in ACTS if act.forms(order, seen)]


def snapshot(order: Order) -> Snapshot:
    """The money of the order, as it is now."""
    return load.snapshot(order.id, lock=False)


@bp.get("/orders/<number>/refund")
@requires(REFUND.permission)
def refund_form(number: str) -> str:
    """Amounts that can be refunded now, with a form for each payment; `again` and `to` fill it in from a failed one."""
    order = requested.order(number)
    return _page(REFUND, order, typed=_of_failed(order))


@bp.post("/orders/<number>/refund")
@requires(REFUND.permission, fresh=True)
def refund(number: str) -> ResponseReturnValue:
    """Request a refund of a part or all of a payment."""
    return _carried_out(REFUND, number)


@bp.get("/orders/<number>/cancel")
@requires(CANCEL.permission)
def cancel_form(number: str) -> str:
    """Form that cancels the order, with the consequences."""
    return _page(CANCEL, requested.order(number))


@bp.post("/orders/<number>/cancel")
@requires(CANCEL.permission, fresh=True)
def cancel(number: str) -> ResponseReturnValue:
    """Cancel an unpaid order: its open payment is closed and its units are released."""
    return _carried_out(CANCEL, number)


@bp.get("/orders/<number>/accept")
@requires(ACCEPT.permission)
def accept_form(number: str) -> str:
    """The captured amounts that differ from the total."""
    return _page(ACCEPT, requested.order(number))


@bp.post("/orders/<number>/accept")
@requires(ACCEPT.permission, fresh=True)
def accept(number: str) -> ResponseReturnValue:
    """Accept a captured amount as the price of the order."""
    return _carried_out(ACCEPT, number)


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


def _carried_out(act: Act, number: str) -> ResponseReturnValue:
    order = requested.order(number)
    to = url_for("ops.order.show", number=order.number)
    return acts.done(lambda: act.carry_out(order), act.done, to, lambda refusal: _refused(act, order, refusal))


def _refused(act: Act, order: Order, refusal: Refusal) -> str:
    """The page with the present numbers, and what was typed."""
    db.session.rollback()
    return _page(act, order, refusal=refusal, typed=request.form)


def _page(act: Act, order: Order, *, refusal: Refusal | None = None, typed: Mapping[str, str] | None = None) -> str:
    forms = act.forms(order, snapshot(order))
    return render_template("ops/order_act.html", act=act, order=order, forms=forms, refusal=refusal, typed=typed or {})


def _of_failed(order: Order) -> dict[str, str]:
    """The fields of the form for another attempt at the failed refund that the address names. Raises BadInput."""
    refuse_unknown(request.args, _PARAMETERS, "parameter")
    failed = snapshot(order).refund(request.args.get("again", ""))
    if failed is None:
        return {}
    to = request.args.get("to") or failed.destination
    return {"about": str(failed.capture_id), "amount": failed.money.decimal(), "to": to, "reason": failed.reason}


def _number(name: str) -> int:
    typed = request.form.get(name, "")
    if not (typed.isascii() and typed.isdigit() and len(typed) <= _MOST_DIGITS):
        raise BadInput("bad_form", _INCOMPLETE)
    return int(typed)
