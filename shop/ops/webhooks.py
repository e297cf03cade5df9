"""Webhook inbox of the console: the list with its filters, and the page of a webhook."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Blueprint, abort, redirect, render_template, request
from flask.typing import ResponseReturnValue

from shop.accounts import staff
from shop.accounts.permissions import Permission
from shop.core.actor import Actor
from shop.core.keyset import PARAMETERS, Place
from shop.http_kit.access import requires
from shop.ops import lists
from shop.ops.formats import zone
from shop.ops.navigation import Link
from shop.orders.models import OrderEvent
from shop.payments.providers import registry
from shop.payments.webhooks import conditions, detail, pages, words
from shop.payments.webhooks import filters as inbox_filters
from shop.payments.webhooks.detail import Detail
from shop.payments.webhooks.filters import Filters

bp = Blueprint("webhooks", __name__)
LINKS = (Link("Webhook inbox", "ops.webhooks.index", Permission.WEBHOOK_READ),)


@bp.get("/webhooks")
@requires(Permission.WEBHOOK_READ)
def index() -> ResponseReturnValue:
    """Stored and refused webhooks, newest first."""
    filters = filters_of_request(PARAMETERS)
    if any(value == "" for _, value in request.args.items(multi=True)):
        return redirect(address("ops.webhooks.index", filters), 303)  # a form sends its empty fields
    page = pages.find(filters, zone(), Place.parse(request.args))
    total = pages.count(filters, zone()) if page.rows else 0
    return render_template(
        "ops/webhooks.html",
        filters=filters,
        choices=choices(),
        rows=page.rows,
        total=lists.total(total, pages.most_counted(filters), "webhook"),
        links=lists.links("ops.webhooks.index", inbox_filters.pairs(filters), page),
        retry_address=address("ops.webhook_retry.confirm_many", filters),
        dropped=_dropped(filters),
        tail=_tail(filters, page.rows) if page.rows and not page.newer else "",
        most_read=conditions.SEARCHED if filters.field else 0,
        words=words,
    )


@bp.get("/webhooks/newer")
@requires(Permission.WEBHOOK_READ)
def newer() -> ResponseReturnValue:
    """Rows that are newer than the position `before`, for the live tail of the list; 204 when there are none."""
    filters, place = filters_of_request(PARAMETERS), Place.parse(request.args)
    rows = pages.find(filters, zone(), place).rows
    if not rows:
        return "", 204
    return render_template("ops/webhooks_newer.html", rows=rows, tail=_tail(filters, rows), words=words)


@bp.get("/webhooks/<key>")
@requires(Permission.WEBHOOK_READ)
def show(key: str) -> str:
    """A webhook: content, outcome, and what it changed."""
    return page_of(existing(key))


def _tail(filters: Filters, rows: list[pages.Row]) -> str:
    """The address of the webhooks that are newer than the first of these."""
    pairs = [*inbox_filters.pairs(filters), ("before", str(rows[0].position))]
    return lists.address("ops.webhooks.newer", pairs)


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


def address(endpoint: str, filters: Filters) -> str:
    """The address of a page with these filters."""
    return lists.address(endpoint, inbox_filters.pairs(filters))


def choices() -> dict[str, list[tuple[str, str]]]:
    """Values and texts of the filters that have known values."""
    providers = [(name, provider.LABEL) for name, provider in sorted(registry.all_providers().items())]
    outcomes = [(str(one), text) for one, text in words.OUTCOMES.items()]
    return {"state": [(str(one), text) for one, text in words.STATES.items()], "provider": providers} | {
        "outcome": outcomes
    }


def _dropped(filters: Filters) -> list[tuple[str, str]]:
    """Each filter that is set, and the address of the list without it."""
    pairs = inbox_filters.pairs(filters)
    here = "ops.webhooks.index"
    return [(f"{one[0]}: {one[1]}", lists.address(here, [pair for pair in pairs if pair != one])) for one in pairs]
