"""Accept and decline returns, and receive their units. Of two members of staff the first one wins; the other reads who
did. Each act is safe to repeat.
"""

from __future__ import annotations

from shop.accounts import rights, staff
from shop.accounts.permissions import Permission
from shop.core import audit, reasons
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import transactional
from shop.core.errors import Refusal
from shop.core.event_types import ReturnAccepted, ReturnDeclined, ReturnReceived
from shop.inventory import stock
from shop.orders import events
from shop.returns import decide_arrival, load, write
from shop.returns.decide_arrival import Arrived
from shop.returns.snapshot import ReturnRow, Snapshot
from shop.returns.states import SOURCES, ReturnState

_DONE = {
    ReturnState.REQUESTED: "has requested this return, which is not accepted yet",
    ReturnState.ACCEPTED: "has already accepted this return",
    ReturnState.DECLINED: "has already declined this return",
    ReturnState.WITHDRAWN: "has withdrawn this return",
    ReturnState.RECEIVED: "has already received this return",
    ReturnState.CLOSED: "has already closed this return",
}


@transactional
def accept(return_id: int, *, by: Actor, message: str = "") -> None:
    """Accept a return: the customer gets a mail that says where to send the items, with `message` if given.

    Raises Forbidden; BadInput `bad_reason`; Refusal `unknown_return` and `return_moved`.
    """
    rights.demand(by, Permission.RETURN_DECIDE)
    text = reasons.needed(message) if message.strip() else ""
    seen = load.snapshot(load.order_of(return_id), lock=True)
    one = to_move(seen, return_id, ReturnState.ACCEPTED, by)
    if one is None:
        return
    write.move(one, ReturnState.ACCEPTED, by, message=text)
    events.record(seen.order_id, ReturnAccepted(one.reference), actor=by)
    _record(seen, one, Act.RETURN_ACCEPTED, by, ReturnState.ACCEPTED, text)


@transactional
def decline(return_id: int, *, by: Actor, message: str) -> None:
    """Decline a return, also an accepted one that never came; the customer reads `message`, the reason.

    Raises Forbidden; BadInput `reason_needed`, `bad_reason`; Refusal `unknown_return` and `return_moved`.
    """
    rights.demand(by, Permission.RETURN_DECIDE)
    text = reasons.needed(message)
    seen = load.snapshot(load.order_of(return_id), lock=True)
    one = to_move(seen, return_id, ReturnState.DECLINED, by)
    if one is None:
        return
    write.move(one, ReturnState.DECLINED, by, message=text)
    events.record(seen.order_id, ReturnDeclined(one.reference), actor=by)
    _record(seen, one, Act.RETURN_DECLINED, by, ReturnState.DECLINED, text)


@transactional
def receive(return_id: int, arrived: Arrived, *, by: Actor, reason: str = "") -> None:
    """Receive the units of an accepted return: put the restocked ones into stock, and compute what all of them cost.

    A reason is needed for units that are not restocked. Raises Forbidden; BadInput `reason_needed`, `bad_reason` and
    what `decide_arrival.receive` raises; Refusal `unknown_return` and `return_moved`.
    """
    rights.demand(by, Permission.RETURN_RECEIVE)
    is_needed = reason.strip() or any(not_restocked for _, not_restocked in arrived.values())
    why = reasons.needed(reason) if is_needed else ""
    seen = load.snapshot(load.order_of(return_id), lock=True)
    one = to_move(seen, return_id, ReturnState.RECEIVED, by)
    if one is None:
        return
    lines, share = decide_arrival.receive(seen, one, arrived)
    for sku, line in sorted(lines.items()):
        if line.restocked:
            form_id = f"return {one.reference} {sku}"
            stock.take_back(sku, line.restocked, by=by, reason=f"Return {one.reference}", form_id=form_id)
    write.arrive(one, lines, share.lines)
    write.move(one, ReturnState.RECEIVED, by, goods_amount=share.goods, delivery_amount=share.delivery)
    events.record(seen.order_id, ReturnReceived(one.reference, share.total, seen.currency), actor=by)
    units = {sku: {"restocked": line.restocked, "not_restocked": line.not_restocked} for sku, line in lines.items()}
    _record(seen, one, Act.RETURN_RECEIVED, by, ReturnState.RECEIVED, why, units=units, amount=share.total)


def to_move(seen: Snapshot, return_id: int, target: ReturnState, by: Actor) -> ReturnRow | None:
    """The return that `by` may bring into the state `target`; None if `by` has done that before.

    Raises Refusal `return_moved`, which names who has done something else.
    """
    one = seen.find(return_id)
    if one.state in SOURCES[target]:
        return one
    if one.state == target and one.moved_by == by:
        return None
    message = f"{_name(one.moved_by)} {_DONE[one.state]}. Nothing was changed."
    raise Refusal("return_moved", message, state=str(one.state))


def _name(actor: Actor) -> str:
    name = staff.label(actor)
    return name[:1].upper() + name[1:] if actor.user_id is None else name


def _record(
    seen: Snapshot, one: ReturnRow, act: Act, by: Actor, state: ReturnState, reason: str, **more: object
) -> None:
    before, after = {"return": one.reference, "state": one.state}, {"return": one.reference, "state": state, **more}
    audit.record(by, act, Subject(SubjectKind.ORDER, seen.number), before=before, after=after, reason=reason)
