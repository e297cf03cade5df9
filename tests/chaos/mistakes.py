"""Mistakes that somebody could make, to be planted one at a time: the lives of `tests.chaos.life` have to find each."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from shop.checkout import closing, saga
from shop.core.db import db
from shop.inventory import stock
from shop.ledger import book, chart, store_credit
from shop.orders import events
from shop.orders import move as moving
from shop.orders import states as order_states
from shop.orders.models import Order
from shop.payments import disputes, poll, refund_journals, refunds, settle, states
from shop.payments.models import Capture, Refund
from shop.payments.provider import CaptureFact
from tests.chaos.world import World
from tests.fakes import FakePay

Patch = pytest.MonkeyPatch


def the_ledger_is_posted_twice(patch: Patch, world: World) -> None:
    """Whoever hears of the money books it."""
    right = settle._book

    def book_each_time(hearing: Any, fact: CaptureFact) -> None:
        if fact.id in hearing.booked:
            key = f"capture:{fact.id}:{hearing.heard_from}:{hearing.at}"
            theirs = chart.receivable(hearing.payment.provider)
            book.transfer(key, "capture", fact.money, debit=theirs, credit=chart.SALES, order_id=hearing.order.id)
        right(hearing, fact)

    patch.setattr(settle, "_book", book_each_time)


def late_money_is_not_refunded(patch: Patch, world: World) -> None:
    patch.setattr(refunds, "by_itself", lambda capture, order_id: None)


def amounts_are_not_compared(patch: Patch, world: World) -> None:
    right = settle._standing

    def careless(hearing: Any, fact: CaptureFact) -> str:
        return right(hearing, CaptureFact(fact.id, hearing.payment.money, fact.at))

    patch.setattr(settle, "_standing", careless)


def each_try_has_a_key_of_its_own(patch: Patch, world: World) -> None:
    """The acquirer opens another payment each time that it is asked to open the same one."""
    right, number = FakePay.start, itertools.count(1)

    def start(self: FakePay, payment: Any, *addresses: str) -> Any:
        return right(self, replace(payment, id=f"{payment.id}-{next(number)}"), *addresses)

    patch.setattr(FakePay, "start", start)


def an_opening_that_timed_out_is_never_looked_up(patch: Patch, world: World) -> None:
    right = poll.ask

    def ask(payment_id: str, heard_from: str) -> str | None:
        (payment,) = world.rows("SELECT state FROM payments WHERE id = :id", id=payment_id)
        return None if payment["state"] == states.UNKNOWN else right(payment_id, heard_from)

    patch.setattr(poll, "ask", ask)


def _without(patch: Patch, release: Callable[[int], None]) -> None:
    kept = (replace(step, undo=lambda order_id: None) if step.undo is release else step for step in saga.STEPS)
    patch.setattr(saga, "STEPS", tuple(kept))


def stock_is_not_released(patch: Patch, world: World) -> None:
    _without(patch, stock.release)


def credit_is_not_released(patch: Patch, world: World) -> None:
    _without(patch, store_credit.release)


def nobody_asks(patch: Patch, world: World) -> None:
    patch.setattr(poll, "ask", lambda payment_id, heard_from: None)


def a_refund_has_no_key(patch: Patch, world: World) -> None:
    """The acquirer takes a repetition for another refund."""
    right, number = FakePay.refund, itertools.count(1)

    def refund(self: FakePay, payment: Any, wish: Any) -> Any:
        return right(self, payment, replace(wish, id=f"{wish.id}-{next(number)}"))

    patch.setattr(FakePay, "refund", refund)


def money_after_the_deadline_is_accepted(patch: Patch, world: World) -> None:
    right = settle._standing

    def generous(hearing: Any, fact: CaptureFact) -> str:
        return right(hearing, CaptureFact(fact.id, fact.money, hearing.order.placed_at))

    patch.setattr(settle, "_standing", generous)


def expiry_reads_first_and_writes_later(patch: Patch, world: World) -> None:
    """Unguarded, with a pause between the two."""

    def end(order_id: int) -> bool:
        order = db.session.get_one(Order, order_id, populate_existing=True)
        ended = order.state not in order_states.PAYABLE
        target = order_states.CANCELLED if order.cancel_requested_at else order_states.EXPIRED
        source, due = order.state, order.cancel_requested_at or order.pay_by <= world.now
        db.session.rollback()
        if ended or not due or order.review_since:
            return ended
        with closing.writing():
            db.session.execute(update(Order).where(Order.id == order_id).values(state=target, ended_at=world.now))
            told = {"source": source, "target": target, "because": "time_over"}
            events.record(order_id, "order.moved", actor="closing", **told)
            saga.undo(order_id)
        return True

    patch.setattr(closing, "_end", end)


def what_is_paid_stays_on_the_shelf(patch: Patch, world: World) -> None:
    patch.setattr(stock, "confirm", lambda order_id: None)


def revived_without_holding_again(patch: Patch, world: World) -> None:
    patch.setattr(settle.holdings, "hold_again", lambda order_id: True)


def a_chargeback_takes_no_money(patch: Patch, world: World) -> None:
    patch.setattr(disputes, "_book_taken", lambda dispute: None)


def what_went_by_hand_is_booked_against_the_acquirer(patch: Patch, world: World) -> None:
    patch.setattr(refund_journals.chart, "BY_HAND", chart.receivable("fakepay"))


def a_transfer_that_bounced_came_back_to_the_acquirer(patch: Patch, world: World) -> None:
    right = refund_journals.post_failed

    def post_failed(refund: Refund, capture: Capture, order: Order) -> None:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(refund_journals, "TO_BANK", "nowhere")
            right(refund, capture, order)

    patch.setattr(refund_journals, "post_failed", post_failed)


def what_goes_together_does_not_move_its_orders(patch: Patch, world: World) -> None:
    patch.setattr(moving, "change_last", lambda *_, **__: None)


def what_is_sold_together_is_sold_for_the_first_order_alone(patch: Patch, world: World) -> None:
    right = stock._sell
    patch.setattr(stock, "_sell", lambda order_ids: right(order_ids[:1]))


SEEDED = (
    the_ledger_is_posted_twice,
    late_money_is_not_refunded,
    amounts_are_not_compared,
    each_try_has_a_key_of_its_own,
    an_opening_that_timed_out_is_never_looked_up,
    stock_is_not_released,
    nobody_asks,
    a_refund_has_no_key,
    money_after_the_deadline_is_accepted,
    expiry_reads_first_and_writes_later,
)
"""Those that any design has to fear."""
MORE = (
    credit_is_not_released,
    what_is_paid_stays_on_the_shelf,
    revived_without_holding_again,
    a_chargeback_takes_no_money,
    what_went_by_hand_is_booked_against_the_acquirer,
    a_transfer_that_bounced_came_back_to_the_acquirer,
    what_goes_together_does_not_move_its_orders,
    what_is_sold_together_is_sold_for_the_first_order_alone,
)
