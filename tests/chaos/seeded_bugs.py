"""Seeded bugs, applied one at a time: the generated histories of `tests.chaos.history` have to find each."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update

from shop.checkout import end_order, saga
from shop.checkout.ending.decide import Decision, End, decide
from shop.core.actor import Actor
from shop.core.db import db, transaction
from shop.core.event_types import OrderMoved
from shop.inventory import stock
from shop.ledger import chart, store_credit
from shop.orders import events
from shop.orders.models import Order
from shop.payments.disputes import decide as dispute_decide
from shop.payments.order_money.decision import Posting
from shop.payments.order_money.snapshot import CaptureRow, RefundRow
from shop.payments.polling import poll
from shop.payments.providers.interface import CaptureFact
from shop.payments.providers.types import PaymentState
from shop.payments.records.models import Payment
from shop.payments.refunds import journals, own_or_outside
from shop.payments.updates import decide as deciding
from shop.payments.updates import load as loading
from shop.payments.updates import write
from shop.payments.updates.snapshot import PaymentSeen, PaymentUpdate, Snapshot
from tests.chaos.world import World
from tests.fakes import FakePay

Patch = pytest.MonkeyPatch


def the_ledger_is_posted_twice(patch: Patch, world: World) -> None:
    """Each source that reports a capture books it."""
    right = deciding.decide

    def book_each_time(seen: Snapshot, update: PaymentUpdate, now: Any, rules: Any) -> deciding.Decision:
        journals = []
        theirs = chart.receivable(seen.payment(update.payment_id).provider)
        for fact in update.facts.captures:
            if fact.id in seen.booked:
                entries = ((theirs, fact.money), (chart.SALES, fact.money * -1))
                journals.append(deciding.NewJournal(f"capture:{fact.id}:{update.source}:{now}", "capture", entries))
        decision = right(seen, update, now, rules)
        return replace(decision, journals=(*decision.journals, *journals))

    patch.setattr(deciding, "decide", book_each_time)


def late_money_is_not_refunded(patch: Patch, world: World) -> None:
    patch.setattr(deciding, "REFUNDED_AUTOMATICALLY", ())


def amounts_are_not_compared(patch: Patch, world: World) -> None:
    right = deciding._allocate

    def careless(draft: Any, payment: PaymentSeen, fact: CaptureFact) -> tuple[Any, str]:
        return right(draft, payment, CaptureFact(fact.id, payment.money, fact.at))

    patch.setattr(deciding, "_allocate", careless)


def each_try_has_a_key_of_its_own(patch: Patch, world: World) -> None:
    """The acquirer opens another payment for each repeated request."""
    right, number = FakePay.start, itertools.count(1)

    def start(self: FakePay, payment: Any, *addresses: str) -> Any:
        return right(self, replace(payment, id=f"{payment.id}-{next(number)}"), *addresses)

    patch.setattr(FakePay, "start", start)


def an_opening_that_timed_out_is_never_looked_up(patch: Patch, world: World) -> None:
    right = poll.query

    def query(payment_id: str, source: str, *due_at: Any) -> str | None:
        (payment,) = world.rows("SELECT state FROM payments WHERE id = :id", id=payment_id)
        return None if payment["state"] == PaymentState.UNKNOWN else right(payment_id, source, *due_at)

    patch.setattr(poll, "query", query)


def _without(patch: Patch, release: Callable[[int], None]) -> None:
    kept = (replace(step, undo=lambda order_id: None) if step.undo is release else step for step in saga.STEPS)
    patch.setattr(saga, "STEPS", tuple(kept))


def stock_is_not_released(patch: Patch, world: World) -> None:
    _without(patch, stock.release)


def credit_is_not_released(patch: Patch, world: World) -> None:
    _without(patch, store_credit.release)


def no_payment_is_polled(patch: Patch, world: World) -> None:
    patch.setattr(poll, "query", lambda payment_id, source, *due_at: None)


def a_refund_has_no_key(patch: Patch, world: World) -> None:
    """The acquirer takes a repeated request for another refund."""
    right, number = FakePay.refund, itertools.count(1)

    def refund(self: FakePay, payment: Any, refund_request: Any) -> Any:
        return right(self, payment, replace(refund_request, id=f"{refund_request.id}-{next(number)}"))

    patch.setattr(FakePay, "refund", refund)


def money_after_the_deadline_is_accepted(patch: Patch, world: World) -> None:
    right = deciding._allocate

    def generous(draft: Any, payment: PaymentSeen, fact: CaptureFact) -> tuple[Any, str]:
        return right(draft, payment, CaptureFact(fact.id, fact.money, draft.order.placed_at))

    patch.setattr(deciding, "_allocate", generous)


def expiry_reads_first_and_writes_later(patch: Patch, world: World) -> None:
    """Without a guard, with a pause between the two."""

    def end(order_id: int) -> Decision:
        order = db.session.get_one(Order, order_id, populate_existing=True)
        payments = db.session.scalars(select(Payment).where(Payment.order_id == order_id)).all()
        decision, source = decide(end_order._snapshot(order, payments), world.now), order.state
        db.session.rollback()
        if isinstance(decision, End):
            with transaction():
                ended = update(Order).where(Order.id == order_id).values(state=decision.target, ended_at=world.now)
                db.session.execute(ended)
                moved = OrderMoved(source, decision.target, "time_over")
                events.record(order_id, moved, actor=Actor.of_source("closing"))
                saga.undo(order_id)
        return decision

    patch.setattr(end_order, "_end", end)


def _holding(patch: Patch, wrong: Callable[[deciding.Decision], deciding.Decision]) -> None:
    """Write what `wrong` makes of the decision about stock and store credit."""
    right = write._write
    patch.setattr(write, "_write", lambda connection, seen, made, *more: right(connection, seen, wrong(made), *more))


def what_is_paid_stays_on_the_shelf(patch: Patch, world: World) -> None:
    _holding(patch, lambda decision: replace(decision, stock=()))


def revived_without_holding_again(patch: Patch, world: World) -> None:
    def without_released(decision: deciding.Decision) -> deciding.Decision:
        credit = decision.credit if decision.credit and decision.credit.source == "HELD" else None
        stock = tuple(one for one in decision.stock if one.source == "HELD")
        return replace(decision, stock=stock, credit=credit)

    patch.setattr(deciding, "can_hold_again", lambda seen: True)
    _holding(patch, without_released)


def a_chargeback_books_no_money(patch: Patch, world: World) -> None:
    patch.setattr(dispute_decide, "_book_chargeback", lambda draft, dispute: None)


def what_went_by_hand_is_booked_against_the_acquirer(patch: Patch, world: World) -> None:
    patch.setattr(journals.chart, "MANUAL_REFUNDS", chart.receivable("fakepay"))


def a_transfer_that_bounced_came_back_to_the_acquirer(patch: Patch, world: World) -> None:
    right = journals.failed

    def failed(refund: RefundRow, capture: CaptureRow, *of: object, **more: int) -> list[Posting]:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(journals, "_source", lambda _, capture: chart.receivable(capture.provider))
            return right(refund, capture, *of, **more)

    patch.setattr(journals, "failed", failed)


def a_refund_outside_is_booked_by_each_source(patch: Patch, world: World) -> None:
    right, number = own_or_outside.name_of, itertools.count(1)
    patch.setattr(own_or_outside, "name_of", lambda provider, theirs: f"{right(provider, theirs)}-{next(number)}")


def our_own_refund_is_taken_for_one_made_outside(patch: Patch, world: World) -> None:
    patch.setattr(own_or_outside, "is_own", lambda *_, **__: False)


def the_order_is_not_written(patch: Patch, world: World) -> None:
    patch.setattr(write, "_write_order", lambda *_: None)


def of_several_units_one_leaves_the_shelf(patch: Patch, world: World) -> None:
    def one_of_each(made: deciding.Decision) -> deciding.Decision:
        return replace(made, stock=tuple(replace(change, quantity=1) for change in made.stock))

    _holding(patch, one_of_each)


def a_code_is_not_released(patch: Patch, world: World) -> None:
    steps = tuple(replace(step, undo=lambda _: None) if step.name == "use_code" else step for step in saga.STEPS)
    patch.setattr(saga, "STEPS", steps)


def revived_with_a_code_that_is_gone(patch: Patch, world: World) -> None:
    right = loading._released_code

    def always_free(*given: Any) -> Any:
        found = right(*given)
        return found and replace(found, is_free=True)

    patch.setattr(loading, "_released_code", always_free)


def a_refund_leaves_its_tax_owed(patch: Patch, world: World) -> None:
    patch.setattr(journals, "_split", lambda *_: ())


def shares_of_a_refund_forget_those_before(patch: Patch, world: World) -> None:
    right = journals._split
    patch.setattr(journals, "_split", lambda refund, capture, order, _before: right(refund, capture, order, 0))


SEEDED = (
    the_ledger_is_posted_twice,
    late_money_is_not_refunded,
    amounts_are_not_compared,
    each_try_has_a_key_of_its_own,
    an_opening_that_timed_out_is_never_looked_up,
    stock_is_not_released,
    no_payment_is_polled,
    a_refund_has_no_key,
    money_after_the_deadline_is_accepted,
    expiry_reads_first_and_writes_later,
)
"""Bugs that are possible in any design."""
MORE = (
    credit_is_not_released,
    what_is_paid_stays_on_the_shelf,
    revived_without_holding_again,
    a_chargeback_books_no_money,
    what_went_by_hand_is_booked_against_the_acquirer,
    a_transfer_that_bounced_came_back_to_the_acquirer,
    a_refund_outside_is_booked_by_each_source,
    our_own_refund_is_taken_for_one_made_outside,
    the_order_is_not_written,
    of_several_units_one_leaves_the_shelf,
    a_code_is_not_released,
    revived_with_a_code_that_is_gone,
    a_refund_leaves_its_tax_owed,
    shares_of_a_refund_forget_those_before,
)
