"""The page of an order: its state and the reason, the next automatic step, the timeline, and both ledgers."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, render_template, request, url_for

from shop.accounts.permissions import Permission
from shop.core import clock, ids
from shop.core.errors import BadInput, Refusal
from shop.core.filter_values import refuse_unknown
from shop.explain import due_rows, next_step, timeline
from shop.explain.order_rows import OrderRows
from shop.explain.timeline import Kind
from shop.explain.why import why
from shop.fulfilment import find as fulfilment
from shop.http_kit.access import requires
from shop.integrity import compare
from shop.ops import acts, ledger_rows, order_acts, order_forms, order_waits, requested
from shop.order_notes import mentions, notes
from shop.orders import states
from shop.orders.models import Order
from shop.payments.providers.types import DisputeState
from shop.returns.decide import RETURNABLE
from shop.returns.pages import of_order as returns_of_order

bp = Blueprint("order", __name__)


@bp.get("/orders/<number>")
@requires(Permission.ORDER_READ)
def show(number: str) -> str:
    """An order. `source` limits the timeline. The page reads the database alone and calls no acquirer."""
    return page(requested.order(number), kinds=_kinds())


def page(order: Order, *, kinds: frozenset[Kind] = frozenset(), refusal: Refusal | None = None) -> str:
    """The page of an order; with `refusal`, the form of a note that was refused has what was typed."""
    rows = OrderRows(order)
    money = rows.money
    refunds, shipping = order_forms.requested(money), fulfilment.shipping(order)
    returns = returns_of_order(order.id) if order.paid_at else []
    here = url_for("ops.order.show", number=order.number)
    return render_template(
        "ops/order.html",
        order=order,
        number=order.number,
        why=why(rows),
        can_query=order.state in states.PAYABLE,
        acts=order_acts.possible(order, money),
        refunds=refunds,
        waits=[
            *order_waits.waits(money, refunds),
            *order_waits.for_goods(shipping),
            *order_waits.of_returns(returns),
        ],
        returns=returns,
        can_return=order.state in RETURNABLE,
        no_refund=order_waits.no_refund(money),
        disputes=[one for one in money.disputes if one.state != DisputeState.WON],
        now=clock.now(),
        steps=next_step.steps(due_rows.of(rows)),
        entries=timeline.of(rows, kinds),
        chips=[(kind, kind in kinds, _address(here, kinds ^ {kind})) for kind in Kind],
        everything=here if kinds else "",
        shipping=shipping,
        ledgers=ledger_rows.payments({"payments": _our_side(rows)}),
        reader=acts.reader(),
        names=mentions.known(rows.colleagues),
        note_key=_note_key(refusal),
        longest_note=notes.LONGEST,
        refusal=refusal,
    )


def _our_side(rows: OrderRows) -> list[dict[str, Any]]:
    """The payments as in `compare.our_side`, from rows that are loaded."""
    found = []
    for payment in rows.payments:
        captures = [one for one in rows.captures if one.payment_id == payment.id]
        refunds = sorted((one for one in rows.refunds if one.payment_id == payment.id), key=lambda one: one.id)
        ids = {one.id for one in captures}
        found.append(
            compare.of_rows(payment, captures, refunds, [one for one in rows.disputes if one.capture_id in ids])
        )
    return found


def _kinds() -> frozenset[Kind]:
    """The sources that the address names. Raises BadInput for any other."""
    refuse_unknown(request.args, ("source",))
    named = request.args.getlist("source")
    if unknown := [name for name in named if name not in tuple(Kind)]:
        message = f"The filter source has no value {unknown[0][:40]!r}. Values are {', '.join(Kind)}."
        raise BadInput("bad_filter", message)
    return frozenset(Kind(name) for name in named)


def _address(here: str, kinds: frozenset[Kind]) -> str:
    named = [("source", kind) for kind in Kind if kind in kinds]
    return f"{here}?{urlencode(named)}" if named else here


def _note_key(refusal: Refusal | None) -> str:
    """The key of the form that is shown again, unless another note has used it."""
    is_used = refusal is not None and refusal.code == "form_used"
    return ids.token() if is_used else request.form.get("key") or ids.token()
