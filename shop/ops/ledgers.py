"""Both ledgers of an order as JSON."""

from __future__ import annotations

from flask import Blueprint, Response, abort, jsonify

from shop.accounts.permissions import Permission
from shop.explain.why import why
from shop.http_kit.access import requires
from shop.integrity.compare import compare_with_acquirer
from shop.orders import find

bp = Blueprint("ledgers", __name__)


@bp.get("/orders/<number>/ledgers.json")
@requires(Permission.ORDER_READ)
def ledgers(number: str) -> Response:
    """Both sides of an order's money, ours and the acquirers', with the difference and the explanation of its state."""
    order = find.by_number(number)
    if order is None:
        abort(404)
    return jsonify({"why": why(order)} | compare_with_acquirer(order.id))
