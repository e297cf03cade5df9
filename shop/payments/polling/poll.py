"""Poll the acquirer and close payments there: recovers lost webhooks.

A row with `next_check_at` is authoritative. A poll first claims the payment by a conditional UPDATE, so that two
clocks, a worker and a customer who presses "Check now" never query twice at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Update, and_, bindparam, case, or_, select, update
from sqlalchemy.exc import IntegrityError

from shop.core import clock, logs
from shop.core.client_address import UNKNOWN
from shop.core.db import UtcDateTime, db, table, transactional
from shop.orders import events
from shop.orders.models import Order, OrderOrigin
from shop.payments.calls import circuit_breaker
from shop.payments.calls import request as requests
from shop.payments.calls.request import LoadedPayment
from shop.payments.polling import fairness
from shop.payments.polling.fairness import DuePayment
from shop.payments.providers import registry
from shop.payments.providers.interface import Facts, Found, NotFound, PaymentProvider, Unavailable
from shop.payments.providers.types import EndReason, Outcome, PaymentState
from shop.payments.records import poll_schedule, states
from shop.payments.records.models import Payment
from shop.payments.records.types import Source
from shop.payments.updates.apply import apply
from shop.payments.updates.snapshot import PaymentUpdate, QueryAnswer

log = logs.get()
LEASE = timedelta(seconds=30)
MIN_INTERVAL = timedelta(seconds=2)  # between two polls of a payment that customers cause
WATCHED = timedelta(seconds=45)
"""Time for which an order counts as watched after a request for its page: an open page sends one at least every 20
seconds.
"""
AHEAD = 2.0
"""Seconds of a provider's rate limit for which the clock enqueues polls in one pass. It passes every second: workers
never run out of work, and an urgent poll waits for no longer than this.
"""
MAX_CANDIDATES = 2000
CREATED_IS_UNKNOWN = timedelta(seconds=10)
_PAYMENTS = table(Payment)
_DUE = (
    select(_PAYMENTS.c.id, _PAYMENTS.c.next_check_at)
    .where(_PAYMENTS.c.id.in_(bindparam("payments", expanding=True)), _PAYMENTS.c.next_check_at <= bindparam("at"))
    .order_by(_PAYMENTS.c.id)
    .with_for_update()
)
_CLAIM = (
    update(_PAYMENTS)
    .where(_PAYMENTS.c.id.in_(bindparam("payments", expanding=True)), _PAYMENTS.c.next_check_at <= bindparam("at"))
    .values(next_check_at=bindparam("until"), checks=_PAYMENTS.c.checks + 1, polled_at=bindparam("at"))
    .returning(_PAYMENTS.c.id)
)
_POLLED_STATES = (PaymentState.OPEN, PaymentState.AUTHORIZED, PaymentState.UNKNOWN)


def _update_due(*, returned: bool) -> Update:
    """The UPDATE of `make_due`: a view changes only rows that it finds unwatched or not due."""
    pay = _PAYMENTS.c
    at, soon, until = (bindparam(name, type_=UtcDateTime()) for name in ("at", "soon", "until"))
    unwatched = or_(pay.watched_until.is_(None), pay.watched_until < bindparam("long_enough"))
    polled_state = pay.state.in_(_POLLED_STATES)
    rested = or_(pay.polled_at.is_(None), pay.polled_at <= bindparam("rested"))
    now = and_(polled_state, rested, pay.next_check_at > at)
    as_soon_as_allowed = and_(polled_state, pay.next_check_at > soon)
    of_order = (pay.order_id == bindparam("order"), pay.state.in_(sorted(states.STILL_OPEN)))
    changed = update(_PAYMENTS).values(
        watched_until=case((unwatched, until), else_=pay.watched_until),
        next_check_at=case((now, at), (as_soon_as_allowed, soon), else_=pay.next_check_at),
    )
    if returned:
        return changed.where(*of_order).values(returned_at=at)
    return changed.where(*of_order, or_(unwatched, now, as_soon_as_allowed))


_VIEWED, _RETURNED = _update_due(returned=False), _update_due(returned=True)


@dataclass(frozen=True)
class Claimed:
    """A claimed payment, which the caller has to poll. It has been due since `due_at`."""

    id: str
    due_at: datetime


def due_payments() -> list[str]:
    """Ids of payments to poll now, most urgent first: as many as each provider allows until the pass after the next
    one. Payments of a paused provider are left out.
    """
    at, resting = clock.now(), set(circuit_breaker.paused())
    most = {
        name: max(1, round(circuit_breaker.query_rate(provider) * AHEAD))
        for name, provider in registry.all_providers().items()
        if name not in resting
    }
    found = fairness.choose(_due(at, sorted(most), sorted(resting)), most)
    db.session.rollback()
    return found


def _due(at: datetime, providers: list[str], resting: list[str]) -> list[DuePayment]:
    """Payments that are due, the longest due ones and those whose order's page is open, of each provider at least
    MAX_CANDIDATES if there are so many.
    """
    longest = _select_due(Payment.next_check_at <= at, Payment.provider.not_in(resting))
    if len(longest) < MAX_CANDIDATES:
        return [_due_payment(row, at) for row in longest]
    found: dict[str, Any] = {}
    for name in providers:
        here = (Payment.next_check_at <= at, Payment.provider == name)
        found |= {row.id: row for row in (*_select_due(*here), *_select_due(*here, Payment.watched_until > at))}
    return [_due_payment(row, at) for row in found.values()]


def _select_due(*which: ColumnElement[bool]) -> Sequence[Any]:
    columns = (Payment.id, Payment.order_id, Payment.provider, Payment.next_check_at, Payment.watched_until)
    query = select(*columns, OrderOrigin.network).outerjoin(OrderOrigin, OrderOrigin.order_id == Payment.order_id)
    return db.session.execute(query.where(*which).order_by(Payment.next_check_at).limit(MAX_CANDIDATES)).all()


def _due_payment(row: Any, at: datetime) -> DuePayment:
    watched = row.watched_until is not None and row.watched_until > at
    network = "" if row.network in (None, "", UNKNOWN) else row.network
    return DuePayment(row.id, row.order_id, row.provider, row.next_check_at, watched, network)


@transactional
def make_due(order_id: int, source: Source) -> None:
    """Make the order's open payments due at once, each at most every 2 s, and count its page as open.

    `source` is return or view; a return is noted on the open payment, and open pages of the order show it. One UPDATE,
    which changes no row of a view that changes nothing.
    """
    at = clock.now()
    db.session.execute(
        _RETURNED if source == Source.RETURN else _VIEWED,
        {
            "order": order_id,
            "at": at,
            "rested": at - MIN_INTERVAL,
            "soon": at + MIN_INTERVAL,
            "long_enough": at + WATCHED / 2,
            "until": at + WATCHED,
        },
    )
    if source == Source.RETURN:
        events.wake_unnumbered(order_id)


def view_changes(payment: Payment, at: datetime) -> bool:
    """True if `make_due` for a view at `at` changes this payment."""
    if not payment.is_open:
        return False
    if payment.watched_until is None or payment.watched_until < at + WATCHED / 2:
        return True
    next_check = payment.next_check_at
    if payment.state not in _POLLED_STATES or next_check is None:
        return False
    rested = payment.polled_at is None or payment.polled_at <= at - MIN_INTERVAL
    return next_check > (at if rested else at + MIN_INTERVAL)


def check_now(order_id: int, source: Source) -> None:
    """Poll the order's payments at once, each at most every 2 seconds. Failures of the acquirer are not raised."""
    for payment_id in _due_now(order_id, source):
        check(payment_id, source)


