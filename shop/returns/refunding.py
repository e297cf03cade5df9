"""Refund a return through the refunds of the order, and close it. The refunds, their second person and their credit
notes are those of `shop.payments.refunds` and `shop.documents`.
"""

from __future__ import annotations

from sqlalchemy import select

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.core import audit, reasons
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import db, table, transactional
from shop.core.errors import Refusal
from shop.core.event_types import ReturnClosed
from shop.core.money import Money
from shop.orders import events
from shop.payments.order_money import load as order_money
from shop.payments.records.models import Refund
from shop.payments.records.types import RefundDestination
from shop.payments.refunds import requests
from shop.returns import decide_arrival, load, write
from shop.returns.handling import to_move
from shop.returns.models import Return, ReturnRefund
from shop.returns.snapshot import ReturnRow, Snapshot
from shop.returns.states import ReturnState


@transactional
def refund(
    return_id: int,
    granted: Money,
    *,
    expected: int,
    by: Actor,
    reason: str,
    to: RefundDestination = RefundDestination.PROVIDER,
) -> list[str]:
    """Request the refunds of a received return, close it, and give their ids; none if `by` has done that before.

    `granted` is at most what the units cost; `expected` is what could be refunded when the reader saw it. Captured
    money goes `to` this destination, store credit to store credit or, once the account is deleted, to a bank. Raises
    Forbidden; BadInput and Refusal as `decide_arrival.parts` and `shop.payments.refunds.requests.request`; Refusal
    `unknown_return`, `return_moved`.
    """
    rights.demand(by, Permission.REFUND_REQUEST)
    why, order_id = reasons.needed(reason), load.order_of(return_id)
    money = order_money.locked(order_id)  # before the returns: payments are locked before their order
    seen = load.snapshot(order_id, lock=True)
    one = _to_close(seen, return_id, granted.amount, by)
    if one is None:
        return []
    named = f"Return {one.reference}: {why}"
    found = []
    for part in decide_arrival.parts(one, money, granted, expected):
        amount = Money(part.amount, granted.currency)
        if part.capture_id is None:
            found.append(requests.request_credit(order_id, amount, reason=named, by=by))
        else:
            found.append(requests.request(part.capture_id, amount, reason=named, by=by, to=to))
    rows = [{"refund_id": refund.id, "return_id": one.id} for refund in found]
    db.session.execute(table(ReturnRefund).insert(), rows)
    _close(seen, one, granted.amount, by)
    after = {"return": one.reference, "refunds": [row["refund_id"] for row in rows], "money": granted}
    audit.record(by, Act.RETURN_REFUNDED, Subject(SubjectKind.ORDER, seen.number), after=after, reason=why)
    return [refund.id for refund in found]


@transactional
def close(return_id: int, *, by: Actor, reason: str) -> None:
    """Close a received return of which nothing can be refunded: it cost nothing, or its money was refunded otherwise.

    Raises Forbidden; BadInput `reason_needed`, `bad_reason`; Refusal `unknown_return`, `return_moved`, `refund_left`.
    """
    rights.demand(by, Permission.REFUND_REQUEST)
    why, order_id = reasons.needed(reason), load.order_of(return_id)
    money = order_money.locked(order_id)
    seen = load.snapshot(order_id, lock=True)
    one = _to_close(seen, return_id, 0, by)
    if one is None:
        return
    if possible := decide_arrival.refundable(one, money):
        left = Money(possible, seen.currency).with_code()
        raise Refusal("refund_left", f"{left} can be refunded for this return. Refund it, or a part of it.")
    _close(seen, one, 0, by)
    after = {"return": one.reference, "state": ReturnState.CLOSED}
    audit.record(by, Act.RETURN_CLOSED, Subject(SubjectKind.ORDER, seen.number), after=after, reason=why)


def refundable(one: Return) -> Money:
    """Amount that can be refunded for a return now; zero before it is received, and after it is closed."""
    if one.state != ReturnState.RECEIVED:
        return Money(0, one.currency)
    row, money = load.snapshot(one.order_id, lock=False).find(one.id), order_money.snapshot(one.order_id, lock=False)
    return Money(decide_arrival.refundable(row, money), one.currency)


def refunds_of(return_id: int) -> list[Refund]:
    """The refunds that were requested for a return, oldest first."""
    of_return = select(Refund).join(ReturnRefund, ReturnRefund.refund_id == Refund.id)
    found = of_return.where(ReturnRefund.return_id == return_id).order_by(Refund.created_at, Refund.id)
    return list(db.session.scalars(found))


def _to_close(seen: Snapshot, return_id: int, amount: int, by: Actor) -> ReturnRow | None:
    """The return that `by` may close with a refund of `amount`; None if `by` has closed it with this amount before.

    Raises Refusal `return_moved`: another amount is no repetition, and would be taken for refunded.
    """
    one = to_move(seen, return_id, ReturnState.CLOSED, by)
    if one is None and (given := seen.find(return_id).granted_amount or 0) != amount:
        how = f"with a refund of {Money(given, seen.currency).with_code()}" if given else "without a refund"
        raise Refusal("return_moved", f"You have closed this return {how}. Nothing was changed.", state="CLOSED")
    return one


def _close(seen: Snapshot, one: ReturnRow, amount: int, by: Actor) -> None:
    write.move(one, ReturnState.CLOSED, by, granted_amount=amount)
    events.record(seen.order_id, ReturnClosed(one.reference, amount, seen.currency), actor=by)
