"""Apply payment updates: load the snapshot, decide, write. The only module that changes the allocation of captures and
the payment of orders.

Webhooks, queries, answers to initiations, settlement files and staff all bring their updates here. Each is applied in
one transaction; no network and no Redis in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import select

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.core import audit, clock, ids
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import db, in_transaction, transactional
from shop.core.errors import BadInput, Refusal
from shop.core.money import Money
from shop.orders.models import Order
from shop.orders.states import OrderState
from shop.payments.order_money import load as order_money
from shop.payments.order_money.snapshot import CaptureRow
from shop.payments.providers import registry
from shop.payments.providers.types import Outcome
from shop.payments.records.models import Capture, Payment
from shop.payments.records.types import ShortfallState, Source
from shop.payments.refunds import outside, own_or_outside, second_person
from shop.payments.updates import decide, load, shortfalls, write
from shop.payments.updates.decision import Decision
from shop.payments.updates.listed_refunds import with_listed_refunds
from shop.payments.updates.snapshot import PaymentUpdate, Rules, Snapshot

_REFUSED = {
    "not_to_accept": "This payment cannot be accepted for the order. It can only be refunded.",
    "nothing_to_hold": "The items or the discount are no longer available. The payment can only be refunded.",
    "ended": "This order can no longer be marked as paid.",
}


class UnknownPayment(KeyError):
    """The payment does not exist, or belongs to another provider."""


def apply(update: PaymentUpdate, *, webhook_event_id: int | None = None, dry_run: bool = False) -> Decision:
    """Apply an update and return its outcome with all changes: applied, duplicate, stale, illegal, mismatch, hint or
    foreign.

    Joins the caller's transaction if there is one. `webhook_event_id` is the row of the webhook event that brought it.
    A dry run reads without locks in a read-only transaction, changes nothing and makes no calls. Raises UnknownPayment.
    """
    if dry_run:
        return _dry_run(update)
    return _apply(update, webhook_event_id, commit=not in_transaction())


def apply_event(update: PaymentUpdate, event: write.NewEvent) -> Outcome | None:
    """Apply the update of a webhook event, store the event with its outcome, commit, and return the outcome; None for
    an event that is stored already.

    Raises UnknownPayment, and IntegrityError when the event or its capture was stored by another transaction meanwhile.
    Updates that list refunds are not for this function: see `apply`.
    """
    return _apply_event(update, event)


@transactional
def _apply(update: PaymentUpdate, webhook_event_id: int | None, *, commit: bool) -> Decision:
    now = clock.now()
    seen, decision = _decide(update, now, lock=True)
    if decision.listed is None:
        write.write_update(seen, decision, update, now, webhook_event_id=webhook_event_id, commit=commit)
    else:
        outside.store_ids(decision.listed.before, seen.payment(update.payment_id).provider, update.facts.refunds)
        outside.log_not_booked(decision.listed, seen.payment(update.payment_id).provider, update.facts.refunds)
        write.write_with_refunds(seen, decision, update, now, webhook_event_id=webhook_event_id)
    return decision


def _decide(update: PaymentUpdate, now: datetime, *, lock: bool) -> tuple[Snapshot, Decision]:
    """Load the snapshot for an update and decide it, with the refunds that it lists."""
    seen = _seen(update, load.around_payment(update, now, lock=lock))
    decision = decide.decide(seen, update, now, _rules(seen, update))
    if not update.facts.refunds or decision.outcome == Outcome.FOREIGN:
        return seen, decision
    provider = seen.payment(update.payment_id).provider
    names = [own_or_outside.name_of(provider, fact.id) for fact in update.facts.refunds]
    money = order_money.snapshot(seen.order.id, reported=names, lock=lock)
    context = replace(order_money.context(Actor.of_source(update.source)), now=now)
    return seen, with_listed_refunds(decision, update, money, context)


@transactional
def _apply_event(update: PaymentUpdate, event: write.NewEvent) -> Outcome | None:
    now = clock.now()
    seen = _seen(update, load.around_payment(update, now, event=(event.provider, event.dedupe_key)))
    if seen.event_known:
        return None
    decision = decide.decide(seen, update, now, _rules(seen, update))
    write.write_update(seen, decision, update, now, event=event, commit=True)
    return decision.outcome


def _dry_run(update: PaymentUpdate) -> Decision:
    if in_transaction():
        raise RuntimeError("a dry run ends the transaction that it is in")
    db.session.rollback()
    try:
        if db.engine.dialect.name == "postgresql":
            read_only = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            db.session.connection(execution_options=read_only)
        return _decide(update, clock.now(), lock=False)[1]
    finally:
        db.session.rollback()


def _seen(update: PaymentUpdate, seen: Snapshot | None) -> Snapshot:
    if seen is None:
        raise UnknownPayment(update.payment_id)
    return seen


def _rules(seen: Snapshot, update: PaymentUpdate) -> Rules:
    provider = registry.get(seen.payment(update.payment_id).provider)
    config = current_app.config
    return Rules(
        provider.capabilities.consistency_window if provider else timedelta(0),
        timedelta(seconds=config["PAY_WITHIN"]),
        timedelta(seconds=config["PAY_WITHIN_STORE"]),
        timedelta(seconds=config["PAY_WITHIN_STORE_LARGE"]),
        config["STORE_CODE_SHARE"],
        ids.refund_id,
    )


# --- payment without an acquirer -------------------------------------------------------------------------------------


@transactional
def nothing_left_to_pay(order_id: int) -> bool:
    """True if store credit or a discount covers the order's total; it then becomes PAID, unless it has ended or is
    being cancelled. Safe to repeat.
    """
    now = clock.now()
    seen = load.of_order(order_id)
    decision = decide.decide_nothing_left(seen, now)
    if decision is not None:
        write.write(seen, decision, now)
    return not seen.order.to_pay.amount


@transactional
def accept(capture_id: int, *, by: Actor, note: str = "", expected_waiting: int | None = None) -> str | None:
    """Accept another amount than the price for the whole of an order: it becomes PAID, the difference is booked.

    An amount that is more than REFUND_NEEDS_TWO less than the price awaits a second person: the id of the request is
    returned, and nothing is booked.

    Raises Refusal: `not_to_accept` when this money cannot be accepted (another currency can only be refunded, and
    disputed money may be lost), `nothing_to_hold` when stock or store credit that the order had released is gone; then
    it can only be refunded. `amounts_changed` when `expected_waiting`, the sum in minor units of all captures that wait
    for such a decision, which the actor has seen, is no longer true. `requested_before` while it waits.
    """
    rights.demand(by, Permission.PAYMENT_ACCEPT_AMOUNT)
    found = select(Payment.order_id).join(Capture, Capture.payment_id == Payment.id).where(Capture.id == capture_id)
    order_id = db.session.scalar(found)
    if order_id is None:
        raise BadInput("unknown_capture", "There is no such payment.")
    acceptance = _acceptance(order_id, capture_id, by, note, expected_waiting)
    if not second_person.shortfall_needs_two(acceptance.shortfall, current_app.config["REFUND_NEEDS_TWO"]):
        acceptance.write(by, note)
        return None
    short, waiting = acceptance.shortfall, acceptance.waiting
    request_id = shortfalls.add(order_id, capture_id, short, waiting, by=by, reason=note)
    after = {"request": request_id, "capture": capture_id, "shortfall": short}
    audit.record(by, Act.SHORTFALL_REQUESTED, acceptance.subject, after=after, reason=note)
    return request_id


@transactional
def approve_shortfall(request_id: str, *, by: Actor) -> None:
    """Accept a requested shortfall as the second person: the order becomes PAID.

    Raises Refusal: `not_to_decide` for the requester or when it is decided, Lapsed when the requester may not accept
    amounts any more, `amounts_changed` when other money of the order waits than at the request, and what `accept`
    raises; the request then stays undecided.
    """
    rights.demand(by, Permission.PAYMENT_ACCEPT_AMOUNT)
    request = shortfalls.undecided(request_id)
    acceptance = _acceptance(request.order_id, request.capture_id, by, request.reason, request.waiting_amount)
    shortfalls.decide(request, ShortfallState.APPROVED, by)
    rights.demand_of_requester(request.requested_by, Permission.PAYMENT_ACCEPT_AMOUNT)
    acceptance.write(by, request.reason)


@transactional
def decline_shortfall(request_id: str, *, by: Actor, reason: str = "") -> None:
    """Decline a requested shortfall; its requester may do so too. The money waits for another decision, such as a
    refund. Raises Refusal `not_to_decide` when it is decided.
    """
    rights.demand(by, Permission.PAYMENT_ACCEPT_AMOUNT)
    request = shortfalls.undecided(request_id)
    shortfalls.decide(request, ShortfallState.DECLINED, by)
    number = db.session.scalars(select(Order.number).where(Order.id == request.order_id)).one()
    before = {"request": request_id, "capture": request.capture_id, "shortfall": request.money}
    audit.record(by, Act.SHORTFALL_DECLINED, Subject(SubjectKind.ORDER, number), before=before, reason=reason)


@dataclass(frozen=True)
class _Acceptance:
    """A decided acceptance that is not written yet. `shortfall` is what is missing to the price, `waiting` the sum of
    all captures that wait for a decision.
    """

    seen: Snapshot
    decision: Decision
    captured: CaptureRow
    shortfall: Money
    waiting: int
    now: datetime

    @property
    def subject(self) -> Subject:
        return Subject(SubjectKind.ORDER, self.seen.order.number)

    def write(self, by: Actor, note: str) -> None:
        write.write(self.seen, self.decision, self.now, source=Source.STAFF)
        after = {"state": OrderState.PAID, "capture": self.captured.id, "money": self.captured.money}
        before = {"state": self.seen.order.state}
        audit.record(by, Act.AMOUNT_ACCEPTED, self.subject, before=before, after=after, reason=note)


def _acceptance(order_id: int, capture_id: int, by: Actor, note: str, expected_waiting: int | None) -> _Acceptance:
    """Load the order under its locks, and decide. Raises Refusal as `accept` describes."""
    now = clock.now()
    seen, money = load.of_order(order_id), order_money.locked(order_id)
    waiting = sum(one.amount for one in money.captures if one.waits_for_decision)
    if expected_waiting not in (None, waiting):
        message = "The captured amounts have changed since you opened the page. Nothing was changed."
        raise Refusal("amounts_changed", message, waiting=waiting)
    try:
        decision = decide.decide_accept(seen, money, capture_id, by, note, now)
    except decide.NotAcceptable as refused:
        code = "not_to_accept" if refused.code == "ended" else refused.code
        raise Refusal(code, _REFUSED[refused.code]) from refused
    captured = money.capture(capture_id)
    shortfall = Money(seen.order.to_pay.amount - captured.amount, captured.currency)
    return _Acceptance(seen, decision, captured, shortfall, waiting, now)