@transactional
def _due_now(order_id: int, source: Source) -> list[str]:
    """Ids of the order's payments that are due after `make_due`."""
    make_due(order_id, source)
    due = select(Payment.id).where(Payment.order_id == order_id, Payment.next_check_at <= clock.now())
    return list(db.session.scalars(due))


def claim(payment_ids: Sequence[str]) -> list[Claimed]:
    """Claim those of the payments that are due, for LEASE, and return them for the caller to poll."""
    claimed = _claim_due(payment_ids, clock.now())
    return [Claimed(payment_id, claimed[payment_id]) for payment_id in payment_ids if payment_id in claimed]


@transactional
def _claim_due(payment_ids: Sequence[str], at: datetime) -> dict[str, datetime]:
    since = {row.id: row.next_check_at for row in db.session.execute(_DUE, {"payments": payment_ids, "at": at})}
    values = {"payments": list(since), "at": at, "until": at + LEASE}
    return {payment_id: since[payment_id] for payment_id in db.session.scalars(_CLAIM, values)}


def check(payment_id: str, source: Source = Source.POLL) -> str | None:
    """Poll one due payment and apply the response. None when it is not due or another process has claimed it."""
    claimed = claim([payment_id])
    return query(payment_id, source, claimed[0].due_at) if claimed else None


def query_claimed(claimed: Claimed) -> str | None:
    """Poll a claimed payment and apply the response."""
    return query(claimed.id, Source.POLL, claimed.due_at)


def close(payment_id: str, *, because: Source = Source.CLOSING) -> str:
    """Close a payment at its acquirer and query it. Returns its state; an open state means that the result is not known
    yet.
    """
    request_close(payment_id)
    check(payment_id, because)
    state = db.session.scalar(select(Payment.state).where(Payment.id == payment_id))
    db.session.rollback()
    return state or PaymentState.FAILED


