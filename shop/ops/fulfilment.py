"""Fulfilment: paid orders with units to pack or ship, the longest paid first, their pick list and packing slips."""

from __future__ import annotations

from babel import Locale
from flask import Blueprint, Response, abort, redirect, render_template, request
from flask.typing import ResponseReturnValue

from shop.accounts.permissions import Permission
from shop.core import countries
from shop.core.keyset import Place
from shop.fulfilment import packing_slips, to_ship
from shop.fulfilment.to_ship import Filters
from shop.http_kit.access import requires
from shop.http_kit.request_guard import limited
from shop.ops import fulfilment_forms, lists
from shop.ops.formats import words, zone
from shop.ops.navigation import Group, Link

bp = Blueprint("fulfilment", __name__)
LINKS = (Link("Fulfilment", "ops.fulfilment.index", Permission.FULFILMENT_READ, Group.SHOP),)
HERE = "ops.fulfilment.index"
LABELS = {"state": "State", "country": "Country", "from": "Paid from", "to": "Paid to"}
_ENGLISH = Locale("en")
_NONE_LEFT = "None of these orders has units to pack or to ship. Go back to the list and select others."


@bp.get("/fulfilment")
@requires(Permission.FULFILMENT_READ)
def index() -> ResponseReturnValue:
    """Orders to pack and to ship; `after`, `before` and `page=last` are positions of pages."""
    given = lists.given()
    filters = Filters.parse(given)
    pairs = filters.pairs()
    if any(value == "" for values in given.values() for value in values):
        return redirect(lists.address(HERE, pairs), 303)  # a form sends its empty fields; addresses are without them
    page, total = to_ship.listed(filters, zone(), Place.parse(request.args))
    return render_template(
        "ops/fulfilment.html",
        page=page,
        total=lists.total(max(total, len(page.rows)), to_ship.COUNTED, "order"),
        filters=filters,
        kept=given,
        dropped=[(f"{LABELS[name]}: {_shown(name, value)}", _without(filters, (name, value))) for name, value in pairs],
        states=to_ship.OPEN_STATES,
        countries=sorted((countries.name(one, _ENGLISH), one) for one in countries.SHIPS_TO),
        links=lists.links(HERE, pairs, page),
        most=to_ship.MOST_CHOSEN,
    )


@bp.get("/fulfilment/pick-list")
@requires(Permission.FULFILMENT_READ)
def pick_list() -> str:
    """The units that the selected orders need, by product, to be printed."""
    rows = to_ship.chosen(fulfilment_forms.numbers())
    return render_template("ops/pick_list.html", rows=rows, picks=to_ship.pick_list(rows))


@bp.get("/fulfilment/packing-slips.pdf")
@requires(Permission.FULFILMENT_READ)
@limited("packing_slips", 60)
def slips() -> ResponseReturnValue:
    """The packing slips of the selected orders as one PDF."""
    shown = packing_slips.slips(to_ship.chosen(fulfilment_forms.numbers()))
    if not shown:
        abort(404, _NONE_LEFT)
    response = Response(packing_slips.as_pdf(shown), mimetype="application/pdf")
    response.headers.set("Content-Disposition", "inline", filename="packing-slips.pdf")
    return response


def _shown(name: str, value: str) -> str:
    return words(value) if name == "state" else value


def _without(filters: Filters, dropped: tuple[str, str]) -> str:
    return lists.address(HERE, [pair for pair in filters.pairs() if pair != dropped])
