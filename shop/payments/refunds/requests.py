"""Request refunds, approve and decline them, and undo bank transfers that were returned.

Each function loads the order's money under its lock, decides (`decide`) and writes (`order_money.write`), in one
transaction. `send` sends due refunds; `apply` applies their results.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import select

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.core import audit
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import db, transactional
from shop.core.errors import Refusal
from shop.core.money import Money
from shop.orders.models import Order
from shop.payments.order_money import load
from shop.payments.order_money.decision import Decision
from shop.payments.order_money.snapshot import RefundRow
from shop.payments.order_money.write import write
from shop.payments.providers.types import RefundState
from shop.payments.records.models import REFUND_UNDER_WAY, Capture, Payment, Refund
from shop.payments.records.types import Allocation, RefundDestination
from shop.payments.refunds import decide

IS_WAITING = (
    REFUND_UNDER_WAY,  # its partial index holds few refunds
    Refund.state == RefundState.REQUESTED,
    Refund.needs_two,
    Refund.approved_by.is_(None),
)
"""Conditions for refunds that await a second person, as `Refund.awaits_approval` decides it."""


def request(
    capture_id: int,
    money: Money | None,
    *,
    reason: str,
    by: Actor,
    expected_refundable: int | None = None,
    to: str = RefundDestination.PROVIDER,
    created: Callable[[str], None] = lambda _refund_id: None,
) -> Refund:
    """Request a refund of `money` of one capture, or all of its refundable amount for None, `to` the provider that took
    it or the customer's store credit, at the next opportunity; or `to` the customer's bank, where staff send it
    themselves.

    Raises Refusal: `not_refundable` (409, details `refundable` in minor units) when the capture has less left (what a
    bank has taken back, or may keep, is not left) or `expected_refundable` is no longer true, `no_account` when there
    is no customer whose store credit it could be; BadInput for another currency or no amount. When one person would
    refund more than REFUND_NEEDS_TWO of an order alone, it awaits a second person. One to a bank always does, who
    approves it when the money has been sent: that books it. `created` is called with the refund's id in the transaction
    that writes it. Staff need the permission to request refunds, and for a
    wrong amount the one to accept it.
    """
    requested = decide.Request(capture_id, money, reason, to, expected_refundable)
    [refund_id] = _request(_order_of(capture_id), requested, by, created)
    return db.session.get_one(Refund, refund_id)


def request_credit(
    order_id: int, money: Money, *, reason: str, by: Actor, expected_refundable: int | None = None
) -> Refund:
    """Request a refund of `money` of the store credit that paid an order, to store credit; to the customer's bank once
    the account is deleted. Raises as `request` does.
    """
    requested = decide.Request(None, money, reason, RefundDestination.STORE_CREDIT, expected_refundable)
    [refund_id] = _request(order_id, requested, by)
    return db.session.get_one(Refund, refund_id)


def request_all(order_id: int, *, reason: str, by: Actor, to: str = RefundDestination.PROVIDER) -> list[Refund]:
    """Request refunds of all refundable money of an order: of the captures that paid it, and of mismatches under
    review.

    Store credit is refunded as by `request_credit`. Raises Refusal `not_refundable` when nothing is refundable.
    """
    return [db.session.get_one(Refund, refund_id) for refund_id in _request_all(order_id, reason, to, by)]


@transactional
def _request(
    order_id: int, requested: decide.Request, by: Actor, created: Callable[[str], None] = lambda _refund_id: None
) -> list[str]:
    rights.demand_of_staff(by, Permission.REFUND_REQUEST)
    refund_ids = _created(decide.request(load.locked(order_id), requested, load.context(by)), by, requested.reason)
    created(refund_ids[0])
    return refund_ids


@transactional
def _request_all(order_id: int, reason: str, to: str, by: Actor) -> list[str]:
    rights.demand_of_staff(by, Permission.REFUND_REQUEST)
    return _created(decide.request_all(load.locked(order_id), reason, to, load.context(by)), by, reason)


def _created(decision: Decision, by: Actor, reason: str) -> list[str]:
    wrong = {capture.id for capture in decision.before.captures if capture.allocation == Allocation.MISMATCH}
    if wrong & {refund.capture_id for refund in decision.new_refunds}:  # decides the review of the order
        rights.demand_of_staff(by, Permission.PAYMENT_ACCEPT_AMOUNT)
    write(decision)
    created = [
        {"id": one.id, "money": one.money, "to": one.destination, "needs_two": one.needs_two}
        for one in decision.new_refunds
    ]
    number = db.session.scalars(select(Order.number).where(Order.id == decision.after.order.id)).one()
    subject = Subject(SubjectKind.ORDER, number)
    audit.record(by, Act.REFUND_REQUESTED, subject, after={"refunds": created}, reason=reason)
    return [refund.id for refund in decision.new_refunds]


def waiting() -> list[Refund]:
    """Refunds that await a second person, oldest first."""
    return list(db.session.scalars(select(Refund).where(*IS_WAITING).order_by(Refund.created_at, Refund.id)))


@transactional
def approve(refund_id: str, by: Actor) -> None:
    """Approve a refund as the second person; a manual one, after the money has been sent.

    Raises Refusal: `not_to_approve` when the approver requested it or there is nothing to approve, Lapsed when the
    requester may not request it any more, `disputed` when a bank has disputed the capture meanwhile. A manual transfer
    is booked in spite of a dispute: the money has left.
    """
    rights.demand(by, Permission.REFUND_APPROVE)
    order_id = _order_of_refund(refund_id, Refusal("not_to_approve", "There is no such refund."))
    decision = decide.approve(load.locked(order_id), refund_id, load.context(by))
    if refund := decision.before.refund(refund_id):
        rights.demand_of_requester(refund.requested_by, Permission.REFUND_REQUEST)
    _decided(decision, refund_id, Act.REFUND_APPROVED, by)


@transactional
def decline(refund_id: str, by: Actor, *, reason: str = "") -> None:
    """Decline a refund that awaits its second person: its amount is refundable again. The requester may decline it,
    too.

    Raises Refusal `not_to_decline` when it does not await one.
    """
    rights.demand(by, Permission.REFUND_REQUEST)
    order_id = _order_of_refund(refund_id, Refusal("not_to_decline", "No such refund is waiting for approval."))
    decision = decide.decline(load.locked(order_id), refund_id, load.context(by))
    _decided(decision, refund_id, Act.REFUND_DECLINED, by, reason)


@transactional
def bounced(refund_id: str, by: Actor) -> None:
    """Undo a bank transfer that was returned: its money is not refunded, and can be sent again.

    Raises Refusal `not_sent_by_hand` when no such refund was booked as sent, or it was undone before.
    """
    rights.demand(by, Permission.REFUND_APPROVE)
    order_id = _order_of_refund(
        refund_id, Refusal("not_sent_by_hand", "No such refund has been booked as sent to a bank.")
    )
    _decided(decide.bounce(load.locked(order_id), refund_id, load.context(by)), refund_id, Act.REFUND_RETURNED, by)


def _decided(decision: Decision, refund_id: str, act: Act, by: Actor, reason: str = "") -> None:
    write(decision)
    before, after = (_recorded(snapshot.refund(refund_id)) for snapshot in (decision.before, decision.after))
    audit.record(by, act, Subject(SubjectKind.REFUND, refund_id), before=before, after=after, reason=reason)


def _recorded(refund: RefundRow | None) -> dict[str, Any]:
    """Fields of a refund in its audit entry."""
    if refund is None:
        return {}
    return {"state": refund.state, "approved_by": refund.approved_by, "money": refund.money, "to": refund.destination}


def _order_of(capture_id: int) -> int:
    """The order of a capture. Raises NoResultFound."""
    found = select(Payment.order_id).join(Capture, Capture.payment_id == Payment.id).where(Capture.id == capture_id)
    return db.session.scalars(found).one()


def _order_of_refund(refund_id: str, unknown: Refusal) -> int:
    """The order of a refund. Raises `unknown` when there is none."""
    order_id = db.session.scalar(select(Refund.order_id).where(Refund.id == refund_id))
    if order_id is None:
        raise unknown
    return order_id
