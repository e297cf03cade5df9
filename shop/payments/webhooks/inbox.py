"""Webhook inbox: a verified webhook is stored before it is applied, and retried until it has been applied."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError, SQLAlchemyError, TimeoutError

from shop.core import clock, logs, metrics
from shop.core.db import after_commit, changed, db, insert, table, transaction, transactional
from shop.payments.disputes import disputes
from shop.payments.polling import hint
from shop.payments.providers import registry
from shop.payments.providers.interface import BadSignature, Malformed, PaymentProvider, WebhookEvent
from shop.payments.providers.types import Outcome, Trust, WebhookKind, decisive
from shop.payments.records.models import RefusedWebhook, WebhookEventRow
from shop.payments.records.types import Source
from shop.payments.refunds import outside
from shop.payments.updates.apply import UnknownPayment, apply_event
from shop.payments.updates.apply import apply as apply_update
from shop.payments.updates.snapshot import PaymentUpdate
from shop.payments.updates.write import NewEvent
from shop.payments.webhooks import content, foreign, hints

log = logs.get()
REFUSED_KEPT = 1000  # for each provider
BACKOFF = (2, 5, 10, 30, 60, 300, 1800)  # seconds until an event that could not be applied is retried
ORPHAN_GIVEN_UP = timedelta(days=1)
_KEPT_HEADERS = ("content-type", "user-agent", "webhook-id", "webhook-timestamp", "stripe-signature", "x-request-id")
_WEBHOOK_EVENTS = table(WebhookEventRow)
_TO_APPLY = (
    select(
        *(_WEBHOOK_EVENTS.c[name] for name in ("id", "provider", "trust", "received_at", "tries", "outcome", "done_at"))
    )
    .where(_WEBHOOK_EVENTS.c.id == bindparam("row"))
    .with_for_update()
)
_APPLIED = (
    update(_WEBHOOK_EVENTS)
    .where(_WEBHOOK_EVENTS.c.id == bindparam("row"))
    .values(
        outcome=bindparam("outcome"),
        due_at=bindparam("due"),
        done_at=bindparam("done"),
        tries=_WEBHOOK_EVENTS.c.tries + 1,
        error=None,
        not_ours=bindparam("not_ours"),
        took_ms=bindparam("took_ms"),
    )
)


@dataclass(frozen=True, slots=True)
class _Row:
    """Fields of a stored webhook that decide its effect; the body of a `brief` one is truncated. `began` is when this
    attempt to apply it began, for its duration.
    """

    id: int
    provider: str
    trust: Trust
    received_at: datetime
    tries: int = 0
    brief: bool = False
    began: float = field(default_factory=time.perf_counter)

    @property
    def took_ms(self) -> int:
        """Duration of the attempt until now."""
        return round((time.perf_counter() - self.began) * 1000)


@dataclass(frozen=True, eq=False)
class WebhookRequest:
    """A verified webhook request. All its events have the key and the trust of the first one."""

    provider: PaymentProvider
    events: list[WebhookEvent]
    headers: Mapping[str, str]
    raw: bytes

    @property
    def event(self) -> WebhookEvent:
        return self.events[0]

    @property
    def update(self) -> PaymentUpdate | None:
        """The update of a webhook with one signed event about one of our payments and nothing else; otherwise None."""
        one = self.event
        others = len(self.events) > 1 or one.refund or one.dispute or one.facts.refunds
        if (
            others
            or one.kind != WebhookKind.PAYMENT
            or one.trust != Trust.SIGNED
            or foreign.is_foreign(self.provider.NAME, one)
        ):
            return None
        return PaymentUpdate(one.reference, one.facts, Source.WEBHOOK, self.provider.NAME)


def receive(provider: PaymentProvider, headers: Mapping[str, str], raw: bytes) -> tuple[int, str]:
    """Receive one webhook and return the status and body that the acquirer expects. A stored webhook is acknowledged
    and retried until it is applied. A webhook that could not be stored is answered with 503; forged and malformed ones
    get the response of `ack` and have no effect.
    """
    try:
        events = provider.read_webhook(headers, raw)
    except BadSignature as error:
        return _refuse(provider, Outcome.BAD_SIGNATURE, str(error), headers, raw)
    except Malformed as error:
        return _refuse(provider, Outcome.MALFORMED, str(error), headers, raw)
    if not events:
        return provider.ack(Outcome.HINT)
    request = WebhookRequest(provider, events, headers, raw)
    try:
        outcome = _process(request)
    except (OperationalError, InterfaceError, TimeoutError) as error:  # the database is unavailable, locked or full
        outcome = _not_stored(provider, error)
    except Exception as error:  # noqa: BLE001 - an event that cannot be applied now is stored all the same
        outcome = _store_for_later(request, f"{type(error).__name__}: {error}")
    if outcome == Outcome.KEY_REUSED:
        return _refuse(provider, Outcome.KEY_REUSED, "another body under an event id that we have", headers, raw)
    return provider.ack(outcome)


def _process(request: WebhookRequest) -> Outcome:
    """Store a webhook and apply it in one transaction, and return its outcome."""
    update = request.update
    if update is None:
        return _store_and_apply(request)
    try:
        outcome = _apply_new(request, update)
    except UnknownPayment:
        return _store_and_apply(request)
    except IntegrityError:  # another transaction has stored this event or its capture, or the capture is another's
        db.session.rollback()
        return _store_and_apply(request)
    return outcome or _note_repetition(request)


def _apply_new(request: WebhookRequest, update: PaymentUpdate) -> Outcome | None:
    """Apply the update of an event that is not stored, and store both at once; None for an event that is."""
    at, name, trust = clock.now(), request.provider.NAME, request.event.trust
    stored = _Row(0, name, trust, at)

    def row(outcome: Outcome) -> dict[str, Any]:
        due_at = _again_at(stored, outcome, at)
        done = {"outcome": outcome, "due_at": due_at, "done_at": None if due_at else at, "tries": 1}
        not_ours = _alert_reason(stored, request.events) if outcome == Outcome.FOREIGN else None
        return {**_row(request, at), **done, "not_ours": not_ours, "repeats": 0, "took_ms": stored.took_ms}

    outcome = apply_event(update, NewEvent(name, request.event.dedupe_key, row))
    if outcome is not None:
        metrics.WEBHOOKS.labels(name, outcome).inc()
    return outcome


@transactional
def _note_repetition(request: WebhookRequest) -> Outcome:
    """Count a repetition of a stored event: duplicate, or key_reused when its content is another."""
    same = (
        WebhookEventRow.provider == request.provider.NAME,
        WebhookEventRow.dedupe_key == request.event.dedupe_key,
        WebhookEventRow.body_hash == _hash(request.raw),
    )
    counted = changed(update(WebhookEventRow).where(*same).values(repeats=WebhookEventRow.repeats + 1))
    return Outcome.DUPLICATE if counted else Outcome.KEY_REUSED


@transactional
def _store_and_apply(request: WebhookRequest) -> Outcome:
    """Store a webhook of any kind and apply its events one by one, in one transaction, and return its outcome."""
    at, name = clock.now(), request.provider.NAME
    brief = hints.is_about_nothing(name, request.events)
    webhook_event_id, outcome = _store(request, at, brief=brief)
    if webhook_event_id is not None:
        outcome = _apply(_Row(webhook_event_id, name, request.event.trust, at, brief=brief), request.events, at)
        after_commit(metrics.WEBHOOKS.labels(name, outcome).inc)
    return outcome


def _store_for_later(request: WebhookRequest, error: str) -> Outcome:
    """Store a webhook that could not be applied, for the sweep to retry."""

    db.session.rollback()
    try:
        return _store_failed(request, error)
    except SQLAlchemyError as failure:
        return _not_stored(request.provider, failure)


@transactional
def _store_failed(request: WebhookRequest, error: str) -> Outcome:
    webhook_event_id, outcome = _store(request, clock.now(), tries=1, error=error[:500])
    if webhook_event_id is not None:
        after_commit(lambda: log.error("inbox.not_applied", inbox=webhook_event_id, error=error))
    return outcome


def _not_stored(provider: PaymentProvider, error: Exception) -> Outcome:
    db.session.rollback()
    log.error("inbox.not_stored", provider=provider.NAME, error=type(error).__name__)
    return Outcome.UNAVAILABLE


@cache
def _unless_known(_dialect: str) -> Any:
    """Insert a row and return its id; no row for a stored event."""
    return insert(WebhookEventRow, plain=True).on_conflict_do_nothing().returning(_WEBHOOK_EVENTS.c.id)


def _store(
    request: WebhookRequest, at: datetime, tries: int = 0, error: str | None = None, *, brief: bool = False
) -> tuple[int | None, Outcome]:
    """The id of the new row, or None for a repetition, and what it is. Part of the caller's transaction."""
    row = _row(request, at, tries, error)
    if brief:
        row["body"] = request.raw[: hints.KEPT_BYTES]
    webhook_event_id = db.session.scalar(_unless_known(db.engine.dialect.name), row)
    if webhook_event_id is not None:
        if request.event.trust in hints.UNPROVEN:
            hints.remove_old(request.provider.NAME, webhook_event_id)
        return int(webhook_event_id), Outcome.APPLIED
    return None, _note_repetition(request)


