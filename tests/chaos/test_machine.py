"""Everything that buyers, acquirers, networks and clocks do, in any order that hypothesis can think of.

The real rooms on SQLite with a clock that is turned. After each step what must hold in the middle of things; at the end
everything heals, and then everything must hold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from shop.checkout import saga
from shop.core.db import db
from shop.core.errors import Refusal
from shop.core.money import Money
from shop.inventory import stock
from shop.orders import states as order_states
from shop.orders.models import Order
from shop.payments import poll, registry, settle, states
from shop.payments.models import Capture, Payment
from shop.payments.provider import Facts
from shop.reports import invariants
from tests.fakes import Remote
from tests.shop_fixtures import KETTLE, PEN, PRICES, UNITS, Shop, empty

ALWAYS = ("2 stock", "2 reservations", "3 paid", "4 one payment", "6 history")
"""What must hold in the middle of things; the others give the shop some time."""
AT_REST = {"PAID", "EXPIRED", "CANCELLED"}


class Life(RuleBasedStateMachine):
    """The shop's life. `shop` is lent by the test."""

    shop: Shop
    orders = Bundle("orders")
    letters = Bundle("letters")
    answers = Bundle("answers")

    def __init__(self) -> None:
        super().__init__()
        self.acquirer = self.shop.acquirer
        self.acquirer.payments.clear()
        self.acquirer.does.clear()
        self.acquirer.away = False
        self.shop.app.extensions.pop("settled_clock", None)
        empty(db.session)
        self.placed: list[Order] = []
        self.unread: list[tuple[dict[str, str], bytes]] = []
        self.number = 0

    # --- buyers ---

    @rule(target=orders, sku=st.sampled_from([KETTLE, PEN]), quantity=st.integers(1, 4))
    def place(self, sku: str, quantity: int) -> Order | None:
        if stock.available([sku])[sku] < quantity:
            return None
        self.placed.append(self.shop.order((sku, quantity)))
        return self.placed[-1]

    @rule(order=orders)
    def cancel(self, order: Order | None) -> None:
        self._try(order, self.shop.cancel)

    @rule(order=orders, provider=st.sampled_from(["fakepay", "otherpay"]))
    def pay_again(self, order: Order | None, provider: str) -> None:
        self._try(order, lambda order: self.shop.pay_again(order, provider))

    @rule(order=orders, heard_from=st.sampled_from(["view", "return"]))
    def look(self, order: Order | None, heard_from: str) -> None:
        self._try(order, lambda order: poll.check_now(order.id, heard_from))

    # --- what happens at the acquirer ---

    @rule(order=orders)
    def approve(self, order: Order | None) -> None:
        for remote in self._there(order):
            if remote.state == states.OPEN:
                self.acquirer.capture(remote.reference)

    @rule(order=orders)
    def approve_although_closed(self, order: Order | None) -> None:
        for remote in self._there(order):
            if not remote.captures:
                self.acquirer.capture(remote.reference)

    @rule(order=orders)
    def take_twice(self, order: Order | None) -> None:
        """The shop asks once more after a capture; whoever charges again later than that has to say so."""
        for remote in self._there(order):
            if len(remote.captures) == 1:
                self.acquirer.capture(remote.reference)
                self.write(order)

    @rule(order=orders, difference=st.sampled_from([-1, 1, 100]))
    def take_another_amount(self, order: Order | None, difference: int) -> None:
        for remote in self._there(order):
            if remote.state == states.OPEN:
                money = Money(remote.money.amount + difference, remote.money.currency)
                self.acquirer.capture(remote.reference, money=money)

    @rule(order=orders, end=st.sampled_from(["FAILED", "CANCELLED", "EXPIRED"]))
    def give_up(self, order: Order | None, end: str) -> None:
        for remote in self._there(order):
            if remote.state == states.OPEN:
                self.acquirer.end(remote.reference, end, "customer")

    @rule(order=orders)
    def decline(self, order: Order | None) -> None:
        for remote in self._there(order):
            if remote.state == states.OPEN:
                self.acquirer.decline(remote.reference)

    # --- the network ---

    @rule(target=letters, order=orders)
    def write(self, order: Order | None) -> list[tuple[dict[str, str], bytes]]:
        """Webhooks about the present are written; when they arrive is another matter, and whether."""
        written = []
        for remote in self._there(order):
            self.number += 1
            written.append(self.acquirer.webhook(remote.reference, f"evt-{self.number}"))
        self.unread += written
        return written

    @rule(letter=letters)
    def deliver(self, letter: list[tuple[dict[str, str], bytes]]) -> None:
        for webhook in letter:
            assert self.shop.receive(*webhook)[0] == 200

    @rule(operation=st.sampled_from(["start", "cancel"]), fault=st.sampled_from(["lose_answer", "lose_request"]))
    def misbehave(self, operation: str, fault: str) -> None:
        self.acquirer.misbehave(operation, fault)

    @rule()
    def refuse_the_next(self) -> None:
        self.acquirer.misbehave("start", "refuse")

    @rule()
    def leave(self) -> None:
        self.acquirer.away = True

    @rule()
    def come_back(self) -> None:
        self.acquirer.away = False

    @rule(target=answers, order=orders)
    def ask_and_fall_asleep(self, order: Order | None) -> list[tuple[str, Facts]]:
        """A worker has its answer and is stopped before it says so."""
        found = []
        for payment in self.shop.payments(order) if order else []:
            remote = self.acquirer.payments.get(payment.id)
            provider: Any = registry.get(payment.provider)
            if remote and not self.acquirer.away:
                found.append((payment.id, provider._facts(remote)))
        return found

    @rule(answer=consumes(answers))
    def wake_up(self, answer: list[tuple[str, Facts]]) -> None:
        for payment_id, facts in answer:
            settle.settle(payment_id, facts, "poll")

    # --- time ---

    @rule(seconds=st.sampled_from([1, 5, 11, 31, 300, 1790, 1801, 4000]))
    def time_passes(self, seconds: int) -> None:
        self.shop.wait(seconds=seconds)

    @rule()
    def sweep(self) -> None:
        self.shop.sweep()

    # --- what must hold ---

    @invariant()
    def holds(self) -> None:
        broken = [f for f in invariants.check(ask_acquirer=False) if f.name in ALWAYS and not f.holds]
        assert not broken, broken

    def teardown(self) -> None:
        self.acquirer.away = False
        self.acquirer.does.clear()
        for webhook in self.unread[::-1]:
            self.shop.receive(*webhook)
        for seconds in (61, 31, 1801, 61, 31, 31, 31, 4000, 86400, 31, 31):
            self.shop.turn(seconds=seconds)
        self.shop.is_sound()
        for order in self.placed:
            row = db.session.get_one(Order, order.id, populate_existing=True)
            assert row.review_since or row.state in AT_REST, row.state
            assert not [p for p in self.shop.payments(order) if p.is_open]
        self._money_is_known()
        assert not self._open_at_rest()

    def _money_is_known(self) -> None:
        """Every capture there is booked here, once, and what paid was exactly the price."""
        there = {c.id: (r.reference, c.money) for r in self.acquirer.payments.values() for c in r.captures}
        rows = list(db.session.scalars(db.select(Capture)))
        assert {row.capture_id: (row.payment_id, row.money) for row in rows} == there
        assert len(rows) == len(there)
        for row in rows:
            order = db.session.get_one(Order, db.session.get_one(Payment, row.payment_id).order_id)
            assert (row.standing == "mismatch") is (row.money != order.total)
            assert (row.standing != "paid") or order.state == order_states.PAID

    def _open_at_rest(self) -> list[Remote]:
        """What the acquirer would still take money for, although its order has ended."""
        ended = {p.id for o in self.placed for p in self.shop.payments(o) if self.shop.state(o) in AT_REST}
        return [r for r in self.acquirer.payments.values() if r.reference in ended and r.state == states.OPEN]

    # --- help ---

    def _there(self, order: Order | None) -> list[Remote]:
        ours = [p.id for p in self.shop.payments(order)] if order else []
        return [self.acquirer.payments[p] for p in ours if p in self.acquirer.payments]

    def _try(self, order: Order | None, do: Callable[[Order], Any]) -> None:
        if order is not None:
            try:
                do(order)
            except Refusal:
                db.session.rollback()


