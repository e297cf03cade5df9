"""Alerts on what waits for a person: requests for a second person, disputes with a near answer date, and alerts that
are new longer than their limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import ColumnElement, and_, or_, select, update

from shop.alerts import requests
from shop.alerts.episodes import AT_ONCE, CheckRun, follow, one_of
from shop.alerts.events import AlertWaits
from shop.alerts.models import IS_OPEN, Alert
from shop.alerts.states import AlertState
from shop.alerts.store import WATCH, Cause
from shop.core import outbox
from shop.core.db import db, transactional
from shop.orders.models import Order
from shop.payments.providers.types import DisputeState
from shop.payments.records.settlement_models import Dispute

LIMITS: Mapping[str, str | None] = {
    "OPS_APPROVAL_WAITS": None,
    "OPS_DISPUTE_DUE": None,
    "OPS_DEAD_LETTER": "STUCK_WAITS_HOURS",
    "OPS_REFUND_REJECTED": "STUCK_WAITS_HOURS",
    "RULE_A": "STUCK_WAITS_HOURS",
    "RULE_F": "UNMATCHED_WAITS_HOURS",
}
"""Rules of which people are notified while the alert is new, and the setting with the hours; None: at once, because the
alert itself is raised after a limit."""


def approvals(run: CheckRun) -> None:
    """Alert on requests that wait for a second person longer than APPROVAL_WAITS_HOURS."""
    hours = current_app.config["APPROVAL_WAITS_HOURS"]
    found = [_request(one, hours) for one in requests.load(AT_ONCE, run.at - timedelta(hours=hours))]
    follow(run, "OPS_APPROVAL_WAITS", found, "The request was decided.", complete=len(found) < AT_ONCE)


def _request(one: requests.Request, hours: int) -> Cause:
    name = f"{one.kind} {one.id}"
    money = {"amount": one.money.amount, "currency": one.money.currency} if one.money else {}
    return Cause(
        rule="OPS_APPROVAL_WAITS",
        subject=one.order_number or name,
        cause=name,
        source=WATCH,
        observed={"request": name, "requestedAt": one.requested_at.isoformat(), **money},
        expected={"decidedWithinHours": hours},
        order_id=one.order_id,
        order_no=one.order_number,
    )


def disputes(run: CheckRun) -> None:
    """Alert on open disputes that have to be answered within DISPUTE_DUE_HOURS."""
    until = run.at + timedelta(hours=current_app.config["DISPUTE_DUE_HOURS"])
    query = (
        select(Dispute, Order.number)
        .join(Order, Order.id == Dispute.order_id)
        .where(one_of(Dispute.state, [DisputeState.OPEN]), Dispute.respond_by <= until)
        .order_by(Dispute.respond_by)
        .limit(AT_ONCE)
    )
    found = [_dispute(dispute, number) for dispute, number in db.session.execute(query)]
    follow(run, "OPS_DISPUTE_DUE", found, "The dispute was decided.", complete=len(found) < AT_ONCE)


def _dispute(dispute: Dispute, number: str) -> Cause:
    return Cause(
        rule="OPS_DISPUTE_DUE",
        subject=number,
        cause=f"dispute {dispute.id}",
        source=WATCH,
        observed={
            "dispute": dispute.dispute_id,
            "provider": dispute.provider,
            "amount": dispute.amount,
            "currency": dispute.currency,
            "openedAt": dispute.opened_at.isoformat(),
            "respondBy": dispute.respond_by.isoformat() if dispute.respond_by else None,
        },
        expected={"disputeState": "answered"},
        order_id=dispute.order_id,
        order_no=number,
    )


def over_limit(run: CheckRun) -> None:
    """Report the new alerts that wait longer than LIMITS allow, each once."""
    waits = or_(*_conditions(run.at))
    query = select(Alert).where(IS_OPEN, Alert.state == AlertState.NEW, Alert.waits_since.is_(None), waits)
    for alert in db.session.scalars(query.order_by(Alert.id).limit(AT_ONCE)).all():
        began = alert.observed.get("requestedAt") or alert.observed.get("openedAt")
        _report(alert.id, datetime.fromisoformat(began) if began else alert.detected_at, run.at)


def _conditions(at: datetime) -> Iterator[ColumnElement[bool]]:
    for rule, setting in LIMITS.items():
        of_rule = Alert.rule == rule
        since = at - timedelta(hours=current_app.config[setting]) if setting else None
        yield of_rule if since is None else and_(of_rule, Alert.detected_at <= since)


@transactional
def _report(alert_id: int, since: datetime, at: datetime) -> None:
    """Mark an alert as waiting, with its event. Of two checks at a time one writes it."""
    still = (Alert.id == alert_id, Alert.state == AlertState.NEW, Alert.waits_since.is_(None))
    row = db.session.execute(
        update(Alert).where(*still).values(waits_since=since).returning(Alert.rule, Alert.subject, Alert.order_no)
    ).one_or_none()
    if row is not None:
        event = AlertWaits(alert_id, row.rule, row.order_no, since.isoformat(), at.isoformat())
        outbox.emit(event, row.subject)
