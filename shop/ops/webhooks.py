"""Webhook inbox of the console: the list with its filters, and the page of a webhook."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from flask import Blueprint, abort, current_app, render_template, request, url_for
from flask_login import current_user

from shop.accounts import staff
from shop.accounts.permissions import Permission
from shop.core.actor import Actor
from shop.core.errors import BadInput
from shop.http_kit.access import requires
from shop.ops.navigation import Link
from shop.orders.models import OrderEvent
from shop.payments.providers import registry
from shop.payments.webhooks import detail, pages, words
from shop.payments.webhooks import filters as inbox_filters
from shop.payments.webhooks.detail import Detail
from shop.payments.webhooks.filters import Filters
from shop.payments.webhooks.pages import Position

bp = Blueprint("webhooks", __name__)
LINKS = (Link("Webhook inbox", "ops.webhooks.index", Permission.WEBHOOK_READ),)
PLACES = ("after", "before", "end")
"""Parameters that choose a page: the position after which it begins, or before which it ends, or `end=1` for the last.
"""
_FIELDS = {"provider": "providers", "outcome": "outcomes", "state": "states", "payment": "payments", "event": "events"}
_FIELDS |= {"from": "first_day", "to": "last_day"}


@bp.get("/webhooks")
@requires(Permission.WEBHOOK_READ)
def index() -> str:
    """Stored and refused webhooks, newest first."""
    filters, zone = filters_of_request(PLACES), shop_zone()
    page = pages.find(filters, zone, **_place())
    total = pages.count(filters, zone) if page.rows else 0
    return render_template(
        "ops/webhooks.html",
        filters=filters,
        choices=choices(),
        rows=page.rows,
        total=_total(total),
        links=_links(filters, page),
        dropped=_dropped(filters),
        words=words,
        order_page=order_page,
    )


@bp.get("/webhooks/<key>")
@requires(Permission.WEBHOOK_READ)
def show(key: str) -> str:
    """A webhook: content, outcome, and what it changed."""
    return page_of(existing(key))


def existing(key: str) -> Detail:
    """The webhook with this key. Aborts with 404."""
    found = detail.load(key)
    if found is None:
        abort(404, f"There is no webhook {key[:40]} in the inbox. Search the inbox by event id or payment id.")
    return found


def page_of(webhook: Detail, **form: Any) -> str:
    """The page of a webhook; `form` are the error and the reason of a form that was refused."""
    actors = {str(entry.actor): staff.label(Actor.parse(entry.actor)) for entry in webhook.acts}
    return render_template(
        "ops/webhook.html",
        webhook=webhook,
        actors=actors,
        events_of_order=[history_line(event) for event in webhook.events],
        order_page=order_page,
        words=words,
        **form,
    )


def history_line(event: OrderEvent) -> tuple[datetime, str, str]:
    """Time, kind, and transition or values of an event of an order."""
    moved = f"{event.source or 'new'} → {event.target}" if event.target else ""
    values = ", ".join(f"{name} {value}" for name, value in event.data.items() if value is not None)
    return event.at, event.kind, moved or values


def filters_of_request(also: tuple[str, ...] = ()) -> Filters:
    """The filters in the address, beside the parameters of `also`. Raises BadInput."""
    parameters = {name: values for name, values in request.args.lists() if name not in also}
    return inbox_filters.parse(parameters, registry.all_providers())


def shop_zone() -> ZoneInfo:
    """The zone of the shop, in which days begin."""
    return ZoneInfo(current_app.config["SHOP_TIME_ZONE"])


def address(endpoint: str, filters: Filters, **place: object) -> str:
    """The address of a page with these filters."""
    query = urlencode([*inbox_filters.pairs(filters), *place.items()])
    return url_for(endpoint) + (f"?{query}" if query else "")


def order_page(number: str | None) -> str | None:
    """The address of an order's page, for readers who may open it."""
    path = f"/ops/orders/{number}"
    exists = number and current_app.url_map.bind("").test(path, "GET")
    return path if exists and current_user.is_authenticated else None


def choices() -> dict[str, list[tuple[str, str]]]:
    """Values and texts of the filters that have known values."""
    providers = [(name, provider.LABEL) for name, provider in sorted(registry.all_providers().items())]
    outcomes = [(str(one), text) for one, text in words.OUTCOMES.items()]
    return {"state": [(str(one), text) for one, text in words.STATES.items()], "provider": providers} | {
        "outcome": outcomes
    }


def _place() -> dict[str, Any]:
    given = {name: request.args.getlist(name) for name in PLACES if name in request.args}
    if len(given) > 1 or any(len(values) != 1 for values in given.values()) or given.get("end", ["1"]) != ["1"]:
        raise BadInput("bad_position", f"An address has at most one of {', '.join(PLACES)}.")
    if "end" in given:
        return {"from_end": True}
    return {name: Position.parse(values[0]) for name, values in given.items()}


def _links(filters: Filters, page: pages.Page) -> dict[str, str | None]:
    here = "ops.webhooks.index"
    return {
        "first": address(here, filters) if page.newer else None,
        "previous": address(here, filters, before=page.newer) if page.newer else None,
        "next": address(here, filters, after=page.older) if page.older else None,
        "last": address(here, filters, end=1) if page.older else None,
    }


def _total(total: int) -> str:
    if total > pages.COUNTED:
        return f"{pages.COUNTED:,}+ webhooks"
    return f"{total:,} webhook{'' if total == 1 else 's'}"


def _dropped(filters: Filters) -> list[tuple[str, str]]:
    """Each filter that is set, and the address of the list without it."""
    empty = Filters()
    set_ones = [name for name, field in _FIELDS.items() if _value(filters, field) != _value(empty, field)]
    return [(name, address("ops.webhooks.index", _without(filters, name))) for name in set_ones]


def _value(filters: Filters, field: str) -> Any:
    return getattr(filters, field)


def _without(filters: Filters, name: str) -> Filters:
    field = _FIELDS[name]
    return replace(filters, **{field: _value(Filters(), field)})
