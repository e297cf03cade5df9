"""Money back: asked for under a guard, sent (refund_sending.py) or sent by hand, heard of here however it is told.

The guard is one conditional UPDATE on what the capture still has: of two refunds of 60 % at once exactly one is taken.
Late and double money goes back by itself; what comes back to us after it was sent is written down as what it is.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import ScalarSelect, func, select, update

from shop.core import clock, ids, logs, outbox
from shop.core.db import changed, db, retried, writing
from shop.core.errors import BadInput, Refusal
from shop.core.later import after_commit
from shop.core.money import Money
from shop.ledger import store_credit
from shop.orders import events
from shop.orders import states as order_states
from shop.orders.models import Order
from shop.orders.move import move
from shop.payments import due as times
from shop.payments import refund_journals as journals
from shop.payments import refund_states as states
from shop.payments import review
from shop.payments.lock import order_with_payments
from shop.payments.models import TO_BANK, TO_PROVIDER, TO_STORE_CREDIT, Capture, Payment, Refund
from shop.payments.settlement_models import charged_back

log = logs.get()
WHILE_PENDING = (5, 15, 30, 60, 300)  # seconds between questions; the last one repeats
NOT_FOR_THE_ORDER = ("late", "second", "mismatch")
"""Standings of captures that pay nothing."""
WATCHED_AFTER_DONE = timedelta(days=1)
"""A refund that is done is asked about once more: some fail later, and not every acquirer tells."""
ITSELF = "settle"
"""Who asks for what goes back by itself."""


def request(
    capture_id: int,
    money: Money | None,
    *,
    reason: str,
    by: str,
    expected_refundable: int | None = None,
    to: str = TO_PROVIDER,
) -> Refund:
    """Ask for `money` of one capture, or None for all that is left of it, to go back, `to` where it came from or the
    buyer's store credit, at the next opportunity; or `to` the buyer's bank, where people send it themselves.

    Raises Refusal: `not_refundable` (409, details `refundable` in minor units) when the capture has less left (what a
    bank has taken back, or may keep, is not left) or `expected_refundable` is no longer true, `no_account` when there
    is nobody whose store credit it could be; BadInput for another currency or no amount. When one person would move
    more than REFUND_NEEDS_TWO of an order alone, it waits for a second person. One to a bank always does, who approves
    it when the money has been sent: that books it.
    """

    def unit() -> str:
        with writing():
            capture = db.session.get_one(Capture, capture_id, populate_existing=True)
            order, _ = order_with_payments(db.session.get_one(Payment, capture.payment_id).order_id)
            wanted = money or Money(_left(capture_id), capture.currency)
            if money is None and wanted.amount <= 0:
                raise _not_refundable(wanted)
            _check(wanted, capture.currency, order, to)
            taken = _take(capture_id, wanted, expected_refundable)
            db.session.refresh(capture)  # from here on nobody else changes it before this unit ends
            if not taken:
                raise _not_refundable(Money(_left(capture_id), capture.currency))
            standing = capture.standing or ""
            kind = standing if standing in NOT_FOR_THE_ORDER else "customer"
            return _write(order.id, capture, wanted, kind, by, reason, to, _needs_two(order.id, wanted, to)).id

    return db.session.get_one(Refund, retried(unit))


def request_credit(
    order_id: int, money: Money, *, reason: str, by: str, expected_refundable: int | None = None
) -> Refund:
    """Ask for `money` of the store credit that paid an order to go back to it. Raises as `request` does."""

    def unit() -> str:
        with writing():
            order, _ = order_with_payments(order_id)
            _check(money, order.currency, order, TO_STORE_CREDIT)
            if not store_credit.take_back(order_id, money, expected_refundable):
                raise _not_refundable(Money(store_credit.left_to_take_back(order_id), order.currency))
            needs_two = _needs_two(order_id, money, TO_STORE_CREDIT)
            return _write(order_id, None, money, "customer", by, reason, TO_STORE_CREDIT, needs_two).id

    return db.session.get_one(Refund, retried(unit))


def request_all(order_id: int, *, reason: str, by: str, to: str = TO_PROVIDER) -> list[Refund]:
    """Ask for everything that paid an order and has not gone back: how a paid order is cancelled.

    What store credit paid goes back to store credit. Raises Refusal `not_refundable` when nothing is left.
    """

    def unit() -> list[str]:
        with writing():
            order, _ = order_with_payments(order_id)
            paid = select(Capture).where(Capture.payment_id == order.paid_by, Capture.standing == "paid")
            asked = []
            for capture in db.session.scalars(paid).all():
                if _left(capture.id) > 0:
                    asked.append(request(capture.id, None, reason=reason, by=by, to=to).id)
            credit = Money(store_credit.left_to_take_back(order_id), order.currency)
            if credit.amount:
                asked.append(request_credit(order_id, credit, reason=reason, by=by).id)
            if not asked:
                raise _not_refundable(credit)
            return asked

    return [db.session.get_one(Refund, refund_id) for refund_id in retried(unit)]


def _check(money: Money, currency: str, order: Order, to: str) -> None:
    if money.currency != currency or money.amount <= 0:
        raise BadInput("bad_amount", f"Please give an amount in {currency} above nothing.")
    if to not in (TO_PROVIDER, TO_STORE_CREDIT, TO_BANK):
        raise BadInput("bad_destination", "Money goes back to where it came from, to store credit, or to a bank.")
    if to == TO_STORE_CREDIT and order.user_id is None:
        raise Refusal("no_account", "This buyer has no account that store credit could be kept for.")


def _needs_two(order_id: int, money: Money, to: str) -> bool:
    """Whether this and what people send back of the order without anybody else's agreement are too much together, or
    nobody but people can know that it was sent.
    """
    if to == TO_BANK:
        return True
    alone = db.session.scalar(
        select(func.coalesce(func.sum(Refund.amount), 0)).where(
            Refund.order_id == order_id,
            Refund.currency == money.currency,
            Refund.state != states.REJECTED,
            Refund.asked_by != ITSELF,
            ~Refund.needs_two,
        )
    )
    return bool((alone or 0) + money.amount > current_app.config["REFUND_NEEDS_TWO"])


def _left(capture_id: int) -> int:
    """Minor units of a capture that can still go back."""
    left = select(Capture.amount - Capture.refunded_amount - _with_banks())
    return int(db.session.scalar(left.where(Capture.id == capture_id)) or 0)


def _with_banks() -> ScalarSelect[int]:
    """What banks have of a capture, or want: a chargeback that was not won."""
    return charged_back(Capture.id, "OPEN", "LOST")


def _not_refundable(left: Money) -> Refusal:
    some = f"Only {left.format()} can still be refunded."
    says = some if left.amount > 0 else "Nothing of it can be refunded any more."
    return Refusal("not_refundable", says, refundable=max(0, left.amount))


def approve(refund_id: str, by: str) -> None:
    """The second person agrees; to one by hand, that the money has been sent.

    Raises Refusal: `not_to_approve` when it is the first one again, or there is nothing to approve, `disputed` when a
    bank has asked for the money meanwhile. What was sent by hand is booked all the same: it is gone.
    """
    at = clock.now()
    with writing():
        agreed = changed(
            update(Refund)
            .where(
                Refund.id == refund_id,
                Refund.needs_two,
                Refund.approved_by.is_(None),
                Refund.asked_by != by,
                Refund.state == states.REQUESTED,
            )
            .values(approved_by=by, next_check_at=at)
        )
        to_send = Refund.id == refund_id, Refund.destination != TO_BANK
        capture_id = db.session.scalar(select(Refund.capture_id).where(*to_send))
        if agreed and capture_id is not None and _left(capture_id) < 0:
            raise Refusal("disputed", "A bank has taken this money back, or wants to. The refund can only be declined.")
    if not agreed:
        known = db.session.scalar(select(Refund.id).where(Refund.id == refund_id))
        other = "Somebody else than who asked for it has to approve a refund, and only once."
        raise Refusal("not_to_approve", other if known else "There is no such refund.")


def waiting() -> list[Refund]:
    """Refunds that wait for a second person, oldest first."""
    waits = (Refund.needs_two, Refund.approved_by.is_(None), Refund.state == states.REQUESTED)
    return list(db.session.scalars(select(Refund).where(*waits).order_by(Refund.created_at, Refund.id)))


def decline(refund_id: str, by: str) -> None:
    """Call off a refund that waits for its second person: what it took is there again. Anybody may, who asked too.

    Raises Refusal `not_to_decline` when it does not wait.
    """
    at = clock.now()

    def unit() -> None:
        with writing():
            order_id = db.session.scalar(select(Refund.order_id).where(Refund.id == refund_id))
            order = order_with_payments(order_id)[0] if order_id is not None else None
            waits = (Refund.id == refund_id, Refund.needs_two, Refund.approved_by.is_(None))
            called_off = update(Refund).where(*waits, Refund.state == states.REQUESTED)
            if order is None or not changed(
                called_off.values(state=states.REJECTED, rejected_code=states.DECLINED, ended_at=at)
            ):
                raise Refusal("not_to_decline", "There is no such refund that waits for a second person.")
            refund = db.session.get_one(Refund, refund_id, populate_existing=True)
            _came_back(refund, order, by, was_sent=False)
            _tell(refund, by)

    retried(unit)


def bounced(refund_id: str, by: str) -> None:
    """What was sent to a bank by hand came back: it is not refunded, and can be sent anew.

    Raises Refusal `not_sent_by_hand` when no such refund was booked as sent, or it came back before.
    """

    def unit() -> None:
        with writing():
            by_hand = (Refund.id == refund_id, Refund.destination == TO_BANK)
            order_id = db.session.scalar(select(Refund.order_id).where(*by_hand))
            if order_id is not None:
                order_with_payments(order_id)  # from here on nobody else changes its refunds before this unit ends
            if db.session.scalar(select(Refund.id).where(*by_hand, Refund.state == states.DONE)) is None:
                raise Refusal("not_sent_by_hand", "There is no such refund that was booked as sent to a bank.")
            _hear(refund_id, states.REJECTED, by, states.BOUNCED, None)

    retried(unit)


def by_itself(capture: Capture, order_id: int) -> None:
    """Send a whole capture back because it pays nothing. Part of the unit that booked it."""
    if capture.standing in ("late", "second") and _take(capture.id, capture.money, None):
        _write(order_id, capture, capture.money, capture.standing, ITSELF, "", TO_PROVIDER, needs_two=False)


def _take(capture_id: int, money: Money, expected: int | None) -> bool:
    """Take `money` from what the capture has left; False when that is less, or not what was expected."""
    left = Capture.amount - Capture.refunded_amount
    guard = update(Capture).where(Capture.id == capture_id, left - _with_banks() >= money.amount)
    if expected is not None:
        guard = guard.where(left == expected)
    return bool(changed(guard.values(refunded_amount=Capture.refunded_amount + money.amount)))


def _write(
    order_id: int, capture: Capture | None, money: Money, kind: str, by: str, reason: str, to: str, needs_two: bool
) -> Refund:
    at = clock.now()
    refund = Refund(
        id=ids.refund_id(),
        capture_id=capture.id if capture else None,
        payment_id=capture.payment_id if capture else None,
        order_id=order_id,
        destination=to,
        amount=money.amount,
        currency=money.currency,
        kind=kind,
        reason=reason,
        state=states.REQUESTED,
        asked_by=by,
        needs_two=needs_two,
        created_at=at,
        next_check_at=None if needs_two else at,
        checks=0,
    )
    db.session.add(refund)
    _tell(refund, by)
    return refund


# --- hearing ---------------------------------------------------------------------------------------------------------


def hear(refund_id: str, state: str, heard_from: str, *, code: str | None = None, by: str | None = None) -> str:
    """Apply what was heard about a refund and return the verdict: applied, duplicate, stale or orphan.

    `by` is the provider that tells of it; one that it does not go through is not believed.
    """
    if db.session().info.get("writing"):
        return _hear(refund_id, state, heard_from, code, by)

    def unit() -> str:
        with writing():
            return _hear(refund_id, state, heard_from, code, by)

    return retried(unit)


def hear_failed_later(refund_id: str, heard_from: str, *, code: str, by: str) -> str:
    """Apply that a refund was done and failed afterwards, both told by the provider `by`; the verdict of the latter.

    One that nobody asked about in between, so that we know it as rejected alone, is booked now as what it was; nothing
    else changes.
    """

    def unit() -> str:
        with writing():
            if _hear(refund_id, states.DONE, heard_from, None, by) == "stale":
                _book_what_nobody_heard(db.session.get_one(Refund, refund_id))
            return _hear(refund_id, states.REJECTED, heard_from, code, by)

    return retried(unit)


def _book_what_nobody_heard(refund: Refund) -> None:
    """The refund is rejected, and its order locked."""
    capture = db.session.get(Capture, refund.capture_id) if refund.capture_id else None
    if capture and refund.rejected_code != states.DECLINED and not journals.is_posted(refund.id):
        order = db.session.get_one(Order, refund.order_id)
        journals.post_done(refund, capture, order)
        journals.post_failed(refund, capture, order)


def _hear(refund_id: str, state: str, heard_from: str, code: str | None, by: str | None) -> str:
    known = select(Refund.order_id).where(Refund.id == refund_id)
    if by:
        known = known.join(Payment).where(Payment.provider == by, Refund.destination == TO_PROVIDER)
    order_id = db.session.scalar(known)
    if order_id is None:
        return "orphan"
    order, _ = order_with_payments(order_id)
    refund = db.session.get_one(Refund, refund_id, populate_existing=True)
    before, at = refund.state, clock.now()
    if state not in states.MOVES[before]:
        refund.next_check_at = _next(refund, at)
        return "duplicate" if state == before else "stale"
    refund.state, refund.rejected_code = state, code
    if state in (states.DONE, states.REJECTED):
        refund.ended_at = at
    refund.next_check_at = _next(refund, at)
    capture = db.session.get(Capture, refund.capture_id, populate_existing=True) if refund.capture_id else None
    if state == states.DONE:
        _sent(refund, capture, order, heard_from)
    elif state == states.REJECTED:
        _came_back(refund, order, heard_from, was_sent=before == states.DONE)
    _tell(refund, heard_from)
    return "applied"


def _next(refund: Refund, now: datetime) -> datetime | None:
    """When to ask next; None when there is nothing more to learn."""
    if refund.state in (states.PENDING, states.UNKNOWN):
        return now + times.pick(WHILE_PENDING, refund.checks)
    if refund.destination != TO_PROVIDER:
        return None
    if refund.state == states.DONE and refund.ended_at and now < refund.ended_at + WATCHED_AFTER_DONE:
        return refund.ended_at + WATCHED_AFTER_DONE
    return None


def _sent(refund: Refund, capture: Capture | None, order: Order, heard_from: str) -> None:
    journals.post_done(refund, capture, order)
    if capture is None or capture.standing == "paid":
        _move_order(order, "refund_done", heard_from)
    else:
        review.end(order)


def _came_back(refund: Refund, order: Order, heard_from: str, *, was_sent: bool) -> None:
    """What was taken is there again; an automatic refund leaves its capture to people."""
    if refund.capture_id is None:
        store_credit.leave(order.id, refund.money)
        return
    capture = db.session.get_one(Capture, refund.capture_id)
    db.session.execute(
        update(Capture).where(Capture.id == capture.id).values(refunded_amount=Capture.refunded_amount - refund.amount)
    )
    if was_sent:
        journals.post_failed(refund, capture, order)
        if capture.standing == "paid":
            _move_order(order, "refund_failed_later", heard_from)
    if capture.standing != "paid":
        review.begin(order)


def _move_order(order: Order, because: str, heard_from: str) -> None:
    """The order's status follows what has gone back for good of what paid it."""
    db.session.flush()
    gone = db.session.scalar(
        select(func.coalesce(func.sum(Refund.amount), 0))
        .outerjoin(Capture, Capture.id == Refund.capture_id)
        .where(
            Refund.order_id == order.id,
            Refund.state == states.DONE,
            Refund.capture_id.is_(None) | (Capture.standing == "paid"),
        )
    )
    if not gone:
        target = order_states.PAID
    else:
        target = order_states.REFUNDED if gone >= order.accepted.amount else order_states.PARTIALLY_REFUNDED
    if target != order.state:
        move(order.id, target, because, actor=heard_from, refunded=int(gone or 0))


def _tell(refund: Refund, actor: str) -> None:
    events.record(
        refund.order_id,
        f"refund.{refund.state.lower()}",
        actor=actor,
        stream=outbox.PAYMENTS,
        refund=refund.id,
        amount=refund.amount,
        currency=refund.currency,
        why=refund.kind,
    )
    refund_id, state = refund.id, refund.state
    after_commit(lambda: log.info("refund." + state.lower(), refund=refund_id))
