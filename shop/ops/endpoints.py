"""Endpoints of outgoing webhooks: list, new endpoint, one endpoint with its deliveries, and acts on it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from flask import Blueprint, abort, render_template, request, url_for
from flask.typing import ResponseReturnValue

from shop.accounts.permissions import Permission
from shop.core import clock, days, filter_values, keyset
from shop.core.errors import Refusal
from shop.core.keyset import Place
from shop.http_kit.access import requires
from shop.ops import acts, lists
from shop.ops.formats import zone
from shop.ops.navigation import Group, Link
from shop.outgoing_webhooks import endpoints, queries, resend, retained
from shop.outgoing_webhooks.kinds import DeliveryState, EventType

bp = Blueprint("endpoints", __name__)
LINKS = (Link("Webhook endpoints", "ops.endpoints.index", Permission.WEBHOOK_ENDPOINT_READ, Group.SYSTEM),)
READ, WRITE = Permission.WEBHOOK_ENDPOINT_READ, Permission.WEBHOOK_ENDPOINT_WRITE


@bp.get("/endpoints")
@requires(READ)
def index() -> str:
    """The endpoints, with their states and the numbers of queued and failed deliveries."""
    filter_values.refuse_unknown(request.args, ())
    return render_template(
        "ops/endpoints.html", listed=queries.all_endpoints(), counted=queries.COUNTED, most=endpoints.MOST
    )


@bp.get("/endpoints/new")
@requires(WRITE)
def new() -> str:
    """The form of a new endpoint."""
    return _form()


@bp.post("/endpoints")
@requires(WRITE, fresh=True)
def create() -> ResponseReturnValue:
    """Create an endpoint; the answer shows its secret, once."""
    try:
        endpoint_id, secret = endpoints.create(*_typed(), by=acts.reader())
    except Refusal as refusal:
        return _form(refusal), refusal.status
    return _with_secret(endpoint_id, secret, is_new=True)


@bp.get("/endpoints/<endpoint_id>")
@requires(READ)
def show(endpoint_id: str) -> str:
    """An endpoint and its deliveries, newest first; of one state with `state`. `after`, `before` and `page=last` are
    positions of pages.
    """
    return _page(endpoint_id)


@bp.post("/endpoints/<endpoint_id>/change")
@requires(WRITE)
def change(endpoint_id: str) -> ResponseReturnValue:
    """Change address, description and event types."""
    return _act(
        endpoint_id, lambda: endpoints.change(endpoint_id, *_typed(), by=acts.reader()), "The endpoint is saved."
    )


@bp.post("/endpoints/<endpoint_id>/rotate")
@requires(WRITE, fresh=True)
def rotate(endpoint_id: str) -> ResponseReturnValue:
    """Make a new secret; the answer shows it, once."""
    seen = request.form.get("seen", "")
    number = int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 10 else -1
    try:
        secret = endpoints.rotate(endpoint_id, by=acts.reader(), seen=number)
    except Refusal as refusal:
        return _page(endpoint_id, refusal), refusal.status
    return _with_secret(endpoint_id, secret, is_new=False)


@bp.post("/endpoints/<endpoint_id>/enable")
@requires(WRITE)
def enable(endpoint_id: str) -> ResponseReturnValue:
    """Enable a disabled endpoint."""
    return _act(endpoint_id, lambda: endpoints.enable(endpoint_id, by=acts.reader()), "The endpoint is enabled.")


@bp.post("/endpoints/<endpoint_id>/disable")
@requires(WRITE)
def disable(endpoint_id: str) -> ResponseReturnValue:
    """Disable an endpoint; its queued deliveries fail."""
    return _act(endpoint_id, lambda: endpoints.disable(endpoint_id, by=acts.reader()), "The endpoint is disabled.")


@bp.post("/endpoints/<endpoint_id>/delete")
@requires(WRITE, fresh=True)
def delete(endpoint_id: str) -> ResponseReturnValue:
    """Delete an endpoint and its secrets."""
    return acts.done(
        lambda: endpoints.delete(endpoint_id, by=acts.reader()),
        "The endpoint is deleted.",
        url_for("ops.endpoints.index"),
        lambda refusal: _page(endpoint_id, refusal),
    )


@bp.post("/endpoints/<endpoint_id>/test")
@requires(WRITE)
def test(endpoint_id: str) -> ResponseReturnValue:
    """Send a test event."""
    sent = "The test event is queued. Its result appears below within seconds."
    return _act(endpoint_id, lambda: resend.test(endpoint_id, by=acts.reader()), sent)


@bp.post("/endpoints/<endpoint_id>/resend-failed")
@requires(WRITE)
def resend_failed(endpoint_id: str) -> ResponseReturnValue:
    """Send the failed deliveries of events since a day again."""
    return _act(
        endpoint_id,
        lambda: resend.resend_failed(endpoint_id, _since(), by=acts.reader()),
        lambda number: f"Failed deliveries queued again: {number}.",
    )


@bp.post("/endpoints/<endpoint_id>/backfill")
@requires(WRITE)
def backfill(endpoint_id: str) -> ResponseReturnValue:
    """Send the events since a day that the endpoint did not get."""
    return _act(
        endpoint_id,
        lambda: resend.backfill(endpoint_id, _since(), by=acts.reader()),
        lambda number: f"Events queued: {number}.",
    )


@bp.get("/endpoints/<endpoint_id>/deliveries/<int:delivery_id>")
@requires(READ)
def delivery(endpoint_id: str, delivery_id: int) -> str:
    """A delivery with its attempts and the body of its event."""
    return _delivery(endpoint_id, delivery_id)


@bp.post("/endpoints/<endpoint_id>/deliveries/<int:delivery_id>/resend")
@requires(WRITE)
def resend_one(endpoint_id: str, delivery_id: int) -> ResponseReturnValue:
    """Send one delivery again."""
    return acts.done(
        lambda: resend.resend(endpoint_id, delivery_id, by=acts.reader()),
        "The event will be sent again, with the same id.",
        url_for("ops.endpoints.delivery", endpoint_id=endpoint_id, delivery_id=delivery_id),
        lambda refusal: _delivery(endpoint_id, delivery_id, refusal),
    )


def _act(endpoint_id: str, act: acts.Act, message: str | Callable[[Any], str]) -> ResponseReturnValue:
    to = url_for("ops.endpoints.show", endpoint_id=endpoint_id)
    return acts.done(act, message, to, lambda refusal: _page(endpoint_id, refusal))


def _typed() -> tuple[str, str, list[str]]:
    form = request.form
    return form.get("url", ""), form.get("description", ""), form.getlist("event_types")


def _since() -> datetime:
    """The beginning of the typed day in the shop's zone. Raises BadInput."""
    return days.midnight(filter_values.day("since", request.form.get("since", "")), zone())


