"""Both ledgers of an order, for machines."""

from __future__ import annotations

from flask import Blueprint, Response, abort, jsonify

from shop.ops.access import staff
from shop.orders import find
from shop.reports.both_sides import both_sides

bp = Blueprint("books", __name__, url_prefix="/ops")


@bp.get("/orders/<number>/books.json")
@staff
def books(number: str) -> Response:
    """Our side and the acquirers' side of an order, with the difference and why it is what it is."""
    order = find.by_number(number)
    if order is None:
        abort(404)
    return jsonify(both_sides(order.id))