def _row(request: WebhookRequest, at: datetime, tries: int = 0, error: str | None = None) -> dict[str, Any]:
    return {
        "provider": request.provider.NAME,
        "dedupe_key": request.event.dedupe_key,
        "body_hash": _hash(request.raw),
        "body": request.raw,
        "headers": _stored_headers(request.headers),
        "trust": request.event.trust,
        "reference": content.payment_of(request.event),
        "received_at": at,
        "due_at": at + _pause(tries),
        "tries": tries,
        "error": error,
    }


def due(limit: int = 500) -> list[int]:
    """Ids of the rows that are still to be applied, oldest first."""
    query = (
        select(WebhookEventRow.id)
        .where(WebhookEventRow.due_at <= clock.now())
        .order_by(WebhookEventRow.due_at)
        .limit(limit)
    )
    found = list(db.session.scalars(query))
    db.session.rollback()
    return found


def apply(webhook_event_id: int) -> Outcome | None:
    """Apply a stored webhook and return its outcome; None when that failed and the sweep will try again."""
    try:
        events = _read_again(webhook_event_id)
        outcome = _apply_stored(webhook_event_id, events)
    except Exception as error:  # noqa: BLE001 - one poisoned row must never stop the others
        db.session.rollback()
        log.error("inbox.not_applied", inbox=webhook_event_id, error=f"{type(error).__name__}: {error}")
        _try_later(webhook_event_id, f"{type(error).__name__}: {error}")
        return None
    return outcome


