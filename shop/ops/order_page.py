"""The page of an order: its state and the reason, the next automatic step, the timeline, and both ledgers."""

from __future__ import annotations

from flask import Blueprint, render_template, request, url_for

from shop.accounts.permissions import Permission
from shop.core import clock, ids
from shop.core.errors import BadInput, Refusal
from shop.core.filter_values import refuse_unknown
from shop.explain import due_rows, next_step, timeline
from shop.explain.timeline import Kind
from shop.explain.why import why
from shop.http_kit.access import requires
from shop.integrity.compare import our_side
from shop.ops import acts, ledger_rows, order_acts, order_forms, requested
from shop.order_notes import mentions, notes
from shop.orders import states
from shop.orders.models import Order

bp = Blueprint("order", __name__)


@bp.get("/orders/<number>")
@requires(Permission.ORDER_READ)
def show(number: str) -> str:
    """An order. `source` limits the timeline. The page reads the database alone and calls no acquirer."""
    return page(requested.order(number), kinds=_kinds())


def page(order: Order, *, kinds: frozenset[Kind] = frozenset(), refusal: Refusal | None = None) -> str:
    """The page of an order; with `refusal`, the form of a note that was refused has what was typed."""
    money = order_acts.snapshot(order)
    return render_template(
        "ops/order.html",
        order=order,
        number=order.number,
        why=why(order),
        can_query=order.state in states.PAYABLE,
        acts=order_acts.possible(order, money),
        refunds=order_forms.requested(order, money),
        now=clock.now(),
        steps=next_step.steps(due_rows.load(order)),
        entries=timeline.of(order, kinds),
        chips=[(kind, kind in kinds, _address(order.number, kinds ^ {kind})) for kind in Kind],
        everything=_address(order.number, frozenset()) if kinds else "",
        ledgers=ledger_rows.payments(our_side(order.id)),
        reader=acts.reader(),
        names=mentions.known(notes.colleagues()),
        note_key=request.form.get("key") or ids.token(),
        longest_note=notes.LONGEST,
        refusal=refusal,
    )


def _kinds() -> frozenset[Kind]:
    """The sources that the address names. Raises BadInput for any other."""
    refuse_unknown(request.args, ("source",))
    named = request.args.getlist("source")
    if unknown := [name for name in named if name not in tuple(Kind)]:
        message = f"The filter source has no value {unknown[0][:40]!r}. Values are {', '.join(Kind)}."
        raise BadInput("bad_filter", message)
    return frozenset(Kind(name) for name in named)


def _address(number: str, kinds: frozenset[Kind]) -> str:
    return url_for("ops.order.show", number=number, source=[str(kind) for kind in Kind if kind in kinds] or None)
