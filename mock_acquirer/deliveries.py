"""Webhook deliveries as rows: inserted in the transaction of their event, claimed by a conditional UPDATE, never lost.

This module uses the database alone; `courier` sends.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import current_app
from sqlalchemy import BigInteger, Select, delete, func, or_, select, type_coerce, update

from mock_acquirer import clock, dialect_interface, faults
from mock_acquirer.db import MICROSECOND, after_commit, db, insert_once, to_micros, unit
from mock_acquirer.models import Attempt, Delivery, DisabledEndpoint, Dispute, Event, Payment, Refund, Run, new_id
from mock_acquirer.times import parse_duration, wall_now

LEASE = timedelta(seconds=30)
HANDED = timedelta(seconds=3)
LONGEST_RETRY_AFTER = 36_000.0
FINAL_EVENTS = ("payment.captured", "payment.failed", "payment.voided", "payment.expired")
AFTERWARDS = ("refund.", "dispute.", "payment.refunded")


def tell(payment: Payment, kind: str, about: Refund | Dispute | None = None) -> Event | None:
    """Write the event and its deliveries, with the armed faults applied; they are handed over after the commit.

    `about` is the refund or dispute of the payment that the event is about.
    """
    dialect = dialect_interface.named(payment.dialect)
    for own in dialect.announced.get(kind, ()):
        tell(payment, own, about)
    now = clock.now(payment.run)
    event_id = new_id("evt")
    if about is None:
        rendered = dialect.event_body(payment, kind, event_id, now)
    else:
        rendered = dialect.event_about(payment, about, kind, event_id, now)
    if rendered is None:
        return None
    content_type, body = rendered
    event = Event(
        id=event_id,
        run=payment.run,
        payment_id=payment.id,
        type=kind,
        created_at=now,
        body=body,
        content_type=content_type,
    )
    db.session.add(event)
    db.session.flush()
    if payment.webhook_url:
        _promise(payment, event, now)
    return event


def _promise(payment: Payment, event: Event, now: datetime) -> None:
    script = faults.hook_made(payment, event.type)
    due = now + (parse_duration(script["delay"]) if "delay" in script else timedelta())
    hold = script.get("hold_until")
    if script.get("reverse") and event.type not in FINAL_EVENTS and not event.type.startswith(AFTERWARDS):
        hold = "reverse"
    disabled = db.session.get(DisabledEndpoint, (payment.run, payment.webhook_url)) is not None
    made = [
        Delivery(
            id=new_id("dlv"),
            run=payment.run,
            payment_id=payment.id,
            event_id=event.id,
            url=payment.webhook_url,
            state="disabled" if disabled else "held" if hold else "pending",
            due_at=due,
            hold_until=hold,
            parallel=bool(script.get("parallel")),
            inline=bool(script.get("before_response")) and due <= now,
        )
        for _ in range(script.get("duplicate", 1))
    ]
    db.session.add_all(made)
    db.session.flush()
    if event.type in FINAL_EVENTS:
        _release_reversed(payment, due)
    ready = [delivery for delivery in made if delivery.state == "pending" and due <= now]
    hand_over([delivery.id for delivery in ready if delivery.inline], inline=True)
    hand_over([delivery.id for delivery in ready if not delivery.inline])


def hand_over(ids: list[str], inline: bool = False) -> None:
    """After the commit, hand these to the courier, or (`inline`) have them sent before the response."""
    app: Any = current_app
    if ids:
        after_commit(lambda: app.extensions["acquirer.courier"](ids, inline))


def _release_reversed(payment: Payment, due: datetime) -> None:
    """Release the held deliveries after the last event, newest first."""
    held = select(Delivery).where(Delivery.payment_id == payment.id, Delivery.state == "held")
    mine = held.where(Delivery.hold_until == "reverse").order_by(Delivery.position.desc())
    for place, delivery in enumerate(db.session.scalars(mine).unique(), start=1):
        delivery.state, delivery.due_at = "pending", due + place * 1000 * MICROSECOND
    db.session.flush()


def _due(run: str | None) -> Select[Delivery]:
    """Pending, unclaimed and due on the clock of the run, in (due_at, position) order."""
    wall = wall_now()
    now_there = type_coerce(to_micros(wall), BigInteger) + Run.offset_us
    query = (
        select(Delivery)
        .join(Run, Run.name == Delivery.run)
        .where(
            Delivery.state == "pending",
            type_coerce(Delivery.due_at, BigInteger) <= now_there,
            or_(Delivery.wall_claimed_until.is_(None), Delivery.wall_claimed_until < wall),
        )
        .order_by(Delivery.due_at, Delivery.position)
    )
    if run is not None:
        return query.where(Delivery.run == run)
    return query.where(or_(Run.wall_draining_until.is_(None), Run.wall_draining_until < wall))


def due_ids(run: str | None = None, limit: int = 200) -> list[str]:
    """Ids of deliveries that are due now; without a run, those of all runs without a drain lease."""
    return [delivery.id for delivery in db.session.scalars(_due(run).limit(limit)).unique()]


def unhanded(limit: int = 200) -> tuple[list[str], list[str]]:
    """Due deliveries that are in no queue now: (never handed over, handed over and lost)."""
    wall = wall_now()
    not_queued = or_(Delivery.wall_handed_until.is_(None), Delivery.wall_handed_until < wall)
    rows = list(db.session.scalars(_due(None).where(not_queued).limit(limit)).unique())
    fresh = [row.id for row in rows if row.wall_handed_until is None]
    return fresh, [row.id for row in rows if row.wall_handed_until is not None]


@unit
def mark_handed(ids: list[str]) -> None:
    """Record that a queue has these; the loop checks them again after HANDED."""
    handed = update(Delivery).where(Delivery.id.in_(ids)).values(wall_handed_until=wall_now() + HANDED)
    db.session.execute(handed.execution_options(synchronize_session=False))


def in_flight(run: str) -> bool:
    """True while one of the run's deliveries is being sent."""
    claimed = select(Delivery.id).where(Delivery.run == run, Delivery.wall_claimed_until > wall_now())
    return db.session.scalar(claimed.limit(1)) is not None


