"""Alerts: list, show, acknowledge, resolve."""

from __future__ import annotations

from typing import Any

from shop.accounts.permissions import Permission
from shop.alerts import listed, store
from shop.alerts.models import Alert
from shop.alerts.states import AlertState, Severity
from shop.api import paging
from shop.api.access import api_access, caller
from shop.api.idempotency import idempotent
from shop.api.problems import problems
from shop.api.resource import Resource
from shop.api.schemas import alerts as schemas
from shop.core.db import db
from shop.core.errors import Refusal
from shop.core.keyset import Position

bp = Resource("Alerts", __name__, "/alerts", "What the shop has found wrong, for staff.")
_ID = {"description": "`id` of the alert.", "schema": {"type": "integer", "minimum": 1, "maximum": 2147483647}}
PARAMETERS = [{"in": "path", "name": "alert_id", "required": True} | _ID]


@bp.route("", methods=["GET"])
@api_access(Permission.ALERT_READ)
@problems("bad_position")
@paging.lists(bp, schemas.AlertQuery, schemas.AlertPageSchema, schemas.EXAMPLE)
def index(query: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """List alerts, the newest first

    Without `state` those that are resolved are in it, too.
    """
    page, state = paging.wanted(query), query.get("state")
    wanted = listed.Wanted(
        is_open=state == "OPEN",
        state=AlertState(state) if state and state != "OPEN" else None,
        severity=Severity(query["severity"]) if "severity" in query else None,
        rule=query.get("rule"),
        order_id=query.get("order_id"),
    )
    rows, total = listed.find(wanted, limit=page.limit, offset=page.offset, after=page.after)
    shown = rows[: page.limit]
    cursor = Position(shown[-1].detected_at, shown[-1].id) if len(rows) > page.limit else None
    items = [schemas.alert(one) for one in shown]
    is_exact = total <= listed.COUNTED
    return paging.answer(items, min(total, listed.COUNTED), page, is_exact=is_exact, next_cursor=cursor)


@bp.route("/<int:alert_id>", methods=["GET"], parameters=PARAMETERS)
@api_access(Permission.ALERT_READ)
@problems("unknown_alert")
@bp.response(200, schemas.AlertSchema, example=schemas.EXAMPLE)
def show(alert_id: int) -> dict[str, Any]:
    """Show an alert

    With what was observed and expected, and who has taken care of it.
    """
    found = db.session.get(Alert, alert_id, populate_existing=True)
    if found is None:
        raise Refusal("unknown_alert", "There is no such alert.")
    return schemas.alert(found)


@bp.route("/<int:alert_id>/acknowledge", methods=["POST"], parameters=PARAMETERS)
@api_access(Permission.ALERT_ACKNOWLEDGE)
@idempotent(required=False)
@problems("unknown_alert", "not_new", "resolved")
@bp.arguments(schemas.AcknowledgeSchema, example={"note": "I take care of it"}, required=False)
@bp.response(200, schemas.ChangedAlertSchema, example=schemas.EXAMPLE | {"state": "ACKNOWLEDGED"})
def acknowledge(body: dict[str, Any], alert_id: int) -> dict[str, Any]:
    """Acknowledge an alert: the caller takes care of it

    Of two people who do so at once, one succeeds.
    """
    by = caller().actor(Permission.ALERT_ACKNOWLEDGE)
    return _changed(store.acknowledge(alert_id, by, body.get("note", "")))


@bp.route("/<int:alert_id>/resolve", methods=["POST"], parameters=PARAMETERS)
@api_access(Permission.ALERT_RESOLVE)
@idempotent(required=False)
@problems("unknown_alert", "resolved")
@bp.arguments(schemas.ResolveSchema, example={"note": "Refunded the second payment"})
@bp.response(200, schemas.ChangedAlertSchema, example=schemas.EXAMPLE | {"state": "RESOLVED"})
def resolve(body: dict[str, Any], alert_id: int) -> dict[str, Any]:
    """Resolve an alert, with a note on what was found and done

    The same fault raises a new alert when it happens again.
    """
    return _changed(store.resolve(alert_id, caller().actor(Permission.ALERT_RESOLVE), body["note"]))


def _changed(alert: Alert) -> dict[str, Any]:
    """The body of an alert that the caller has changed, as far as it may read it."""
    body = schemas.alert(alert)
    return body if caller().may(Permission.ALERT_READ) else {name: body[name] for name in schemas.SEEN}
