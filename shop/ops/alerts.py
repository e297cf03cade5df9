"""Alerts: the open ones, one alert with what was observed and expected, and the acts on it."""

from __future__ import annotations

from flask import Blueprint, abort, render_template, request, url_for
from flask.typing import ResponseReturnValue

from shop.accounts import staff
from shop.accounts.permissions import Permission
from shop.alerts import chat, notifications, store
from shop.alerts.models import Alert
from shop.alerts.rules import RULES
from shop.core import keyset
from shop.core.db import db
from shop.core.errors import BadInput, Refusal
from shop.core.filter_values import refuse_unknown
from shop.core.keyset import Place
from shop.explain import facts
from shop.http_kit.access import requires
from shop.ops import acts, lists
from shop.ops.navigation import Link

bp = Blueprint("alerts", __name__)
LINKS = (Link("Alerts", "ops.alerts.index", Permission.ALERT_READ),)


@bp.get("/alerts")
@requires(Permission.ALERT_READ)
def index() -> str:
    """Open alerts, the most severe first, then the oldest; of one rule with `rule`. `after`, `before` and `page=last`
    are positions of pages.
    """
    return _list()


@bp.post("/alerts/messages/<int:message_id>/again")
@requires(Permission.ALERT_ACKNOWLEDGE)
def send_again(message_id: int) -> ResponseReturnValue:
    """Send a message to the chat again that could not be delivered."""
    return acts.done(
        lambda: chat.send_again(min(message_id, 2**63 - 1), acts.reader()),
        "The message is sent again within seconds.",
        url_for("ops.alerts.index"),
        _list,
    )


def _list(refusal: Refusal | None = None) -> str:
    refuse_unknown(lists.given(), ("rule",))
    rule = request.args.get("rule")
    if rule is not None and rule not in RULES:
        raise BadInput("unknown_rule", f"{rule} is not a rule. Rules are {', '.join(RULES)}.")
    place = Place.parse(request.args)
    page = store.page(place, rule=rule)
    return render_template(
        "ops/alerts.html",
        alerts=page.rows,
        is_first=place == keyset.FIRST,
        links=lists.links("ops.alerts.index", [("rule", rule)] if rule else [], page),
        counts=store.open_by_rule(),
        rule=rule,
        rules=RULES,
        failed=chat.failed(),
        refusal=refusal,
    )


@bp.get("/alerts/<int:alert_id>")
@requires(Permission.ALERT_READ)
def show(alert_id: int) -> str:
    """An alert, open or resolved."""
    return _page(alert_id)


@bp.post("/alerts/<int:alert_id>/acknowledge")
@requires(Permission.ALERT_ACKNOWLEDGE)
def acknowledge(alert_id: int) -> ResponseReturnValue:
    """Acknowledge an alert: the reader takes care of it."""
    page = url_for("ops.alerts.show", alert_id=alert_id)
    return acts.done(
        lambda: store.acknowledge(alert_id, acts.reader(), acts.reason(required=False)),
        "You have acknowledged the alert.",
        url_for("ops.home.show") if request.form.get("to") == "to_do" else page,
        lambda refusal: _page(alert_id, refusal),
    )


@bp.post("/alerts/<int:alert_id>/resolve")
@requires(Permission.ALERT_RESOLVE)
def resolve(alert_id: int) -> ResponseReturnValue:
    """Resolve an alert with a note on what was found and done."""
    return acts.done(
        lambda: store.resolve(alert_id, acts.reader(), acts.reason()),
        "You have resolved the alert.",
        url_for("ops.alerts.show", alert_id=alert_id),
        lambda refusal: _page(alert_id, refusal),
    )


def _page(alert_id: int, refusal: Refusal | None = None) -> str:
    db.session.rollback()
    alert = db.session.get(Alert, alert_id) if alert_id < 2**63 else None
    if alert is None:
        abort(404, "There is no such alert.")
    people = {by: staff.label(by) for by in (alert.acknowledged_by, alert.resolved_by) if by is not None}
    return render_template(
        "ops/alert.html",
        alert=alert,
        title=RULES[alert.rule][1],
        people=people,
        notifications=notifications.about(alert.id),
        readable=facts.readable,
        refusal=refusal,
    )
