"""Write a decision about an order's money: one statement for each changed row, in one order. Part of the transaction
that has loaded its snapshot under locks.

Each UPDATE also compares what the decision was made on, and each new row has a unique key, so that a decision on an
outdated snapshot is never written.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from functools import partial
from typing import Any

from sqlalchemy import select, update

from shop.accounts.models import User
from shop.core import logs
from shop.core.db import Base, OutdatedSnapshot, after_commit, changed, db, table
from shop.core.event_types import HistoryEntry, RefundChanged
from shop.core.money import Money
from shop.ledger import book, store_credit
from shop.orders import events
from shop.orders.models import Order
from shop.orders.move import move
from shop.payments.order_money.decision import Decision, Posting
from shop.payments.order_money.snapshot import Snapshot
from shop.payments.providers.types import Outcome
from shop.payments.records.models import Capture, Payment, Refund
from shop.payments.records.settlement_models import Dispute

log = logs.get()
_ORDERS, _PAYMENTS, _CAPTURES = table(Order), table(Payment), table(Capture)
_REFUNDS, _DISPUTES = table(Refund), table(Dispute)


def write(decision: Decision) -> Outcome:
    """Carry out a decision and return its outcome. Raises OutdatedSnapshot: the transaction is then repeated."""
    before, after = decision.before, decision.after
    _write_payments(before, after)
    _write_refunds(before, after)
    _write_captures(before, after)
    _write_credit(before, after)
    _write_disputes(before, after)
    _write_order(before, after)
    for posting in decision.postings:
        _post(posting, after.order.id)
    for each in decision.history:
        if isinstance(each, HistoryEntry):
            _write_event(each, after.order.id)
        elif not move(after.order.id, each.target, each.because, actor=each.actor, refunded=each.refunded):
            raise OutdatedSnapshot(f"order {after.order.id} is not {each.source}")
    return decision.outcome


def _difference(before: Any, after: Any) -> dict[str, Any]:
    """The fields that differ between two rows."""
    names = [field.name for field in fields(after)]
    return {name: getattr(after, name) for name in names if getattr(before, name) != getattr(after, name)}


def _write_payments(before: Snapshot, after: Snapshot) -> None:
    for payment in after.payments:
        new = _difference(before.payment(payment.id), payment)
        if new:
            db.session.execute(update(_PAYMENTS).where(_PAYMENTS.c.id == payment.id).values(new))
            _expire(Payment, payment.id)


def _write_refunds(before: Snapshot, after: Snapshot) -> None:
    """Insert new refunds; update those that are in the state, and as often sent, as the decision saw."""
    for refund in after.refunds:
        seen = before.refund(refund.id)
        if seen is None:
            db.session.execute(_REFUNDS.insert().values(**vars(refund)))
            continue
        new = _difference(seen, refund)
        same = (_REFUNDS.c.id == refund.id, _REFUNDS.c.state == seen.state, _REFUNDS.c.checks == seen.checks)
        if new:
            if not changed(update(_REFUNDS).where(*same).values(new)):
                raise OutdatedSnapshot(f"refund {refund.id} is not {seen.state}")
            _expire(Refund, refund.id)


def _write_captures(before: Snapshot, after: Snapshot) -> None:
    """Update the refunded amount of captures where it is what the decision saw: of two refunds of 60 % that are
    requested at once exactly one is created.
    """
    for capture in after.captures:
        seen = before.capture(capture.id)
        same = (_CAPTURES.c.id == capture.id, _CAPTURES.c.refunded_amount == seen.refunded_amount)
        if capture != seen:
            if not changed(update(_CAPTURES).where(*same).values(refunded_amount=capture.refunded_amount)):
                raise OutdatedSnapshot(f"capture {capture.id} has another refunded amount")
            _expire(Capture, capture.id)


def _write_credit(before: Snapshot, after: Snapshot) -> None:
    if before.credit is None or after.credit is None or before.credit == after.credit:
        return
    refunded = Money(after.credit.refunded_amount - before.credit.refunded_amount, after.credit.currency)
    if refunded.amount < 0:
        store_credit.leave(after.order.id, refunded * -1)
    elif not store_credit.revoke(after.order.id, refunded, before.credit.left):
        raise OutdatedSnapshot(f"order {after.order.id} has less store credit left")


def _write_disputes(before: Snapshot, after: Snapshot) -> None:
    for dispute in after.disputes:
        seen = before.dispute(dispute.provider, dispute.dispute_id)
        if seen is None:
            db.session.execute(_DISPUTES.insert().values(asdict(dispute)))
            continue
        key = (_DISPUTES.c.provider == dispute.provider, _DISPUTES.c.dispute_id == dispute.dispute_id)
        new = _difference(seen, dispute)
        if new and not changed(update(_DISPUTES).where(*key, _DISPUTES.c.state == seen.state).values(new)):
            raise OutdatedSnapshot(f"dispute {dispute.dispute_id} is not {seen.state}")


def _write_order(before: Snapshot, after: Snapshot) -> None:
    """Update the review and the deadline; the order's state is written by its transition."""
    review_since, pay_by = after.order.review_since, after.order.pay_by
    if (review_since, pay_by) != (before.order.review_since, before.order.pay_by):
        of_order = update(_ORDERS).where(_ORDERS.c.id == after.order.id)
        db.session.execute(of_order.values(review_since=review_since, pay_by=pay_by))
        _expire(Order, after.order.id)


def _post(posting: Posting, order_id: int) -> None:
    key, kind, money = posting.key, posting.kind, posting.money
    if posting.customer is not None:
        _demand_account(posting.customer)
        store_credit.raise_balance(posting.customer, money)
    book.post(key, kind, list(posting.entries), order_id=order_id)


def _demand_account(user_id: int) -> None:
    """Lock an account against deletion. Raises OutdatedSnapshot if it is deleted."""
    there = select(User.id).where(User.id == user_id, User.deleted_at.is_(None)).with_for_update(read=True)
    if db.session.scalar(there) is None:
        raise OutdatedSnapshot(f"account {user_id} is deleted")


def _write_event(entry: HistoryEntry, order_id: int) -> None:
    event = entry.event
    events.record(order_id, event, actor=entry.actor)
    if isinstance(event, RefundChanged):
        after_commit(partial(log.info, event.KIND, refund=event.refund))


def _expire(model: type[Base], key: object) -> None:
    """Have the session read a row again that its objects may show as it was."""
    session = db.session()
    known = session.identity_map.get(session.identity_key(model, key))
    if known is not None:
        session.expire(known)
