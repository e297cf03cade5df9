"""List of orders with filters. The address is the view: it can be linked to, and it survives a reload."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from shop.accounts.permissions import Permission
from shop.core.money import CURRENCIES
from shop.http_kit.access import requires
from shop.ops import paging
from shop.ops.formats import words, zone
from shop.ops.navigation import Link
from shop.order_search import filters as filters_of
from shop.order_search import pages
from shop.order_search.filters import Filters, Flag
from shop.orders.states import OrderState
from shop.payments.providers import registry
from shop.payments.providers.types import PaymentState

bp = Blueprint("orders", __name__)
LINKS = (Link("Orders", "ops.orders.index", Permission.ORDER_READ),)
LABELS = {
    "state": "Order state",
    "payment": "Payment state",
    "provider": "Provider",
    "flag": "Flag",
    "currency": "Currency",
    "least": "Total from",
    "most": "Total to",
    "from": "Placed from",
    "to": "Placed to",
}


@bp.get("/orders")
@requires(Permission.ORDER_READ)
def index() -> ResponseReturnValue:
    """Orders, newest first, with filters; `after`, `before` and `page=last` are positions of pages."""
    given = {name: values for name, values in request.args.lists() if name not in paging.PARAMETERS}
    filters = filters_of.parse(given, registry.all_providers())
    pairs = filters_of.pairs(filters)
    if any(value == "" for values in given.values() for value in values):
        return redirect(_address(pairs), 303)  # a form sends its empty fields; addresses are without them
    page = pages.find(filters, zone(), paging.place())
    return render_template(
        "ops/orders.html",
        page=page,
        total=_total(pages.count(filters, zone())),
        filters=filters,
        active=[(f"{LABELS[name]}: {words(value)}", _without(pairs, (name, value))) for name, value in pairs],
        choices=_choices(filters),
        links=paging.links(page.newer, page.older, pairs, _address),
    )


def _total(number: int) -> str:
    if number > pages.COUNTED:
        return f"{pages.COUNTED:,}+ orders"
    return "1 order" if number == 1 else f"{number:,} orders"


def _choices(filters: Filters) -> list[tuple[str, str, list[tuple[str, bool]]]]:
    """(name, label, (value, chosen)) of the filters whose values are listed."""
    chosen = filters_of.pairs(filters)
    values = {
        "state": tuple(OrderState),
        "payment": tuple(PaymentState),
        "flag": tuple(Flag),
        "provider": tuple(sorted(registry.all_providers())),
        "currency": CURRENCIES,
    }
    return [(name, LABELS[name], [(str(v), (name, str(v)) in chosen) for v in known]) for name, known in values.items()]


def _without(pairs: paging.Pairs, dropped: tuple[str, str]) -> str:
    """Address of the list without one filter. Amounts need their currency and are dropped with it."""
    left = [pair for pair in pairs if pair != dropped]
    if dropped[0] == "currency":
        left = [pair for pair in left if pair[0] not in ("least", "most")]
    return _address(left)


def _address(pairs: paging.Pairs) -> str:
    base = url_for("ops.orders.index")
    return f"{base}?{urlencode(pairs)}" if pairs else base
