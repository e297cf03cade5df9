"""The webhook inbox: what verified is stored before it is acted upon, and kept at until it has been applied."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from flask import Flask, current_app
from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError, TimeoutError

from shop.core import clock, logs, metrics
from shop.core.db import changed, db, insert, retried, rows, rows_of_each, table, writing
from shop.core.later import change_last
from shop.core.together import Together
from shop.payments import disputes, refunds, registry, states
from shop.payments.lock import Around, plain
from shop.payments.models import InboxRow, Payment, RefusedNotice
from shop.payments.provider import BadSignature, Malformed, Notice, PaymentProvider
from shop.payments.settle import UnknownPayment, settle

log = logs.get()
UNPROVEN = ("replayable", "unsigned")
HINTS_KEPT = 10_000  # rows of the inbox, counted back from the newest
REFUSED_KEPT = 1000  # for each provider
BACKOFF = (2, 5, 10, 30, 60, 300, 1800)  # seconds until what could not be applied is tried again
ORPHAN_GIVEN_UP = timedelta(days=1)
AT_ONCE, LANES, LANE_PATIENCE = 16, 2, 0.25  # webhooks in a unit, units at once, seconds
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


@dataclass(frozen=True, slots=True)
class _Row:
    """What of a stored webhook decides what it does."""

    id: int
    provider: str
    trust: str
    received_at: datetime
    tries: int = 0


@dataclass(frozen=True, eq=False)
class Arrival:
    """A webhook that verified, and the ids of its request for the log."""

    provider: PaymentProvider
    notices: list[Notice]
    headers: Mapping[str, str]
    raw: bytes
    ids: Mapping[str, Any] = field(default_factory=logs.ids)

    @property
    def notice(self) -> Notice:
        """The first one; all of them have its key and its trust."""
        return self.notices[0]

    @property
    def is_plain(self) -> bool:
        """Whether it says, proven, that one payment captured money once, and nothing else."""
        one, facts = self.notice, self.notice.facts
        proven = one.kind == "payment" and one.trust == "signed" and len(self.notices) == 1
        more = one.refund or one.dispute or facts.decline or facts.show
        return proven and not more and facts.state == states.CAPTURED and len(facts.captures) == 1

    def pays(self, around: Around) -> bool:
        """Whether the money is what its payment and its order want."""
        order, [payment], _ = around
        [capture] = self.notice.facts.captures
        return payment.provider == self.provider.NAME and capture.money == payment.money == order.to_pay


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
    arrival = Arrival(provider, notices, headers, raw)
    try:
        outcome = _at_once_or_alone(arrival)
    except (OperationalError, InterfaceError, TimeoutError) as error:  # the database is away, locked or full
        outcome = _not_stored(provider, error)
    except Exception as error:  # noqa: BLE001 - what cannot be applied now is stored all the same
        outcome = _store_for_later(arrival, f"{type(error).__name__}: {error}")
    if outcome == "key_reused":
        return _refuse(provider, "key_reused", "another body under an event id that we have", headers, raw)
    return provider.ack(outcome)


def init_app(app: Flask) -> None:
    """Webhooks that arrive at this process at once go through the database together."""
    app.extensions["settled_arrivals"] = Together(take_together, lanes=LANES, most=AT_ONCE, patience=LANE_PATIENCE)


def _at_once_or_alone(arrival: Arrival) -> str:
    def alone() -> str:
        return retried(lambda: _take(arrival))

    if not arrival.is_plain:
        return alone()
    together: Together[Arrival, str] = current_app.extensions["settled_arrivals"]
    return together.do(arrival, alone, about=arrival.notice.reference)


def take_together(arrivals: Sequence[Arrival]) -> list[str | None]:
    """Store and apply several plain webhooks about different payments in one unit, as far as they hold no surprise.
    Returns what each one is, None for one that has to be taken alone.
    """
    at, outcomes, left = clock.now(), dict[Arrival, str](), list[int]()
    in_order = sorted(
        arrivals, key=lambda one: (one.provider.NAME, one.notice.dedupe_key)
    )  # so nobody waits in a circle
    with writing():
        stored = rows_of_each(_unless_known(db.engine.dialect.name), [_row(one, at) for one in in_order])
        found = plain([one.notice.reference for one in arrivals])
        for arrival, new in zip(in_order, stored, strict=True):
            around = found.get(arrival.notice.reference)
            if new and around and arrival.pays(around):
                row = _Row(int(new[0][0]), arrival.provider.NAME, arrival.notice.trust, at)
                with logs.bound(arrival.ids):
                    outcomes[arrival] = _apply(row, arrival.notices, at, around)
            elif new:
                left.append(int(new[0][0]))
        if left:
            db.session.execute(delete(InboxRow).where(InboxRow.id.in_(left)))
    metrics.AT_ONCE.inc(len(outcomes))
    for arrival, outcome in outcomes.items():
        metrics.NOTICES.labels(arrival.provider.NAME, outcome).inc()
    return [outcomes.get(arrival) for arrival in arrivals]


def _take(arrival: Arrival) -> str:
    """Store a webhook and apply it, in one unit: whoever sees the row sees what it did. Returns what it is."""
    at, name = clock.now(), arrival.provider.NAME
    with writing():
        inbox_id, outcome = _store(arrival, at)
        if inbox_id is not None:
            outcome = _apply(_Row(inbox_id, name, arrival.notice.trust, at), arrival.notices, at)
    if inbox_id is not None:
        metrics.NOTICES.labels(name, outcome).inc()
    return outcome


def _store_for_later(arrival: Arrival, error: str) -> str:
    """Store a webhook that could not be applied: the sweep tries again."""

    def unit() -> str:
        with writing():
            inbox_id, outcome = _store(arrival, clock.now(), tries=1, error=error[:500])
        if inbox_id is not None:
            log.error("inbox.not_applied", inbox=inbox_id, error=error)
        return outcome

    db.session.rollback()
    try:
        return retried(unit)
    except SQLAlchemyError as failure:
        return _not_stored(arrival.provider, failure)


def _not_stored(provider: PaymentProvider, error: Exception) -> str:
    db.session.rollback()
    log.error("inbox.not_stored", provider=provider.NAME, error=type(error).__name__)
    return "unavailable"


@cache
def _unless_known(_dialect: str) -> Any:
    """Inserts a row and returns its id; nothing for one whose event we have."""
    return insert(InboxRow, plain=True).on_conflict_do_nothing().returning(_INBOX.c.id)


def _store(arrival: Arrival, at: datetime, tries: int = 0, error: str | None = None) -> tuple[int | None, str]:
    """The id of the new row, or None for a repetition, and what it is. Part of the caller's unit."""
    row = _row(arrival, at, tries, error)
    new = rows(_unless_known(db.engine.dialect.name), **row)
    if new:
        inbox_id = int(new[0][0])
        if arrival.notice.trust in UNPROVEN:
            _forget_old_hints(arrival.provider.NAME, inbox_id)
        return inbox_id, "applied"
    ours = (InboxRow.provider == row["provider"], InboxRow.dedupe_key == row["dedupe_key"])
    same = changed(
        update(InboxRow).where(*ours, InboxRow.body_hash == row["body_hash"]).values(repeats=InboxRow.repeats + 1)
    )
    return None, "duplicate" if same else "key_reused"