@transactional
def _apply_stored(webhook_event_id: int, events: list[WebhookEvent]) -> Outcome:
    found = db.session.execute(_TO_APPLY, {"row": webhook_event_id}).one()
    if found.done_at is not None:
        return found.outcome or Outcome.DUPLICATE
    row = _Row(found.id, found.provider, found.trust, found.received_at, found.tries)
    outcome = _apply(row, events, clock.now())
    after_commit(metrics.WEBHOOKS.labels(row.provider, outcome).inc)
    return outcome


def _apply(row: _Row, events: list[WebhookEvent], at: datetime) -> Outcome:
    """Apply the events of a row and record the outcome on the row. Part of the caller's transaction, which has the row
    locked.
    """
    outcome = decisive(_apply_event(row, event) for event in events)
    due_at = None if row.brief else _again_at(row, outcome, at)
    if due_at is None and row.trust in hints.UNPROVEN:
        db.session.execute(hints.SHORTEN, {"row": row.id})
    not_ours = _alert_reason(row, events) if outcome == Outcome.FOREIGN else None
    values = {"outcome": outcome, "due": due_at, "done": None if due_at else at, "not_ours": not_ours}
    db.session.execute(_APPLIED, {"row": row.id, "took_ms": row.took_ms, **values})
    return outcome


