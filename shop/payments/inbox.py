"""The webhook inbox: what verified is stored before it is acted upon, and kept at until it has been applied."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.exc import SQLAlchemyError

from shop.core import clock, logs, metrics
from shop.core.db import changed, db, insert, retried, table, writing
from shop.payments import disputes, refunds, registry, states
from shop.payments.models import InboxRow, Payment, RefusedNotice
from shop.payments.provider import BadSignature, Malformed, Notice, PaymentProvider
from shop.payments.settle import UnknownPayment, settle

log = logs.get()
UNPROVEN = ("replayable", "unsigned")
HINTS_KEPT = 10_000  # rows of the inbox, counted back from the newest
REFUSED_KEPT = 1000  # for each provider
BACKOFF = (2, 5, 10, 30, 60, 300, 1800)  # seconds until what could not be applied is tried again
ORPHAN_GIVEN_UP = timedelta(days=1)
_KEPT_HEADERS = ("content-type", "user-agent", "webhook-id", "webhook-timestamp", "stripe-signature", "x-request-id")
_INBOX = table(InboxRow)
_TO_APPLY = (
    select(*(_INBOX.c[name] for name in ("id", "provider", "trust", "received_at", "tries", "verdict", "done_at")))
    .where(_INBOX.c.id == bindparam("row"))
    .with_for_update()
)
_APPLIED = (
    update(_INBOX)
    .where(_INBOX.c.id == bindparam("row"))
    .values(
        verdict=bindparam("heard"),
        due_at=bindparam("due"),
        done_at=bindparam("done"),
        tries=_INBOX.c.tries + 1,
        error=None,
    )
)
_WEIGHT = ("duplicate", "hint", "stale", "illegal", "applied", "foreign", "orphan", "mismatch")


def receive(provider: PaymentProvider, headers: Mapping[str, str], raw: bytes) -> tuple[int, str]:
    """Take one webhook and return the status and body that the acquirer wants to read.

    Stored is ours: it is acknowledged and kept at. What could not be stored is answered with 503, forged and malformed
    ones with what `ack` says; they change nothing.
    """
    try:
        notices = provider.read_webhook(headers, raw)
    except BadSignature as error:
        return _refuse(provider, "bad_signature", str(error), headers, raw)
    except Malformed as error:
        return _refuse(provider, "malformed", str(error), headers, raw)
    if not notices:
        return provider.ack("hint")
    try:
        inbox_id, outcome = retried(lambda: _store(provider, notices, headers, raw))
    except SQLAlchemyError as error:
        db.session.rollback()
        log.error("inbox.not_stored", provider=provider.NAME, error=type(error).__name__)
        return provider.ack("unavailable")
    if outcome == "key_reused":
        return _refuse(provider, "key_reused", "another body under an event id that we have", headers, raw)
    if inbox_id is None:
        return provider.ack("duplicate")
    return provider.ack(apply(inbox_id, notices) or "applied")


@cache
def _unless_known(_dialect: str) -> Any:
    """Inserts a row and returns its id; nothing for one whose event we have."""
    return insert(InboxRow, plain=True).on_conflict_do_nothing().returning(_INBOX.c.id)


def _store(
    provider: PaymentProvider, notices: list[Notice], headers: Mapping[str, str], raw: bytes
) -> tuple[int | None, str]:
    """The id of the new row, or None for a repetition, and what it is."""
    key, digest, at = notices[0].dedupe_key, hashlib.sha256(raw).hexdigest(), clock.now()
    with writing():
        row = {
            "provider": provider.NAME,
            "dedupe_key": key,
            "body_hash": digest,
            "body": raw,
            "headers": _kept(headers),
            "trust": notices[0].trust,
            "received_at": at,
            "due_at": at + timedelta(seconds=BACKOFF[0]),
        }
        inbox_id = db.session.execute(_unless_known(db.engine.dialect.name), row).scalar()
        if inbox_id is not None:
            if notices[0].trust in UNPROVEN:
                _forget_old_hints(provider.NAME, inbox_id)
            return inbox_id, "stored"
        same = changed(
            update(InboxRow)
            .where(InboxRow.provider == provider.NAME, InboxRow.dedupe_key == key, InboxRow.body_hash == digest)
            .values(repeats=InboxRow.repeats + 1)
        )
        return None, "duplicate" if same else "key_reused"


def _forget_old_hints(provider: str, newest: int) -> None:
    """Anybody can send hints without end: only the newest are kept. They have done what they do when they came."""
    old = (InboxRow.provider == provider, InboxRow.trust.in_(UNPROVEN), InboxRow.id <= newest - HINTS_KEPT)
    db.session.execute(delete(InboxRow).where(*old, InboxRow.done_at.is_not(None)))


def due(limit: int = 500) -> list[int]:
    """Ids of the rows that are still to be applied, oldest first."""
    query = select(InboxRow.id).where(InboxRow.due_at <= clock.now()).order_by(InboxRow.due_at).limit(limit)
    found = list(db.session.scalars(query))
    db.session.rollback()
    return found


def apply(inbox_id: int, notices: list[Notice] | None = None) -> str | None:
    """Apply a stored webhook and return its verdict; None when that failed and the sweep will try again."""
    try:
        if notices is None:
            notices = _read_again(inbox_id)
        verdict = retried(lambda: _apply(inbox_id, notices))
    except Exception as error:  # noqa: BLE001 - one poisoned row must never stop the others
        db.session.rollback()
        log.error("inbox.not_applied", inbox=inbox_id, error=f"{type(error).__name__}: {error}")
        _try_later(inbox_id, f"{type(error).__name__}: {error}")
        return None
    return verdict


def _apply(inbox_id: int, notices: list[Notice]) -> str:
    at = clock.now()
    with writing():
        row = db.session.execute(_TO_APPLY, {"row": inbox_id}).one()
        if row.done_at is not None:
            return row.verdict or "duplicate"
        verdict = max((_hear(row, notice) for notice in notices), key=_WEIGHT.index)
        due_at = _again_at(row, verdict, at)
        done_at = None if due_at else at
        db.session.execute(_APPLIED, {"row": inbox_id, "heard": verdict, "due": due_at, "done": done_at})
    metrics.NOTICES.labels(row.provider, verdict).inc()
    return str(verdict)


def _again_at(row: Any, verdict: str, at: datetime) -> datetime | None:
    """When the row is applied again: an orphan until its payment appears; a hint once more when their query shows what
    it hinted at.
    """
    if verdict == "orphan" and at < row.received_at + ORPHAN_GIVEN_UP:
        return at + _pause(row.tries + 1)
    provider = registry.get(row.provider)
    window = provider.capabilities.consistency_window if provider else timedelta(0)
    if verdict == "hint" and row.trust != "signed" and at < row.received_at + window:
        return row.received_at + window
    return None


def _hear(row: Any, notice: Notice) -> str:
    """What one notice does, by how far it can be trusted."""
    provider = registry.get(row.provider)
    if provider and provider.MERCHANT and notice.merchant and notice.merchant != provider.MERCHANT:
        return "foreign"
    if notice.trust == "signed" and notice.refund:
        return refunds.hear(notice.refund.reference, notice.refund.state, "webhook", by=row.provider)
    if notice.trust == "signed" and notice.dispute:
        return disputes.hear(row.provider, notice.dispute, "webhook")
    if notice.kind != "payment":
        return "hint"
    if notice.trust == "signed":
        try:
            return settle(notice.reference, notice.facts, "webhook", provider=row.provider, inbox_id=row.id)
        except UnknownPayment:
            return "orphan"
    _make_due(row.provider, notice.reference)
    return "hint"


def _make_due(provider: str, reference: str) -> None:
    """A hint makes a known payment due to be asked about: every 2 s at most while it is open, then once a minute."""
    payment = db.session.scalars(
        select(Payment).where(Payment.id == reference, Payment.provider == provider)
    ).one_or_none()
    if payment is None:
        return
    at = clock.now()
    pause = timedelta(seconds=2) if payment.state in states.STILL_OPEN else timedelta(minutes=1)
    soon = at if payment.asked_at is None else max(at, payment.asked_at + pause)
    db.session.execute(
        update(Payment)
        .where(Payment.id == payment.id, func.coalesce(Payment.next_check_at, soon + pause) > soon)
        .values(next_check_at=soon)
    )


def _read_again(inbox_id: int) -> list[Notice]:
    """The notices in a stored body. Its signature was checked when it came; secrets may have changed since."""
    row = db.session.get_one(InboxRow, inbox_id)
    provider = registry.get(row.provider)
    if provider is None:
        raise Malformed(f"no provider {row.provider}")
    notices = provider.read_stored(row.headers, row.body)
    db.session.rollback()
    return notices


def _try_later(inbox_id: int, error: str) -> None:
    try:
        with writing():
            row = db.session.get_one(InboxRow, inbox_id)
            row.tries, row.error = row.tries + 1, error[:500]
            row.due_at = clock.now() + _pause(row.tries)
    except SQLAlchemyError:
        db.session.rollback()


def _pause(tries: int) -> timedelta:
    return timedelta(seconds=BACKOFF[min(tries, len(BACKOFF) - 1)])


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: headers[name][:500] for name in _KEPT_HEADERS if name in headers}


def _refuse(
    provider: PaymentProvider, verdict: str, reason: str, headers: Mapping[str, str], raw: bytes
) -> tuple[int, str]:
    log.warning("inbox.refused", provider=provider.NAME, verdict=verdict, reason=reason[:200])
    metrics.NOTICES.labels(provider.NAME, verdict).inc()
    try:
        with writing():
            notice = RefusedNotice(
                provider=provider.NAME,
                verdict=verdict,
                reason=reason[:500],
                headers=_kept(headers),
                body=raw[:4096],
                received_at=clock.now(),
            )
            db.session.add(notice)
            db.session.flush()
            db.session.execute(
                delete(RefusedNotice).where(
                    RefusedNotice.provider == provider.NAME, RefusedNotice.id <= notice.id - REFUSED_KEPT
                )
            )
    except SQLAlchemyError:
        db.session.rollback()
    return provider.ack(verdict)