def _row(arrival: Arrival, at: datetime, tries: int = 0, error: str | None = None) -> dict[str, Any]:
    return {
        "provider": arrival.provider.NAME,
        "dedupe_key": arrival.notice.dedupe_key,
        "body_hash": hashlib.sha256(arrival.raw).hexdigest(),
        "body": arrival.raw,
        "headers": _kept(arrival.headers),
        "trust": arrival.notice.trust,
        "received_at": at,
        "due_at": at + _pause(tries),
        "tries": tries,
        "error": error,
    }


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


def apply(inbox_id: int) -> str | None:
    """Apply a stored webhook and return its verdict; None when that failed and the sweep will try again."""
    try:
        notices = _read_again(inbox_id)
        verdict = retried(lambda: _apply_stored(inbox_id, notices))
    except Exception as error:  # noqa: BLE001 - one poisoned row must never stop the others
        db.session.rollback()
        log.error("inbox.not_applied", inbox=inbox_id, error=f"{type(error).__name__}: {error}")
        _try_later(inbox_id, f"{type(error).__name__}: {error}")
        return None
    return verdict


def _apply_stored(inbox_id: int, notices: list[Notice]) -> str:
    with writing():
        found = db.session.execute(_TO_APPLY, {"row": inbox_id}).one()
        if found.done_at is not None:
            return found.verdict or "duplicate"
        row = _Row(found.id, found.provider, found.trust, found.received_at, found.tries)
        verdict = _apply(row, notices, clock.now())
    metrics.NOTICES.labels(row.provider, verdict).inc()
    return verdict


def _apply(row: _Row, notices: list[Notice], at: datetime, found: Around | None = None) -> str:
    """Do what the notices of a row say and note it on the row. Part of the caller's unit, which has the row locked, and
    perhaps has `found` what is around their payment.
    """
    verdict = max((_hear(row, notice, found) for notice in notices), key=_WEIGHT.index)
    due_at = _again_at(row, verdict, at)
    change_last(_APPLIED, row=row.id, heard=verdict, due=due_at, done=None if due_at else at)
    return verdict


def _again_at(row: _Row, verdict: str, at: datetime) -> datetime | None:
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


def _hear(row: _Row, notice: Notice, found: Around | None) -> str:
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
            return settle(
                notice.reference, notice.facts, "webhook", provider=row.provider, inbox_id=row.id, found=found
            )
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
