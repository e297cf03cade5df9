"""Generated histories: actions of customers, staff, acquirers, networks, clocks and dying processes, in any order that
Hypothesis
generates.

Some conditions are checked after each step; at the end all faults are removed, and then every condition is checked
(`tests.chaos.recovery`).
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

from shop.catalogue.models import Product
from shop.checkout import agreement, end_order, place_order
from shop.checkout.placing.request import Customer
from shop.core.actor import Actor
from shop.core.db import db, transaction
from shop.core.money import Money
from shop.inventory import stock
from shop.jobs import schedule, work
from shop.ledger import chart, store_credit
from shop.payments.initiation import initiate
from shop.payments.polling import poll
from shop.payments.refunds import requests
from shop.payments.updates.apply import accept, approve_shortfall
from shop.pricing.decide import Choices
from tests.chaos import recovery
from tests.chaos.external_events import MOST_ORDERS, delivery, places, providers, which
from tests.chaos.fast_databases import parsed
from tests.chaos.later_events import KIM, SAM, Afterwards
from tests.chaos.world import ADDED_TAX_COUNTRY, CODES, CUSTOMERS, DUE, TAX_COUNTRY, World
from tests.parts.selection import sampled
from tests.shop_fixtures import KETTLE, PEN

PLAIN = Choices(TAX_COUNTRY)
choices = st.builds(
    Choices,
    st.sampled_from([TAX_COUNTRY, TAX_COUNTRY, ADDED_TAX_COUNTRY, "JP"]),
    st.sampled_from(["", "express"]),
    st.sampled_from(["", "", *CODES]),
)
"""Country, delivery method and discount code of a customer."""
refund_destinations = st.sampled_from(["provider", "store_credit", "bank"])
some_orders = precondition(lambda history: history.orders)
a_process_sleeps = precondition(lambda history: history.world.asleep)


def _accept(capture_id: int) -> None:
    """Accept an amount, with a second person where that needs one."""
    request = accept(capture_id, by=SAM)
    if request:
        approve_shortfall(request, by=KIM)


class History(Afterwards):
    """A history of the shop. `world` is the test's environment."""

    def __init__(self) -> None:
        super().__init__()
        self.checkouts: list[Callable[[], Any]] = []
        self.given: Counter[int] = Counter()
        self.at_leisure = False

    # --- customers ---

    @initialize(
        sku=st.sampled_from([PEN, KETTLE]),
        quantity=st.integers(1, 4),
        provider=providers,
        customer=st.sampled_from([None, 1]),
        share=st.sampled_from([0, 40]),
        fault=st.sampled_from([None, None, "lose_answer", "lose_request", "refuse"]),
        at_leisure=st.sampled_from([False, False, False, True]),
        choices=choices,
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
        choices: Choices,
    ) -> None:
        self.at_leisure = at_leisure
        if fault:
            self.acquirer.misbehave("start", fault)
        self._place(sku, quantity, provider, customer, share, 0, choices)

    @precondition(lambda history: len(history.checkouts) < MOST_ORDERS)
    @rule(
        sku=st.sampled_from([KETTLE, PEN]),
        quantity=st.integers(1, 6),
        provider=providers,
        customer=st.sampled_from([None, *CUSTOMERS]),
        share=st.sampled_from([0, 40, 100]),
        places=places,
        choices=choices,
    )
    def place(
        self,
        sku: str,
        quantity: int,
        provider: str,
        customer: int | None,
        share: int,
        places: int,
        choices: Choices,
    ) -> None:
        self._place(sku, quantity, provider, customer, share, places, choices)

    def _place(
        self,
        sku: str,
        quantity: int,
        provider: str,
        customer: int | None,
        share: int,
        places: int,
        choices: Choices = PLAIN,
    ) -> None:
        cart_id, key, goods = self.world.fill_cart(sku, quantity)
        details = Customer("ada@example.com", "Ada", "1 Main St", "Taipei", choices.country, user_id=customer)
        charges, total = self.world.charges(goods, choices)
        credit = total * share // 100 if customer else 0
        terms = agreement.terms("TWD", [(sku, quantity, goods // quantity)], charges)
        form = agreement.Shown(key, terms.digest, agreement.customer_mark(key, customer))
        chosen = {"delivery": choices.delivery, "code": choices.code}
        press = lambda: place_order.place_order(cart_id, details, provider, form, credit=credit, **chosen)  # noqa: E731
        self.checkouts.append(press)
        self._do(press, places)

    @rule(number=which, places=places)
    def press_again(self, number: int, places: int) -> None:
        """A double click, a reload, another tab."""
        self._do(self.checkouts[number % len(self.checkouts)], places)

    @some_orders
    @rule(order=which, by=st.sampled_from([Actor.customer(), SAM]), places=places)
    def cancel(self, order: int, by: Actor, places: int) -> None:
        order_id = self._order(order)["id"]
        self._do(lambda: end_order.cancel_order(order_id, by), places)

    @some_orders
    @rule(order=which, provider=providers, places=places)
    def pay_again(self, order: int, provider: str, places: int) -> None:
        order_id = self._order(order)["id"]
        self._do(lambda: initiate.open_payment(order_id, provider), places)

    @some_orders
    @rule(order=which, source=st.sampled_from(["view", "return"]), places=places)
    def look(self, order: int, source: str, places: int) -> None:
        order_id = self._order(order)["id"]
        self._do(lambda: poll.check_now(order_id, source), places)

    @some_orders
    @rule(order=which, places=places)
    def give_up_this_way_to_pay(self, order: int, places: int) -> None:
        order_id = self._order(order)["id"]
        self._do(lambda: end_order.cancel_payment(order_id), places)

    @some_orders
    @rule(
        order=which,
        cancels=st.booleans(),
        seconds=st.sampled_from([0, 1, 60]),
        delivery=delivery,
        place=st.integers(0, 18),
    )
    def pay_in_the_tab_left_open(self, order: int, cancels: bool, seconds: int, delivery: str, place: int) -> None:
        """After cancellation or expiry, at an acquirer that captures anyway.

        The process that ends the order may be suspended, and resume after the capture is known.
        """
        order_id, asleep = self._order(order)["id"], len(self.world.asleep)
        if cancels:
            self._do(lambda: end_order.cancel_order(order_id, Actor.customer()), place)
        else:
            (row,) = self.world.rows("SELECT pay_by FROM orders WHERE id = :id", id=order_id)
            self.world.turn(max(0.0, (parsed(row["pay_by"]) - self.world.now).total_seconds()))
            self._do(lambda: end_order.finish(order_id), place)
        self.world.turn(seconds)
        self.pay_although_closed(order, delivery)
        if len(self.world.asleep) > asleep:
            self.wake_up(asleep, 0)

    @precondition(lambda history: len(history.checkouts) < MOST_ORDERS - 1)
    @rule(sku=st.sampled_from([KETTLE, PEN]), code=st.sampled_from([*CODES]), again=st.booleans(), delivery=delivery)
    def lose_the_code_of_an_order_that_was_paid_in_time(self, sku: str, code: str, again: bool, delivery: str) -> None:
        """The acquirer reports a capture after the order has expired and another one may have used its code."""
        before = len(self.orders)
        self._place(sku, 1, "fakepay", None, 0, 0, Choices(TAX_COUNTRY, "express", code))
        if len(self.orders) == before:
            return
        order_id, taken = self.orders[-1]["id"], self.world.now
        (row,) = self.world.rows("SELECT pay_by FROM orders WHERE id = :id", id=order_id)
        self.world.turn(max(0.0, (parsed(row["pay_by"]) - self.world.now).total_seconds()))
        self._do(lambda: end_order.finish(order_id))
        if again:
            self._place(PEN, 1, "fakepay", None, 0, 0, Choices(TAX_COUNTRY, "", code))
        for remote in self._there(before):
            if not remote.captures:
                self.acquirer.capture(remote.reference, at=taken)
                self._notify(remote, delivery)

    @rule(customers=st.integers(2, 4), sku=st.sampled_from([KETTLE, PEN]), places=places)
    def many_buy_and_pay_at_once(self, customers: int, sku: str, places: int) -> None:
        for _ in range(customers):
            self._place(sku, 1, "fakepay", None, 0, 0)
        self.write_of_everything_at_once(True, places)

    # --- staff ---

    @some_orders
    @rule(
        order=which,
        percent=st.sampled_from([30, 60, 100]),
        to=refund_destinations,
        fault=st.sampled_from([None, None, None, "lose_answer", "wait"]),
        at_once=st.booleans(),
        places=places,
    )
    def refund(self, order: int, percent: int, to: str, fault: str | None, at_once: bool, places: int) -> None:
        """Refund a part of the order's capture with the largest remaining amount."""
        if fault:
            self.acquirer.misbehave("refund", fault)
        order_id = self._order(order)["id"]
        capture = self._refundable(order_id)
        if capture:
            money = Money(max(1, capture["amount"] * percent // 100), capture["currency"])
            self._do(lambda: requests.request(capture["id"], money, reason="", by=SAM, to=to), places)
        else:
            held = self.world.rows("SELECT amount, currency FROM credit_holds WHERE order_id = :id", id=order_id)
            if held:
                money = Money(max(1, held[0]["amount"] * percent // 100), held[0]["currency"])
                self._do(lambda: requests.request_credit(order_id, money, reason="", by=SAM), places)
        if at_once:
            self.do_one_thing("refund", 0, 0)

    @some_orders
    @rule(order=which, to=refund_destinations, places=places)
    def call_off(self, order: int, to: str, places: int) -> None:
        order_id = self._order(order)["id"]
        self._do(lambda: end_order.cancel_or_refund(order_id, SAM, to=to), places)

    @some_orders
    @rule(order=which, places=places)
    def accept(self, order: int, places: int) -> None:
        """Accept the captured amount for the whole order."""
        capture = self._refundable(self._order(order)["id"])
        if capture:
            self._do(lambda: _accept(capture["id"]), places)

    @rule(by=st.sampled_from([SAM, KIM]), places=places)
    def approve_refunds(self, by: Actor, places: int) -> None:
        waiting = self.world.rows("SELECT id FROM refunds WHERE needs_two AND approved_by IS NULL ORDER BY id")
        if waiting:
            self._do(lambda: requests.approve(waiting[0]["id"], by), places)

    @rule(by=st.sampled_from([SAM, KIM]), places=places)
    def call_off_refunds(self, by: Actor, places: int) -> None:
        waiting = self.world.rows("SELECT id FROM refunds WHERE needs_two AND approved_by IS NULL ORDER BY id")
        if waiting:
            self._do(lambda: requests.decline(waiting[-1]["id"], by), places)

    @some_orders
    @rule(order=which, percent=st.sampled_from([30, 100]), sent=st.booleans(), places=places)
    def send_by_hand_and_have_it_bounce(self, order: int, percent: int, sent: bool, places: int) -> None:
        """PaymentUpdateRow a bounced transfer, also before it was sent, which is refused."""
        capture = self._refundable(self._order(order)["id"])
        if not capture:
            return
        money = Money(max(1, capture["amount"] * percent // 100), capture["currency"])
        self._do(lambda: requests.request(capture["id"], money, reason="", by=SAM, to="bank"))
        by_hand = self.world.rows("SELECT id FROM refunds WHERE destination = 'bank' ORDER BY id DESC")
        if by_hand:
            name = by_hand[0]["id"]
            self._do(lambda: requests.approve(name, KIM))
            if sent:
                self._do(lambda: work.batch("refund", [name]))
            self._do(lambda: requests.bounced(name, KIM), places)

    @rule(customer=st.sampled_from(CUSTOMERS), amount=st.sampled_from([9000, 50000]))
    def give_credit(self, customer: int, amount: int) -> None:
        self.given[customer] += amount
        key = f"gift:{customer}:{self.given[customer]}"
        with transaction():
            store_credit.give(customer, Money(amount, "TWD"), key=key, kind="gift", debit=chart.GOODWILL)

    @rule(sku=st.sampled_from([KETTLE, PEN]), units=st.sampled_from([-3, -1, 2]), price=st.sampled_from([0, 1, -100]))
    def change_the_shelf(self, sku: str, units: int, price: int) -> None:
        """Correct stock and price."""
        with transaction():
            if stock.available([sku])[sku] + units >= 0:
                stock.receive(sku, units, "adjustment")
            product = db.session.scalars(db.select(Product).where(Product.sku == sku)).one()
            product.prices = {**product.prices, "TWD": product.prices["TWD"] + price}

    # --- processes and time ---

    @rule(kind=st.sampled_from(sorted(DUE)), item=st.integers(0, 2), places=places)
    def do_one_thing(self, kind: str, item: int, places: int) -> None:
        """A worker runs one due job."""
        due = next(one for one in schedule.WORK if one.kind == kind).due()
        if due:
            self._do(lambda: work.batch(kind, [due[item % len(due)]]), places)

    @a_process_sleeps
    @rule(who=st.integers(0, 3), places=places)
    def wake_up(self, who: int, places: int) -> None:
        self.world.wake(self.world.asleep[who % len(self.world.asleep)], places)
        self._see_orders()

    @a_process_sleeps
    @rule(who=st.integers(0, 3))
    def kill(self, who: int) -> None:
        self.world.kill(self.world.asleep[who % len(self.world.asleep)])

    @rule(seconds=st.sampled_from([1, 5, 11, 31, 300, 1790, 1801, 4000, 90000]))
    def time_passes(self, seconds: int) -> None:
        self.world.turn(seconds)

    @precondition(lambda history: not history.set_back)
    @rule()
    def the_clock_is_set_back(self) -> None:
        self.set_back = True
        self.world.turn(-600)

    @rule()
    def sweep(self) -> None:
        self.world.sweep()
        self._see_orders()

    # --- conditions ---

    @invariant()
    def holds(self) -> None:
        if self.world.changed():
            recovery.check_at_any_time(self.world)

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:  # a failed history is already reported
                recovery.recover(self)
                recovery.check_final_state(self)
        finally:
            self.world.end()


FULL_HALF = 750
HALF = sampled(10, FULL_HALF)
"""Number of histories of each of the two tests, with `--full` and without."""


STEPS = 25


def run_histories(world: World, examples: int, *, steps: int = STEPS, seed: int | None = None, **more: Any) -> None:
    """Run `examples` generated histories. Raises the failure of the shortest failing one."""
    machine = type("History", (History,), {"world": world})
    own = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        **{"phases": (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink), **more},
    )
    run_state_machine_as_test(machine if seed is None else hypothesis.seed(seed)(machine), settings=own)
