"""List of orders with filters. The address is the view: it can be linked to, and it survives a reload."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from shop.accounts.permissions import Permission
from shop.core import ids, keyset
from shop.core.keyset import Place
from shop.core.money import CURRENCIES
from shop.http_kit.access import requires
from shop.ops import lists
from shop.ops.formats import words, zone
from shop.ops.lists import Pairs
from shop.ops.navigation import Link
from shop.order_search import filters as filters_of
from shop.order_search import pages, views
from shop.order_search.conditions import Few
from shop.order_search.filters import Filters, Flag, Method
from shop.orders.states import OrderState
from shop.payments.providers import registry
from shop.payments.providers.types import PaymentState

bp = Blueprint("orders", __name__)
LINKS = (Link("Orders", "ops.orders.index", Permission.ORDER_READ),)
LABELS = {
    "state": "Order state",
    "payment": "Payment state",
    "provider": "Provider",
    "method": "Paid with",
    "flag": "Flag",
    "currency": "Currency",
    "least": "Total from",
    "most": "Total to",
    "from": "Placed from",
    "to": "Placed to",
}
HERE = "ops.orders.index"


@bp.get("/orders")
@requires(Permission.ORDER_READ)
def index() -> ResponseReturnValue:
    """Orders, newest first, with filters; `after`, `before` and `page=last` are positions of pages."""
    given = lists.given()
    filters = filters_of.parse(given, registry.all_providers())
    pairs = filters_of.pairs(filters)
    if any(value == "" for values in given.values() for value in values):
        return redirect(lists.address(HERE, pairs), 303)  # a form sends its empty fields; addresses are without them
    place = Place.parse(request.args)
    saved, few = views.every_and_few(filters)
    page, total = pages.find_with_total(filters, zone(), place, few=few)
    is_empty = not page.rows and place == keyset.FIRST
    helpful, helpless, are_all_checked = _to_drop(filters, few) if is_empty else ([], [], True)
    return render_template(
        "ops/orders.html",
        page=page,
        total="" if is_empty else _total(total, len(page.rows)),
        filters=filters,
        active=[(f"{LABELS[name]}: {_shown(name, value)}", _without(pairs, (name, value))) for name, value in pairs],
        helpful=helpful,
        helpless=helpless,
        checked=0 if are_all_checked else pages.CHECKED,
        choices=_choices(filters),
        links=lists.links(HERE, pairs, page),
        views=saved,
        query=views.query_of(filters),
        longest_name=views.LONGEST_NAME,
        export_id=ids.export_id(),
    )


def _total(total: pages.Total, shown: int) -> str:
    if not total.is_exact:
        return f"{max(total.number, shown):,}+ orders"
    return "1 order" if total.number == 1 else f"{total.number:,} orders"


def _to_drop(filters: Filters, few: Few) -> tuple[list[tuple[str, str]], list[tuple[str, str]], bool]:
    """(text, address without it) of each filter of an empty list: those without which there are orders, the others; and
    whether all orders were looked at for it.
    """
    found: tuple[list[tuple[str, str]], list[tuple[str, str]]] = ([], [])
    values = filters_of.pairs(filters)
    without = pages.found_without(filters, zone(), few=few)
    for name, is_helpful in without.items():
        chosen = ", ".join(_shown(of, value) for of, value in values if of == name)
        address = lists.address(HERE, filters_of.pairs(filters_of.without(filters, name)))
        found[0 if is_helpful else 1].append((f"{LABELS[name]}: {chosen}", address))
    return *found, None not in without.values()


def _shown(name: str, value: str) -> str:
    return value if name == "currency" else words(value)


def _choices(filters: Filters) -> list[tuple[str, str, list[tuple[str, bool]]]]:
    """(name, label, (value, chosen)) of the filters whose values are listed."""
    chosen = filters_of.pairs(filters)
    values = {
        "state": tuple(OrderState),
        "payment": tuple(PaymentState),
        "flag": tuple(Flag),
        "provider": tuple(sorted(registry.all_providers())),
        "method": tuple(Method),
        "currency": CURRENCIES,
    }
    return [(name, LABELS[name], [(str(v), (name, str(v)) in chosen) for v in known]) for name, known in values.items()]


def _without(pairs: Pairs, dropped: tuple[str, str]) -> str:
    """Address of the list without one filter. Amounts need their currency and are dropped with it."""
    left = [pair for pair in pairs if pair != dropped]
    if dropped[0] == "currency":
        left = [pair for pair in left if pair[0] not in ("least", "most")]
    return lists.address(HERE, left)
