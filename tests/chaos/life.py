"""Everything that buyers, staff, acquirers, networks, clocks and dying processes do, in any order that hypothesis can
think of.

After each step what must hold in the middle of things; at the end everything heals, and then everything must hold
(`tests.chaos.rest`).
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from shop.checkout import closing, saga
from shop.core.db import db, writing
from shop.core.money import Money
from shop.inventory import stock
from shop.jobs import schedule, work
from shop.ledger import chart, store_credit
from shop.payments import poll, refunds, settle, start
from tests.chaos import rest
from tests.chaos.afterwards import Afterwards
from tests.chaos.beyond import MOST_ORDERS, places, providers, tells, which
from tests.chaos.world import CUSTOMERS, DUE, World, told
from tests.shop_fixtures import KETTLE, PEN

ways_back = st.sampled_from(["provider", "store_credit", "bank"])
some_orders = precondition(lambda life: life.orders)
somebody_sleeps = precondition(lambda life: life.world.asleep)


class Life(Afterwards):
    """The shop's life. `world` is lent by the test."""

    def __init__(self) -> None:
        super().__init__()
        self.checkouts: list[Callable[[], Any]] = []
        self.given: Counter[int] = Counter()
        self.at_leisure = False

    # --- buyers ---

    @initialize(
        sku=st.sampled_from([PEN, KETTLE]),
        quantity=st.integers(1, 4),
        provider=providers,
        customer=st.sampled_from([None, 1]),
        share=st.sampled_from([0, 40]),
        fault=st.sampled_from([None, None, "lose_answer", "lose_request", "refuse"]),
        at_leisure=st.sampled_from([False, False, False, True]),
    )
    def begin(
        self,
        sku: str,
        quantity: int,
        provider: str,
        customer: int | None,
        share: int,
        fault: str | None,
        at_leisure: bool,
    ) -> None:
        self.at_leisure = at_leisure
        if fault:
            self.acquirer.misbehave("start", fault)
        self._place(sku, quantity, provider, customer, share, 0)

    @precondition(lambda life: len(life.checkouts) < MOST_ORDERS)
    @rule(
        sku=st.sampled_from([KETTLE, PEN]),
        quantity=st.integers(1, 6),
        provider=providers,
        customer=st.sampled_from([None, *CUSTOMERS]),
        share=st.sampled_from([0, 40, 100]),
        places=places,
    )
    def place(self, sku: str, quantity: int, provider: str, customer: int | None, share: int, places: int) -> None:
        self._place(sku, quantity, provider, customer, share, places)

    def _place(self, sku: str, quantity: int, provider: str, customer: int | None, share: int, places: int) -> None:
        cart_id, key, total = self.world.fill_cart(sku, quantity)
        buyer = saga.Buyer("ada@example.com", "Ada", "1 Main St", "Taipei", "TW", user_id=customer)
        credit = total * share // 100 if customer else 0
        press = lambda: saga.place_order(cart_id, buyer, provider, key, credit=credit)  # noqa: E731
        self.checkouts.append(press)
        self._do(press, places)

    @rule(number=which, places=places)
    def press_again(self, number: int, places: int) -> None:
        """A double click, a reload, another tab."""
        self._do(self.checkouts[number % len(self.checkouts)], places)

    @some_orders
    @rule(order=which, by=st.sampled_from(["buyer", "sam"]), places=places)
    def cancel(self, order: int, by: str, places: int) -> None:
        order_id = self._order(order)["id"]
        self._do(lambda: closing.cancel_order(order_id, by), places)

    @some_orders
    @rule(order=which, provider=providers, places=places)
    def pay_again(self, order: int, provider: str, places: int) -> None:
        order_id = self._order(order)["id"]
        self._do(lambda: start.open_payment(order_id, provider), places)

    @some_orders
    @rule(order=which, heard_from=st.sampled_from(["view", "return"]), places=places)
    def look(self, order: int, heard_from: str, places: int) -> None:
        order_id = self._order(order)["id"]
        self._do(lambda: poll.check_now(order_id, heard_from), places)

    @some_orders
    @rule(order=which, places=places)
    def give_up_this_way_to_pay(self, order: int, places: int) -> None:
        order_id = self._order(order)["id"]
        self._do(lambda: closing.cancel_payment(order_id), places)

    @some_orders
    @rule(
        order=which, cancels=st.booleans(), seconds=st.sampled_from([0, 1, 60]), tells=tells, place=st.integers(0, 18)
    )
    def pay_in_the_tab_left_open(self, order: int, cancels: bool, seconds: int, tells: str, place: int) -> None:
        """After the buyer has cancelled, or the time is over, where the acquirer takes the money all the same.

        Whoever ends the order may have fallen asleep over it, and goes on after the money was heard of.
        """
        order_id, asleep = self._order(order)["id"], len(self.world.asleep)
        if cancels:
            self._do(lambda: closing.cancel_order(order_id, "buyer"), place)
        else:
            (row,) = self.world.rows("SELECT pay_by FROM orders WHERE id = :id", id=order_id)
            self.world.turn(max(0.0, (told(row["pay_by"]) - self.world.now).total_seconds()))
            self._do(lambda: closing.finish(order_id), place)
        self.world.turn(seconds)
        self.pay_although_closed(order, tells)
        if len(self.world.asleep) > asleep:
            self.wake_up(asleep, 0)

    @rule(buyers=st.integers(2, 4), sku=st.sampled_from([KETTLE, PEN]), places=places)
    def many_buy_and_pay_at_once(self, buyers: int, sku: str, places: int) -> None:
        for _ in range(buyers):
            self._place(sku, 1, "fakepay", None, 0, 0)
        self.write_of_everything_at_once(True, places)

    # --- staff ---

    @some_orders
    @rule(
        order=which,
        percent=st.sampled_from([30, 60, 100]),
        to=ways_back,
        fault=st.sampled_from([None, None, None, "lose_answer", "wait"]),
        at_once=st.booleans(),
        places=places,
    )
    def refund(self, order: int, percent: int, to: str, fault: str | None, at_once: bool, places: int) -> None:
        """Of whatever has come for the order, whichever capture has most left."""
        if fault:
            self.acquirer.misbehave("refund", fault)
        order_id = self._order(order)["id"]
        capture = self._refundable(order_id)
        if capture:
            money = Money(max(1, capture["amount"] * percent // 100), capture["currency"])
            self._do(lambda: refunds.request(capture["id"], money, reason="", by="sam", to=to), places)
        else:
            held = self.world.rows("SELECT amount, currency FROM credit_holds WHERE order_id = :id", id=order_id)
            if held:
                money = Money(max(1, held[0]["amount"] * percent // 100), held[0]["currency"])
                self._do(lambda: refunds.request_credit(order_id, money, reason="", by="sam"), places)
        if at_once:
            self.do_one_thing("refund", 0, 0)

    @some_orders
    @rule(order=which, to=ways_back, places=places)
    def call_off(self, order: int, to: str, places: int) -> None:
        order_id = self._order(order)["id"]
        self._do(lambda: closing.call_off(order_id, "sam", to=to), places)

    @some_orders
    @rule(order=which, places=places)
    def accept(self, order: int, places: int) -> None:
        """What came is taken for the whole."""
        capture = self._refundable(self._order(order)["id"])
        if capture:
            self._do(lambda: settle.accept(capture["id"], by="sam"), places)

    @rule(by=st.sampled_from(["sam", "kim"]), places=places)
    def approve_refunds(self, by: str, places: int) -> None:
        waiting = self.world.rows("SELECT id FROM refunds WHERE needs_two AND approved_by IS NULL ORDER BY id")
        if waiting:
            self._do(lambda: refunds.approve(waiting[0]["id"], by), places)

    @rule(by=st.sampled_from(["sam", "kim"]), places=places)
    def call_off_refunds(self, by: str, places: int) -> None:
        waiting = self.world.rows("SELECT id FROM refunds WHERE needs_two AND approved_by IS NULL ORDER BY id")
        if waiting:
            self._do(lambda: refunds.decline(waiting[-1]["id"], by), places)

    @some_orders
    @rule(order=which, percent=st.sampled_from([30, 100]), sent=st.booleans(), places=places)
    def send_by_hand_and_have_it_bounce(self, order: int, percent: int, sent: bool, places: int) -> None:
        """Somebody may say that it bounced before it was sent; then it has not."""
        capture = self._refundable(self._order(order)["id"])
        if not capture:
            return
        money = Money(max(1, capture["amount"] * percent // 100), capture["currency"])
        self._do(lambda: refunds.request(capture["id"], money, reason="", by="sam", to="bank"))
        by_hand = self.world.rows("SELECT id FROM refunds WHERE destination = 'bank' ORDER BY id DESC")
        if by_hand:
            name = by_hand[0]["id"]
            self._do(lambda: refunds.approve(name, "kim"))
            if sent:
                self._do(lambda: work.batch("refund", [name]))
            self._do(lambda: refunds.bounced(name, "ann"), places)

    @rule(customer=st.sampled_from(CUSTOMERS), amount=st.sampled_from([9000, 50000]))
    def give_credit(self, customer: int, amount: int) -> None:
        self.given[customer] += amount
        key = f"gift:{customer}:{self.given[customer]}"
        with writing():
            store_credit.give(customer, Money(amount, "TWD"), key=key, kind="gift", debit=chart.GOODWILL)

    @rule(sku=st.sampled_from([KETTLE, PEN]), units=st.sampled_from([-3, -1, 2]), price=st.sampled_from([0, 1, -100]))
    def change_the_shelf(self, sku: str, units: int, price: int) -> None:
        """Stock is corrected, and what it costs."""
        with writing():
            if stock.available([sku])[sku] + units >= 0:
                stock.receive(sku, units, "adjustment")
            db.session.execute(
                db.text(
                    "UPDATE products SET prices = json_set(prices, '$.TWD', prices ->> 'TWD' + :by) WHERE sku = :sku"
                ),
                {"by": price, "sku": sku},
            )

    # --- processes and time ---

    @rule(kind=st.sampled_from(sorted(DUE)), item=st.integers(0, 2), places=places)
    def do_one_thing(self, kind: str, item: int, places: int) -> None:
        """A worker does one thing that is due."""
        due = next(one for one in schedule.WORK if one.kind == kind).due()
        if due:
            self._do(lambda: work.batch(kind, [due[item % len(due)]]), places)

    @somebody_sleeps
    @rule(who=st.integers(0, 3), places=places)
    def wake_up(self, who: int, places: int) -> None:
        self.world.wake(self.world.asleep[who % len(self.world.asleep)], places)
        self._see_orders()

    @somebody_sleeps
    @rule(who=st.integers(0, 3))
    def kill(self, who: int) -> None:
        self.world.kill(self.world.asleep[who % len(self.world.asleep)])

    @rule(seconds=st.sampled_from([1, 5, 11, 31, 300, 1790, 1801, 4000, 90000]))
    def time_passes(self, seconds: int) -> None:
        self.world.turn(seconds)

    @precondition(lambda life: not life.set_back)
    @rule()
    def the_clock_is_set_back(self) -> None:
        self.set_back = True
        self.world.turn(-600)

    @rule()
    def sweep(self) -> None:
        self.world.sweep()
        self._see_orders()

    # --- what must hold ---

    @invariant()
    def holds(self) -> None:
        if self.world.changed():
            rest.in_the_middle(self.world)

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:  # what has come to grief already has been found
                rest.heal(self)
                rest.at_rest(self)
        finally:
            self.world.end()


HALF = 750
"""Lives of each of the two tests of a push."""


STEPS = 25


def live(world: World, examples: int, *, steps: int = STEPS, seed: int | None = None, **more: Any) -> None:
    """Let hypothesis think of `examples` lives. Raises what the shortest of those that came to grief has raised."""
    machine = type("Life", (Life,), {"world": world})
    own = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        **{"phases": (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink), **more},
    )
    run_state_machine_as_test(machine if seed is None else hypothesis.seed(seed)(machine), settings=own)
