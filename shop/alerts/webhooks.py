"""Webhook alerts: invalid signatures, unknown payments, clock differences, and webhooks that cannot be applied."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from flask import current_app
from sqlalchemy import Text, cast, exists, func, literal, select

from shop.alerts import watcher
from shop.alerts.episodes import AT_ONCE, TEN_MINUTES, CheckRun, one_of, report, resolve_over
from shop.alerts.models import Alert
from shop.alerts.rules import Claim
from shop.alerts.store import Cause
from shop.core.db import db
from shop.orders.models import Order
from shop.payments.providers import registry
from shop.payments.providers.interface import Malformed, WebhookEvent
from shop.payments.providers.types import Outcome, PaymentState, Trust, WebhookKind
from shop.payments.records.models import Payment, PaymentUpdateRow, RefusedWebhook, WebhookEventRow
from shop.payments.records.types import Source

APPEARS_WITHIN = timedelta(seconds=60)
"""A webhook may arrive before our own row is committed; after this long the payment will not appear any more."""
SKEWED = "signed at another time%"
SKEWED_AFTER = 3
"""Webhooks signed at another time, in ten minutes: a single one is a replay of an old one."""
_REMEMBERED = timedelta(days=30)
_STORED, _REFUSED = "webhook_event ", "refused_webhook "
"""Causes of alerts about one row begin with these words; its id follows."""
_Kind = type[WebhookEventRow] | type[RefusedWebhook]


# --- refused -----------------------------------------------------------------------------------------------------


def signatures(run: CheckRun) -> None:
    """At most one alert per provider and ten minutes; over after ten minutes without another."""
    forged = (*_refused(Outcome.BAD_SIGNATURE), RefusedWebhook.received_at > run.at - TEN_MINUTES)
    _floods(run, "OPS_BAD_SIGNATURE", RefusedWebhook, forged, 1)
    _floods(run, "OPS_CLOCK_SKEW", RefusedWebhook, (*forged, RefusedWebhook.reason.like(SKEWED)), SKEWED_AFTER)


def malformed(run: CheckRun) -> None:
    """Webhooks that cannot be read or state the impossible: at most one alert per provider and ten minutes."""
    unread = (*_refused(Outcome.MALFORMED), RefusedWebhook.received_at > run.at - TEN_MINUTES)
    _floods(run, "OPS_MALFORMED", RefusedWebhook, unread, 1)


def _refused(outcome: Outcome) -> tuple[Any, Any]:
    return RefusedWebhook.provider.in_(registry.all_providers()), RefusedWebhook.outcome == outcome


def _floods(run: CheckRun, rule: str, kind: _Kind, which: Sequence[Any], least: int) -> None:
    arrived = select(kind.provider, func.count().label("webhook_events")).where(*which).group_by(kind.provider)
    floods = {row.provider: row.webhook_events for row in db.session.execute(arrived)}
    resolve_over([alert for alert in run.open(rule) if alert.subject not in floods], "None for ten minutes.")
    for provider, events in floods.items():
        if events >= least:
            _flood(rule, provider, kind, which, least)


def _flood(rule: str, provider: str, kind: _Kind, which: Sequence[Any], least: int) -> None:
    """Start another episode with what arrived after the last one was ten minutes old."""
    before = select(Alert.cause, Alert.observed).where(Alert.rule == rule, Alert.subject == provider)
    latest = db.session.execute(before.order_by(Alert.id.desc()).limit(1)).first()
    arrived = select(func.count(), func.min(kind.received_at), func.max(kind.received_at))
    arrived = arrived.where(*which, kind.provider == provider)
    began = latest.observed.get("from", latest.observed.get("receivedAt")) if latest else None
    if began:
        arrived = arrived.where(kind.received_at >= datetime.fromisoformat(began) + TEN_MINUTES)
    events, first, last = db.session.execute(arrived).one()
    if events >= least:
        observed = {"from": first.isoformat(), "to": last.isoformat(), "webhook_events": events}
        # Not the number of alerts: it would repeat once old ones are removed.
        number = int(latest.cause.rpartition(" ")[2]) + 1 if latest else 1
        report([Cause(rule, provider, f"episode {number}", Source.WEBHOOK, observed, {"webhook_events": 0})])


def keys(run: CheckRun) -> None:
    """A known event id with other content: a mistake of the acquirer, or a leaked secret."""
    known = _known("OPS_KEY_REUSED", RefusedWebhook)
    new = select(RefusedWebhook.id, RefusedWebhook.provider, RefusedWebhook.reason, RefusedWebhook.received_at).where(
        *_refused(Outcome.KEY_REUSED), RefusedWebhook.received_at > run.at - _REMEMBERED, ~known
    )
    report(
        [
            Cause(
                rule="OPS_KEY_REUSED",
                subject=row.provider,
                cause=f"{_REFUSED}{row.id}",
                source=Source.WEBHOOK,
                observed={"receivedAt": row.received_at.isoformat(), "reason": row.reason},
                expected={"content": "the same under the same id"},
            )
            for row in db.session.execute(new.limit(AT_ONCE))
        ]
    )


def _known(rule: str, event: _Kind) -> Any:
    """True if a webhook has been alerted already."""
    cause = literal(_STORED if event is WebhookEventRow else _REFUSED) + cast(event.id, Text)
    return exists().where(Alert.rule == rule, Alert.subject == event.provider, Alert.cause == cause)


# --- unknown payments -------------------------------------------------------------------------------------------


def unknown_payments(run: CheckRun) -> None:
    """Trusted webhooks about payments that we do not have (one alert each) or of another merchant (at most one alert
    per provider and ten minutes).
    """
    foreign = (
        _with_outcome(Outcome.FOREIGN),
        WebhookEventRow.received_at > run.at - TEN_MINUTES,
        WebhookEventRow.not_ours.is_not(None),
    )
    _floods(run, "OPS_FOREIGN", WebhookEventRow, (*foreign, WebhookEventRow.trust != Trust.UNSIGNED), 1)
    known = _known("OPS_ORPHAN", WebhookEventRow)
    new = (
        select(WebhookEventRow)
        .where(
            _with_outcome(Outcome.ORPHAN),
            WebhookEventRow.trust != Trust.UNSIGNED,
            WebhookEventRow.received_at.between(run.at - _REMEMBERED, run.at - APPEARS_WITHIN),
            ~known,
        )
        .order_by(WebhookEventRow.received_at)
        .limit(AT_ONCE)
    )
    report(
        [
            Cause(
                rule="OPS_ORPHAN",
                subject=row.provider,
                cause=f"{_STORED}{row.id}",
                source=Source.WEBHOOK,
                observed={"receivedAt": row.received_at.isoformat(), **_content(row)},
                expected={"payment": "one of ours"},
            )
            for row in db.session.scalars(new)
        ]
    )
    _found_after_all(run)


def _with_outcome(outcome: Outcome) -> Any:
    """In a form for which every database uses the partial index."""
    return one_of(WebhookEventRow.outcome, [Outcome.ORPHAN, Outcome.FOREIGN]) & (WebhookEventRow.outcome == outcome)


def _found_after_all(run: CheckRun) -> None:
    """Orphans whose payment has appeared."""
    waiting = {int(alert.cause.removeprefix(_STORED)): alert for alert in run.open("OPS_ORPHAN")}
    if waiting:
        done = select(WebhookEventRow.id).where(
            WebhookEventRow.id.in_(waiting), WebhookEventRow.outcome != Outcome.ORPHAN
        )
        resolve_over([waiting[row_id] for row_id in db.session.scalars(done)], "The payment is now known.")


def _content(row: WebhookEventRow) -> dict[str, Any]:
    """The content of such a webhook, as far as it can be read."""
    event = next(iter(_read(row)), None)
    if event is None:
        return {}
    captures = [{"id": c.id, "amount": c.money.amount, "currency": c.money.currency} for c in event.facts.captures]
    return {"reference": event.reference, "merchant": event.merchant, "captures": captures}


def _read(row: WebhookEventRow) -> list[WebhookEvent]:
    provider = registry.get(row.provider)
    try:
        return provider.read_stored(row.headers, row.body) if provider else []
    except Malformed:
        return []


# --- trusted, and not applied ----------------------------------------------------------------------------------------


def captured_but_stuck(run: CheckRun) -> None:
    """Rule A for what writes no event: signed webhooks that could not be applied, and updates without a capture id."""
    received_until = run.at - timedelta(seconds=current_app.config["ALERT_CONFIRM_SECONDS"])
    stuck = select(WebhookEventRow).where(
        WebhookEventRow.due_at.is_not(None),
        WebhookEventRow.error.is_not(None),
        WebhookEventRow.trust == Trust.SIGNED,
        WebhookEventRow.received_at <= received_until,
    )
    for row in db.session.scalars(stuck.order_by(WebhookEventRow.due_at).limit(AT_ONCE)).all():
        for payment_id in {n.reference for n in _read(row) if _reports_capture(n)}:
            _check_claim(payment_id, row.provider, row.received_at)
    for order_id in _hinted(received_until):
        watcher.check_order(order_id)


def _reports_capture(event: WebhookEvent) -> bool:
    return event.kind == WebhookKind.PAYMENT and bool(
        event.facts.captures or event.facts.state == PaymentState.CAPTURED
    )


def _check_claim(payment_id: str, provider: str, received_at: datetime) -> None:
    order_id = db.session.scalar(
        select(Payment.order_id)
        .join(Order, Order.id == Payment.order_id)
        .where(
            Payment.id == payment_id,
            Payment.provider == provider,
            Order.paid_by.is_(None),
            ~_has_alert(payment_id),
        )
    )
    if order_id is not None:
        watcher.check_order(order_id, [Claim(payment_id, received_at, Source.WEBHOOK)])


def _hinted(received_until: datetime) -> list[int]:
    """Unpaid orders about which an update said captured without naming a capture."""
    hints = (
        select(Payment.order_id)
        .join(PaymentUpdateRow, PaymentUpdateRow.payment_id == Payment.id)
        .join(Order, Order.id == Payment.order_id)
        .where(
            PaymentUpdateRow.outcome == literal(Outcome.HINT, literal_execute=True),
            PaymentUpdateRow.received_at.between(received_until - timedelta(days=1), received_until),
            PaymentUpdateRow.state == PaymentState.CAPTURED,
            Order.paid_by.is_(None),
            ~_has_alert(Payment.id),
        )
    )
    return list(db.session.scalars(hints.distinct().limit(AT_ONCE)))


def _has_alert(payment_id: Any) -> Any:
    """True if Rule A has an alert for this payment."""
    return exists().where(Alert.rule == "RULE_A", Alert.cause == literal("payment ") + payment_id)