def live(shop: Shop, examples: int, **more: Any) -> None:
    """Let hypothesis think of `examples` lives."""
    machine = type("Life", (Life,), {"shop": shop})
    own = settings(
        max_examples=examples,
        stateful_step_count=18,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        **more,
    )
    run_state_machine_as_test(machine, settings=own)


on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@on_sqlite
def test_whatever_happens_in_whatever_order_everything_heals_and_every_sum_is_right(shop: Shop) -> None:
    assert (PRICES[PEN]["TWD"], UNITS) == (9000, 10)
    live(shop, 30)


def nothing_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = tuple(saga.Step(step.name, lambda order_id: None) for step in saga.STEPS)
    monkeypatch.setattr(saga, "STEPS", steps)


def amounts_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    standing = settle._standing

    def careless(hearing: Any, fact: Any) -> str:
        return standing(hearing, type(fact)(fact.id, hearing.payment.money, fact.at))

    monkeypatch.setattr(settle, "_standing", careless)


def nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poll, "ask", lambda payment_id, heard_from: None)


def what_is_paid_stays_on_the_shelf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stock, "confirm", lambda order_id: None)


PLANTED = (nothing_is_released, amounts_are_not_compared, nobody_asks, what_is_paid_stays_on_the_shelf)


@on_sqlite
@pytest.mark.slow
@pytest.mark.parametrize("mistake", PLANTED)
def test_a_mistake_that_is_planted_is_found(
    app: Any, mistake: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test of the test above: it has to fail."""
    with app.app_context():
        mistake(monkeypatch)
        with pytest.raises((AssertionError, ExceptionGroup)):
            live(Shop(app), 120, derandomize=True, phases=[Phase.generate])
