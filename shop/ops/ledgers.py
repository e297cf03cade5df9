"""Both ledgers of an order: as JSON, and as a part of its page that is fetched on request."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, render_template, request

from shop.accounts.permissions import Permission
from shop.core import clock
from shop.explain.order_rows import OrderRows
from shop.explain.why import why
from shop.http_kit.access import requires
from shop.integrity.compare import compare_with_acquirer
from shop.ops import ledger_rows, requested

bp = Blueprint("ledgers", __name__)


@bp.get("/orders/<number>/ledgers.json")
@requires(Permission.ORDER_READ)
def ledgers(number: str) -> Response:
    """Both sides of an order's money, ours and the acquirers', with the difference and the explanation of its state."""
    order = requested.order(number)
    return jsonify({"why": why(OrderRows(order))} | compare_with_acquirer(order.id))


@bp.get("/orders/<number>/ledgers")
@requires(Permission.ORDER_READ)
def compared(number: str) -> str:
    """Both ledgers side by side, with the acquirers' side as it is now: a page, and for htmx its table alone."""
    order = requested.order(number)
    number, comparison = order.number, compare_with_acquirer(order.id)
    template = "ops/_ledgers.html" if request.headers.get("HX-Request") else "ops/ledgers.html"
    return render_template(
        template,
        number=number,
        ledgers=ledger_rows.payments(comparison),
        difference=ledger_rows.difference(comparison),
        fetched_at=clock.now(),
    )