def _again_at(row: _Row, outcome: Outcome, at: datetime) -> datetime | None:
    """Time at which the row is applied again: an orphan until its payment appears, a hint once more after the
    consistency window.
    """
    if outcome == Outcome.ORPHAN and at < row.received_at + ORPHAN_GIVEN_UP:
        return at + _pause(row.tries + 1)
    provider = registry.get(row.provider)
    window = provider.capabilities.consistency_window if provider else timedelta(0)
    if outcome == Outcome.HINT and row.trust != Trust.SIGNED and at < row.received_at + window:
        return row.received_at + window
    return None


def _alert_reason(row: _Row, events: list[WebhookEvent]) -> str | None:
    """Reason for an alert on a foreign webhook; None for the business of another system under the same account."""
    other = next((event.merchant for event in events if foreign.is_of_another_merchant(row.provider, event)), None)
    if other is not None:
        return f"merchant {other}"
    return "another payment of theirs" if any(event.is_ours for event in events) else None


def _apply_event(row: _Row, event: WebhookEvent) -> Outcome:
    """Apply one event, as far as it can be trusted, and return its outcome."""
    if foreign.is_foreign(row.provider, event):
        return Outcome.FOREIGN
    if event.trust == Trust.SIGNED and event.refund:
        outcome = outside.apply_reported(row.provider, event.refund, Source.WEBHOOK)
        return _of_capture(outcome, row.provider, event)
    if event.trust == Trust.SIGNED and event.dispute:
        return _of_capture(disputes.apply(row.provider, event.dispute, Source.WEBHOOK), row.provider, event)
    if event.kind != WebhookKind.PAYMENT:
        return Outcome.HINT
    if event.trust == Trust.SIGNED:
        try:
            update = PaymentUpdate(event.reference, event.facts, Source.WEBHOOK, row.provider)
            return apply_update(update, webhook_event_id=row.id).outcome
        except UnknownPayment:
            return Outcome.ORPHAN
    hint.make_due(row.provider, event.reference)
    return Outcome.HINT


def _of_capture(outcome: Outcome, provider: str, event: WebhookEvent) -> Outcome:
    """The outcome of an event about a capture. If the capture is unknown, since its webhook was lost or is late, the
    payment is polled at once; the event is applied again then.
    """
    if outcome == Outcome.ORPHAN:
        hint.make_due(provider, event.reference)
    return outcome


def _read_again(webhook_event_id: int) -> list[WebhookEvent]:
    """The events in a stored body. Its signature was verified on receipt; secrets may have changed since."""
    row = db.session.get_one(WebhookEventRow, webhook_event_id)
    provider = registry.get(row.provider)
    if provider is None:
        raise Malformed(f"no provider {row.provider}")
    events = provider.read_stored(row.headers, row.body)
    db.session.rollback()
    return events


def _try_later(webhook_event_id: int, error: str) -> None:
    try:
        with transaction():
            row = db.session.get_one(WebhookEventRow, webhook_event_id, with_for_update=True)
            if row.done_at is not None:  # another process has applied it, and may have shortened its body
                return
            row.tries, row.error = row.tries + 1, error[:500]
            row.due_at = clock.now() + _pause(row.tries)
    except SQLAlchemyError:
        db.session.rollback()


def _pause(tries: int) -> timedelta:
    return timedelta(seconds=BACKOFF[min(tries, len(BACKOFF) - 1)])


def _hash(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _stored_headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: headers[name][:500] for name in _KEPT_HEADERS if name in headers}


def _refuse(
    provider: PaymentProvider, outcome: Outcome, reason: str, headers: Mapping[str, str], raw: bytes
) -> tuple[int, str]:
    log.warning("inbox.refused", provider=provider.NAME, outcome=outcome, reason=reason[:200])
    metrics.WEBHOOKS.labels(provider.NAME, outcome).inc()
    try:
        with transaction():
            refused = RefusedWebhook(
                provider=provider.NAME,
                outcome=outcome,
                reason=reason[:500],
                headers=_stored_headers(headers),
                body=raw[:4096],
                received_at=clock.now(),
            )
            db.session.add(refused)
            db.session.flush()
            db.session.execute(
                delete(RefusedWebhook).where(
                    RefusedWebhook.provider == provider.NAME, RefusedWebhook.id <= refused.id - REFUSED_KEPT
                )
            )
    except SQLAlchemyError:
        db.session.rollback()
    return provider.ack(outcome)
