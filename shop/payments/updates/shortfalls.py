"""Requests to accept a capture of less than the price, which wait for a second person.

A request waits while its capture does: one that was refunded has nothing to accept, and waits again if that refund
fails.
"""

from __future__ import annotations

from sqlalchemy import select, update

from shop.accounts import staff
from shop.core import clock, ids
from shop.core.actor import Actor
from shop.core.db import changed, db, insert
from shop.core.errors import Refusal
from shop.core.money import Money
from shop.payments.records.models import SHORTFALL_UNDECIDED, Capture, ShortfallRequest
from shop.payments.records.types import Allocation, ShortfallState

IS_WAITING = (SHORTFALL_UNDECIDED, Capture.allocation == Allocation.MISMATCH, Capture.refunded_amount == 0)
"""Conditions of a request that waits, and of its capture."""
_DECIDED = "This request has already been decided."


def waiting() -> list[ShortfallRequest]:
    """Requests that wait for a second person, oldest first."""
    all_of_them = select(ShortfallRequest).join(Capture, Capture.id == ShortfallRequest.capture_id)
    found = all_of_them.where(*IS_WAITING)
    return list(db.session.scalars(found.order_by(ShortfallRequest.requested_at, ShortfallRequest.id)))


def undecided(request_id: str) -> ShortfallRequest:
    """The request. Raises Refusal `not_to_decide` when there is none, or it is decided."""
    found = db.session.get(ShortfallRequest, request_id, populate_existing=True)
    if found is None:
        raise Refusal("not_to_decide", "There is no such request.")
    if found.state != ShortfallState.REQUESTED:
        raise Refusal("not_to_decide", _DECIDED)
    return found


def add(order_id: int, capture_id: int, money: Money, waiting_amount: int, *, by: Actor, reason: str) -> str:
    """Add a request, as a part of the caller's transaction, and return its id. Raises Refusal `requested_before`."""
    values = {
        "id": ids.shortfall_id(),
        "order_id": order_id,
        "capture_id": capture_id,
        "currency": money.currency,
        "amount": money.amount,
        "waiting_amount": waiting_amount,
        "reason": reason,
        "state": ShortfallState.REQUESTED,
        "requested_by": by,
        "requested_at": clock.now(),
    }
    new = insert(ShortfallRequest).values(values)
    new = new.on_conflict_do_nothing(index_elements=["capture_id"], index_where=SHORTFALL_UNDECIDED)
    request_id: str | None = db.session.scalar(new.returning(ShortfallRequest.id))
    if request_id is None:
        earlier = select(ShortfallRequest.requested_by).where(ShortfallRequest.capture_id == capture_id)
        whom = staff.label(db.session.scalars(earlier.where(SHORTFALL_UNDECIDED)).one())
        message = f"{whom} has already requested this. Another person approves or declines it under Approvals."
        raise Refusal("requested_before", message)
    return request_id


def decide(request: ShortfallRequest, target: ShortfallState, by: Actor) -> None:
    """Store a decision, as a part of the caller's transaction. Of several concurrent ones the first counts. Raises
    Refusal `not_to_decide`.
    """
    if target == ShortfallState.APPROVED and not by.may_approve(request.requested_by):
        message = "A shortfall must be accepted by another person than the one who requested it."
        raise Refusal("not_to_decide", message)
    guard = update(ShortfallRequest).where(ShortfallRequest.id == request.id, SHORTFALL_UNDECIDED)
    if not changed(guard.values(state=target, decided_by=by, decided_at=clock.now())):
        raise Refusal("not_to_decide", _DECIDED)