@transactional
def request_close(payment_id: str) -> None:
    """Make a payment due to be closed, if it is open; again at most every 2 s."""
    at = clock.now()
    rested = or_(
        Payment.cancel_requested_at.is_(None), Payment.polled_at.is_(None), Payment.polled_at <= at - MIN_INTERVAL
    )
    db.session.execute(
        update(Payment)
        .where(Payment.id == payment_id, Payment.state.in_(states.STILL_OPEN), rested)
        .values(cancel_requested_at=db.func.coalesce(Payment.cancel_requested_at, at), next_check_at=at)
    )


def query(payment_id: str, source: Source, due_at: datetime | None = None) -> str | None:
    """Query a payment, after closing it at the acquirer if that was requested, and apply the response.

    If the rate limit is exhausted, the payment keeps its due time `due_at`.
    """
    loaded = requests.load(payment_id)
    provider = registry.get(loaded.provider) if loaded else None
    if loaded is None or provider is None:
        return None
    if loaded.closing and loaded.state != PaymentState.CREATED:
        circuit_breaker.call(provider, "cancel", lambda: provider.cancel(loaded.request))
    answer = circuit_breaker.call(provider, "query", lambda: provider.query(loaded.request))
    return _apply_answer(loaded, provider, answer, source, due_at)


def _apply_answer(
    loaded: LoadedPayment,
    provider: PaymentProvider,
    answer: Found | NotFound | Unavailable,
    source: Source,
    due_at: datetime | None = None,
) -> str | None:
    payment_id = loaded.request.id
    if isinstance(answer, circuit_breaker.RateUsedUp):
        _not_queried(payment_id, answer, due_at)
        return None
    if isinstance(answer, Unavailable):
        _unavailable(payment_id, answer)
        return None
    if isinstance(answer, NotFound):
        facts = _not_found(payment_id, provider)
        if facts is None:
            return None
        return apply(PaymentUpdate(payment_id, facts, source)).outcome
    update = PaymentUpdate(payment_id, answer.facts, source, answer=QueryAnswer(loaded.state))
    try:
        outcome = _apply_twice(update)
    except IntegrityError as error:
        db.session.rollback()
        log.error("payment.not_applied", payment=payment_id, error=str(error.orig)[:200])
        _unavailable(payment_id, Unavailable("not applied"))
        return None
    if outcome == Outcome.FOREIGN:
        log.error("payment.contradiction", payment=payment_id)
        _unavailable(payment_id, Unavailable("contradiction"), only_open=True)
    return outcome


def _apply_twice(update: PaymentUpdate) -> str:
    """Apply an update; again when its capture was booked meanwhile, for this payment or another one."""
    try:
        return apply(update).outcome
    except IntegrityError:
        db.session.rollback()
        return apply(update).outcome


@transactional
def _not_queried(payment_id: str, answer: circuit_breaker.RateUsedUp, due_at: datetime | None) -> None:
    """Release a payment whose query was not sent. Its due time is kept: a new one would put it behind all other due
    payments.
    """
    again = due_at or clock.now() + timedelta(seconds=answer.retry_after or 1)
    db.session.execute(update(Payment).where(Payment.id == payment_id).values(next_check_at=again))


@transactional
def _unavailable(payment_id: str, answer: Unavailable, *, only_open: bool = False) -> None:
    at = clock.now()
    payment = _locked(payment_id)
    if only_open and not payment.is_open:
        return
    payment.unavailable_since = payment.unavailable_since or at
    wait = poll_schedule.pick(poll_schedule.WHILE_UNAVAILABLE, payment.checks)
    payment.next_check_at = at + max(wait, timedelta(seconds=answer.retry_after or 0))


@transactional
def _not_found(payment_id: str, provider: PaymentProvider) -> Facts | None:
    """Update for a payment that the acquirer does not have; None within its consistency window."""
    at, window = clock.now(), provider.capabilities.consistency_window
    payment = _locked(payment_id)
    final = _final_not_found(payment, at, window)
    if final is None:
        payment.next_check_at = poll_schedule.after_report(payment, at, window)
        payment.unavailable_since, payment.answered_at = None, payment.polled_at
    return final


def _locked(payment_id: str) -> Payment:
    """The payment as it is now: a webhook may have changed it during the query."""
    return db.session.get_one(Payment, payment_id, populate_existing=True, with_for_update=True)


def _final_not_found(payment: Payment, at: datetime, window: timedelta) -> Facts | None:
    if payment.state in (PaymentState.CREATED, PaymentState.UNKNOWN) and at >= payment.created_at + max(
        window, CREATED_IS_UNKNOWN
    ):
        return Facts(state=PaymentState.FAILED, end_reason=EndReason.NEVER_ARRIVED)
    if payment.state != PaymentState.OPEN:
        return None
    if payment.expires_at and at >= payment.expires_at + window:
        return Facts(state=PaymentState.EXPIRED, end_reason=EndReason.TIME)
    if payment.expires_at is None and at >= db.session.get_one(Order, payment.order_id).pay_by + window:
        # only a webhook reported it as open, never a query
        return Facts(state=PaymentState.FAILED, end_reason=EndReason.NEVER_ARRIVED)
    return None
