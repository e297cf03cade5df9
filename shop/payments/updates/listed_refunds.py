"""Decision about the refunds that an update lists, on top of the decision about the update itself. Pure.

Refunds made at the acquirer may be of captures that the same update reports. Both are decided before anything is
written; until then a new capture has a negative id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

from shop.payments.order_money.decision import Context
from shop.payments.order_money.decision import Decision as MoneyDecision
from shop.payments.order_money.snapshot import CaptureRow, CreditRow, OrderRow, RefundRow, Snapshot
from shop.payments.providers.interface import RefundFact
from shop.payments.providers.types import Outcome, decisive
from shop.payments.refunds import decide_outside
from shop.payments.updates import decide
from shop.payments.updates.decision import Decision, NewRefund
from shop.payments.updates.snapshot import PaymentUpdate


def with_listed_refunds(decision: Decision, update: PaymentUpdate, money: Snapshot, context: Context) -> Decision:
    """Add the changes of the refunds that `update` lists; outcome and reasons are combined.

    `money` is the order's money before the update.
    """
    facts = update.facts.refunds
    after = _after(money, decision, context)
    listed, outcomes = decide_outside.listed(after, update.payment_id, facts, context)
    outcome = decisive((decision.outcome, *(each for _, each in outcomes)))
    return replace(
        decision,
        outcome=outcome,
        reasons=(*decision.reasons, *(_REASONS[each](fact) for fact, each in outcomes if each in _REASONS)),
        is_recorded=decide.is_recorded(outcome, update),
        listed=listed,
    )


def with_capture_ids(decision: MoneyDecision, ids: Mapping[tuple[str, str], int]) -> MoneyDecision:
    """Replace the provisional ids of new captures by the stored ones, found by provider and the acquirer's id."""
    return replace(decision, before=_with_ids(decision.before, ids), after=_with_ids(decision.after, ids))


_REASONS = {
    Outcome.APPLIED: lambda fact: f"refund {_name(fact)} was made at the acquirer",
    Outcome.STALE: lambda fact: f"refund {_name(fact)} cannot become {fact.state} any more",
    Outcome.ILLEGAL: lambda fact: f"refund {_name(fact)} is in another currency than its capture",
}


def _name(fact: RefundFact) -> str:
    return fact.id or fact.reference


def _after(money: Snapshot, decision: Decision, context: Context) -> Snapshot:
    """The order's money once `decision` is written."""
    names = {one.name for one in fields(OrderRow)}
    captures = tuple(
        CaptureRow(
            -number,
            new.provider,
            new.id,
            new.payment_id,
            new.money.amount,
            new.money.currency,
            new.allocation,
            new.refunded,
        )
        for number, new in enumerate(decision.captures, start=1)
    )
    ids = {(row.provider, row.capture_id): row.id for row in captures}
    refunds = tuple(
        automatic_refund(new, ids[new.provider, new.capture_id], money.order.id, context) for new in decision.refunds
    )
    used = decision.credit
    return replace(
        money,
        order=replace(money.order, **{name: value for name, value in decision.order.items() if name in names}),
        payments=tuple(
            replace(row, next_check_at=decision.payments.get(row.id, {}).get("next_check_at", row.next_check_at))
            for row in money.payments
        ),
        captures=money.captures + captures,
        refunds=money.refunds + refunds,
        credit=CreditRow(used.amount, 0, used.currency) if used else money.credit,
    )


def automatic_refund(new: NewRefund, capture_id: int, order_id: int, context: Context) -> RefundRow:
    """The row that `write` inserts for an automatic refund."""
    return RefundRow(capture_id=capture_id, **new.columns(order_id, context.now))


def _with_ids(seen: Snapshot, ids: Mapping[tuple[str, str], int]) -> Snapshot:
    new = {row.id: ids[row.provider, row.capture_id] for row in seen.captures if row.id < 0}
    return replace(
        seen,
        captures=tuple(replace(row, id=new.get(row.id, row.id)) for row in seen.captures),
        refunds=tuple(
            replace(row, capture_id=new.get(row.capture_id, row.capture_id)) if row.capture_id else row
            for row in seen.refunds
        ),
    )