def next_due(run: str) -> datetime | None:
    """The time when the run's next pending delivery is due."""
    return db.session.scalar(select(func.min(Delivery.due_at)).where(Delivery.run == run, Delivery.state == "pending"))


@unit
def claim(ids: Iterable[str], run: str | None = None) -> list[Delivery]:
    """Claim those of `ids` that are still due; a second caller gets none. In (due_at, position) order."""
    token = secrets.token_hex(8)
    wanted = [delivery.id for delivery in db.session.scalars(_due(run).where(Delivery.id.in_(list(ids)))).unique()]
    wall = wall_now()
    free = or_(Delivery.wall_claimed_until.is_(None), Delivery.wall_claimed_until < wall)
    db.session.execute(
        update(Delivery)
        .where(Delivery.id.in_(wanted), Delivery.state == "pending", free)
        .values(claim=token, wall_claimed_until=wall + LEASE)
        .execution_options(synchronize_session=False)
    )
    mine = select(Delivery).where(Delivery.claim == token).order_by(Delivery.due_at, Delivery.position)
    return list(db.session.scalars(mine.execution_options(populate_existing=True)).unique())


@dataclass(frozen=True)
class Answer:
    """Response of a webhook receiver; status None means no response.

    Outcomes: delivered, refused, no_answer, dropped (by a fault), not_allowed (target not on the allowlist).
    """

    outcome: str
    status: int | None
    headers: dict[str, str]
    text: str
    milliseconds: int
    retry_after: float = 0.0


