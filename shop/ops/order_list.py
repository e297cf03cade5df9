"""List of orders with filters. The address is the view: it can be linked to, and it survives a reload."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from shop.accounts.permissions import Permission
from shop.core.errors import BadInput
from shop.core.keyset import Position
from shop.core.money import CURRENCIES
from shop.http_kit.access import requires
from shop.ops.formats import words, zone
from shop.ops.navigation import Link
from shop.order_search import conditions, pages
from shop.order_search import filters as filters_of
from shop.order_search.filters import Filters, Flag
from shop.order_search.pages import Place
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
_PLACES = ("after", "before", "page")
Pairs = list[tuple[str, str]]


@bp.get("/orders")
@requires(Permission.ORDER_READ)
def index() -> ResponseReturnValue:
    """Orders, newest first, with filters; `after`, `before` and `page=last` are positions of pages."""
    given = {name: values for name, values in request.args.lists() if name not in _PLACES}
    filters = filters_of.parse(given, registry.all_providers())
    pairs = filters_of.pairs(filters)
    if any(value == "" for values in given.values() for value in values):
        return redirect(_address(pairs), 303)  # a form sends its empty fields; addresses are without them
    are_few = conditions.has_few_payments(filters)
    page = pages.find(filters, zone(), _place(), are_few=are_few)
    return render_template(
        "ops/orders.html",
        page=page,
        total=_total(pages.count(filters, zone(), are_few=are_few), len(page.rows)),
        filters=filters,
        active=[(f"{LABELS[name]}: {words(value)}", _without(pairs, (name, value))) for name, value in pairs],
        choices=_choices(filters),
        links=_links(page, pairs),
    )


def _place() -> Place:
    """The place of the page that the address names. Raises BadInput."""
    given = {name: request.args[name] for name in _PLACES if name in request.args}
    if len(given) > 1 or given.get("page", "last") != "last":
        raise BadInput("bad_position", "An address has one of after, before and page=last.")
    positions = {name: Position.parse(value) for name, value in given.items() if name != "page"}
    return Place(positions.get("after"), positions.get("before"), from_end="page" in given)


def _total(total: pages.Total, shown: int) -> str:
    if not total.is_exact:
        return f"{max(total.number, shown):,}+ orders"
    return "1 order" if total.number == 1 else f"{total.number:,} orders"


def _links(page: pages.Page, pairs: Pairs) -> dict[str, str]:
    """Addresses of the neighbouring pages."""
    found: dict[str, str] = {}
    if page.newer:
        found |= {"first": _address(pairs), "previous": _address([*pairs, ("before", str(page.newer))])}
    if page.older:
        found |= {"next": _address([*pairs, ("after", str(page.older))]), "last": _address([*pairs, ("page", "last")])}
    return found


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


def _without(pairs: Pairs, dropped: tuple[str, str]) -> str:
    """Address of the list without one filter. Amounts need their currency and are dropped with it."""
    left = [pair for pair in pairs if pair != dropped]
    if dropped[0] == "currency":
        left = [pair for pair in left if pair[0] not in ("least", "most")]
    return _address(left)


def _address(pairs: Pairs) -> str:
    base = url_for("ops.orders.index")
    return f"{base}?{urlencode(pairs)}" if pairs else base