def _form(refusal: Refusal | None = None) -> str:
    url, description, chosen = _typed() if refusal else ("", "", [str(each) for each in EventType])
    typed = {"url": url, "description": description, "event_types": chosen}
    return render_template("ops/endpoint_new.html", typed=typed, event_types=list(EventType), refusal=refusal)


def _with_secret(endpoint_id: str, secret: str, *, is_new: bool) -> str:
    return render_template("ops/endpoint_secret.html", endpoint_id=endpoint_id, secret=secret, is_new=is_new)


def _page(endpoint_id: str, refusal: Refusal | None = None) -> str:
    found = queries.endpoint(endpoint_id)
    if found is None:
        abort(404, "There is no such endpoint.")
    state, place = _place() if request.method == "GET" else (None, keyset.FIRST)
    filters = [("state", str(state))] if state else []
    deliveries = queries.deliveries(endpoint_id, state=state, place=place)
    now, endpoint = clock.now(), found.endpoint
    is_typed = refusal is not None and refusal.details.get("field") in ("url", "description", "event_types")
    typed = dict(zip(("url", "description", "event_types"), _typed(), strict=True)) if is_typed else endpoint
    return render_template(
        "ops/endpoint.html",
        found=found,
        endpoint=endpoint,
        typed=typed,
        event_types=list(EventType),
        deliveries=deliveries.rows,
        links=lists.links("ops.endpoints.show", filters, deliveries, endpoint_id=endpoint_id),
        state=state,
        states=list(DeliveryState),
        counted=queries.COUNTED,
        is_overlap=endpoint.former_until is not None and endpoint.former_until > now,
        first_day=(now - retained.KEPT).astimezone(zone()).date(),
        today=now.astimezone(zone()).date(),
        refusal=refusal,
    )


def _place() -> tuple[DeliveryState | None, Place]:
    """The filter and the page that the address names. Raises BadInput."""
    given = filter_values.given(lists.given(), ("state",))
    state = filter_values.members("state", given["state"], DeliveryState)
    return (state[0] if state else None), Place.parse(request.args)


def _delivery(endpoint_id: str, delivery_id: int, refusal: Refusal | None = None) -> str:
    found = queries.delivery(endpoint_id, delivery_id)
    if found is None:
        abort(404, "There is no such delivery.")
    return render_template(
        "ops/endpoint_delivery.html",
        endpoint_id=endpoint_id,
        row=found,
        attempts=queries.attempts(delivery_id),
        most=queries.ATTEMPTS,
        body=queries.body(found.delivery.event_id),
        refusal=refusal,
    )