@unit
def record(delivery: Delivery, sent: dict[str, Any], answer: Answer, faults_used: list[str]) -> None:
    """Write the attempt and the delivery's next state; if the claim was lost meanwhile, only the attempt is written."""
    now = clock.now(delivery.run)
    number = delivery.attempts_made + 1
    if db.session.scalar(select(Delivery.id).where(Delivery.id == delivery.id)) is None:
        return  # the run was reset in the meantime
    state, due = _after(delivery, answer, number, now)
    kept = update(Delivery).where(Delivery.id == delivery.id, Delivery.claim == delivery.claim)
    values = {"state": state, "due_at": due or delivery.due_at, "attempts_made": number, "faults": None}
    free = {"claim": None, "wall_claimed_until": None, "wall_handed_until": None}
    done = db.session.execute(kept.values(**values, **free).execution_options(synchronize_session=False))
    decided = getattr(done, "rowcount", 0) == 1
    db.session.add(
        Attempt(
            delivery_id=delivery.id,
            number=number,
            at=now,
            outcome=answer.outcome,
            status=answer.status,
            answer_headers=answer.headers,
            answer=answer.text,
            milliseconds=answer.milliseconds,
            next_due_at=due,
            faults_used=faults_used,
            **sent,
        )
    )
    if decided:
        _consequences(delivery, state, now)


def _after(delivery: Delivery, answer: Answer, number: int, now: datetime) -> tuple[str, datetime | None]:
    """(state, next due time) after attempt `number`."""
    if answer.outcome == "delivered":
        return "delivered", None
    if answer.status == 410:
        return "disabled", None
    payment = db.session.get_one(Payment, delivery.payment_id)
    wait = wait_before(payment, delivery, number)
    if wait is None:
        return "given_up", None
    return "pending", now + timedelta(seconds=max(wait, min(answer.retry_after, LONGEST_RETRY_AFTER)))


def wait_before(payment: Payment, delivery: Delivery, made: int) -> float | None:
    """Seconds to wait after `made` attempts, jitter included; None when there is no further attempt."""
    dialect = dialect_interface.named(payment.dialect)
    if made >= len(dialect.retries):
        return None
    digest = hmac.new(str(payment.number).encode(), f"{delivery.event.type}.{made}".encode(), hashlib.sha256).digest()
    share = int.from_bytes(digest[:8]) / 2**64
    return dialect.retries[made] * (1 + dialect.jitter * (2 * share - 1))


def _consequences(delivery: Delivery, state: str, now: datetime) -> None:
    here = (DisabledEndpoint.run == delivery.run, DisabledEndpoint.url == delivery.url)
    if state == "disabled":
        insert_once(DisabledEndpoint, run=delivery.run, url=delivery.url, at=now)
        same = update(Delivery).where(Delivery.run == delivery.run, Delivery.url == delivery.url)
        db.session.execute(same.where(Delivery.state.in_(("pending", "held"))).values(state="disabled"))
    elif state == "delivered":
        db.session.execute(delete(DisabledEndpoint).where(*here))
        _release_held(delivery, now)


def _release_held(delivery: Delivery, now: datetime) -> None:
    """Make deliveries of the same payment that waited for this one due now."""
    waiting = (
        Delivery.payment_id == delivery.payment_id,
        Delivery.state == "held",
        Delivery.hold_until == delivery.event.type,
    )
    freed = db.session.scalars(
        update(Delivery).where(*waiting).values(state="pending", due_at=now).returning(Delivery.id)
    )
    hand_over(list(freed))


@unit
def resend(delivery: Delivery, fault: dict[str, Any] | None = None) -> None:
    """Make the delivery due now, whatever its state; `fault` applies to this attempt only."""
    db.session.execute(
        update(Delivery)
        .where(Delivery.id == delivery.id)
        .values(
            state="pending",
            due_at=clock.now(delivery.run),
            hold_until=None,
            faults=fault or None,
            claim=None,
            wall_claimed_until=None,
            wall_handed_until=None,
        )
    )
    hand_over([delivery.id])


def find(run: str, delivery_id: str) -> Delivery | None:
    return db.session.scalar(select(Delivery).where(Delivery.run == run, Delivery.id == delivery_id))


def of(payment: Payment) -> list[Delivery]:
    """The payment's deliveries, oldest first."""
    mine = select(Delivery).where(Delivery.payment_id == payment.id).order_by(Delivery.position)
    return list(db.session.scalars(mine).unique())


def compact(document: dict[str, Any]) -> str:
    """Compact JSON for the wire."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
