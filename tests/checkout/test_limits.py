"""Limits on reservations without payment: orders, units and value, by visitor, e-mail address and client address."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from shop.checkout import cart, place_order, unpaid_limits, unpaid_orders
from shop.checkout.placing.request import Customer
from shop.checkout.unpaid_limits import Amount, TooManyUnpaid
from shop.core import clock
from shop.core.db import db, transaction
from shop.core.errors import Refusal
from shop.core.money import Money
from shop.inventory import stock
from shop.orders import origins
from shop.orders.models import Order
from shop.setting_kinds import CurrencyAmounts
from shop.settings import load
from tests.race_fixtures import Race
from tests.shop_fixtures import KETTLE, PEN, UNITS, Shop

OFFICE = "192.0.2.1"


@pytest.fixture(autouse=True)
def few(shop: Shop) -> None:
    """Low limits: 3 orders, 12 units and NT$40,000 for a visitor, twice that for an address."""
    shop.app.config.update(
        UNPAID_ORDERS_PER_VISITOR=3,
        UNPAID_UNITS_PER_VISITOR=12,
        UNPAID_VALUE_PER_VISITOR=CurrencyAmounts("TWD=4000000"),
        UNPAID_EMAIL_FACTOR=2,
        UNPAID_ADDRESS_FACTOR=2,
    )
    with transaction():
        stock.receive(PEN, 500)
        stock.receive(KETTLE, 500)


class Client:
    """A visitor who places order after order from one cart."""

    def __init__(
        self, shop: Shop, email: str = "ada@example.com", network: str = OFFICE, customer: int | None = None
    ) -> None:
        self.shop, self.email, self.network, self.customer = shop, email, network, customer
        self.cart = cart.create("TWD")

    def order(self, sku: str = PEN, quantity: int = 1, *, credit: int = 0) -> Order:
        cart.add(self.cart, sku, quantity)
        return self.press(credit=credit)

    def press(self, *, credit: int = 0) -> Order:
        customer = Customer(self.email, "Ada", "1 Main St", "Taipei", "TW", user_id=self.customer)
        form = self.shop.form(self.cart, customer=self.customer)
        placed = place_order.place_order(self.cart, customer, "fakepay", form, credit=credit, network=self.network)
        return db.session.get_one(Order, placed.id, populate_existing=True)

    def refused(self, sku: str = PEN, quantity: int = 1) -> TooManyUnpaid:
        before = (cart.load(self.cart).units, stock.available([PEN, KETTLE]), self.shop.count(Order))
        with pytest.raises(TooManyUnpaid) as refusal:
            self.order(sku, quantity)
        after = (cart.load(self.cart).units - quantity, stock.available([PEN, KETTLE]), self.shop.count(Order))
        assert after == before, "nothing is reserved, and the cart is kept"
        cart.change(self.cart, sku, 0)
        return refusal.value


def why(refusal: TooManyUnpaid) -> tuple[str, str, int]:
    return refusal.details["counted_by"], refusal.details["limit"], refusal.status


# --- the decision ---


def test_a_limit_may_be_reached_and_not_passed() -> None:
    most = Amount(3, 12, 1000)
    assert unpaid_limits.exceeded(Amount(2, 11, 999), Amount(1, 1, 1), most) is None
    assert unpaid_limits.exceeded(Amount(3, 0, 0), Amount(1, 0, 0), most) == "orders"
    assert unpaid_limits.exceeded(Amount(0, 12, 0), Amount(1, 1, 0), most) == "units"
    assert unpaid_limits.exceeded(Amount(0, 0, 1000), Amount(1, 1, 1), most) == "value"


# --- by visitor ---


def test_a_visitor_with_too_many_unpaid_orders_has_to_pay_or_cancel_one_first(shop: Shop) -> None:
    visitor = Client(shop)
    orders = [visitor.order() for _ in range(3)]
    refusal = visitor.refused()
    assert why(refusal) == ("visitor", "orders", 409)
    assert refusal.message == "You have 3 unpaid orders. Pay or cancel one of them first."
    shop.cancel(orders[0])
    visitor.order()
    assert why(visitor.refused()) == ("visitor", "orders", 409)
    shop.acquirer.capture(shop.payment(orders[1]).id)
    shop.deliver_webhook(shop.payment(orders[1]))
    visitor.order()
    shop.turn(minutes=31)
    assert shop.state(visitor.order()) == "WAITING_PAYMENT", "orders that expired count no more"


def test_a_visitor_cannot_reserve_more_units_than_the_limit_in_one_order_or_in_several(shop: Shop) -> None:
    visitor = Client(shop)
    assert why(visitor.refused(PEN, 13)) == ("visitor", "units", 409)
    visitor.order(PEN, 10)
    refusal = visitor.refused(PEN, 3)
    assert "for more than 12 items. Pay or cancel it first, or reduce the quantities." in refusal.message
    visitor.order(PEN, 2)


def test_a_visitor_cannot_reserve_more_value_than_the_limit_of_the_currency(shop: Shop) -> None:
    visitor = Client(shop, network="")
    visitor.order(KETTLE, 6)
    shop.app.config["UNPAID_VALUE_PER_VISITOR"] = CurrencyAmounts("TWD=800000")
    assert why(visitor.refused(KETTLE, 1)) == ("visitor", "value", 409)
    shop.app.config["UNPAID_VALUE_PER_VISITOR"] = CurrencyAmounts("USD=1")
    visitor.order(KETTLE, 1)


def test_a_customer_is_counted_over_all_browsers(shop: Shop) -> None:
    customer = shop.customer()
    for number in range(3):
        Client(shop, network=f"192.0.2.{number}", customer=customer).order()
    assert why(Client(shop, network="192.0.2.9", customer=customer).refused()) == ("visitor", "orders", 409)


def test_an_order_that_store_credit_pays_is_no_unpaid_order(shop: Shop) -> None:
    customer = shop.customer(credit=9000 * 5)
    visitor = Client(shop, customer=customer)
    for _ in range(3):
        visitor.order()
    assert shop.state(visitor.order(credit=9000)) == "PAID"


def test_an_order_under_review_is_no_unpaid_order(shop: Shop) -> None:
    visitor = Client(shop)
    orders = [visitor.order() for _ in range(3)]
    payment = shop.payment(orders[0])
    shop.acquirer.capture(payment.id, money=Money(1, "TWD"))
    shop.deliver_webhook(payment)
    visitor.order()


# --- by e-mail and by address ---


def test_orders_for_one_email_address_are_counted_over_all_visitors(shop: Shop) -> None:
    for number in range(6):
        Client(shop, "ada@example.com", f"192.0.2.{number}").order()
    refusal = Client(shop, "Ada@Example.com", "198.51.100.1").refused()
    assert why(refusal) == ("email", "orders", 429) and refusal.retry_after
    Client(shop, "bo@example.com", "198.51.100.1").order()


def test_a_signed_in_customer_is_not_held_back_by_what_guests_order_with_their_email_address(shop: Shop) -> None:
    for number in range(6):
        Client(shop, "ada@example.com", f"192.0.2.{number}").order()
    Client(shop, "ada@example.com", "198.51.100.1", customer=shop.customer()).order()


def test_visitors_of_one_address_together_have_a_higher_limit_than_one_visitor(shop: Shop) -> None:
    for number in range(6):
        Client(shop, f"c{number}@example.com").order()
    refusal = Client(shop, "c7@example.com").refused()
    assert why(refusal) == ("address", "orders", 429)
    assert "from your network" in refusal.message
    Client(shop, "c7@example.com", "198.51.100.1").order()


def test_a_customer_who_has_paid_before_is_not_held_back_by_others_at_the_same_address(shop: Shop) -> None:
    """Strangers behind one address do not close the shop to the customers there that it knows."""
    known, new = shop.customer(), shop.customer()
    shop.paid_order((KETTLE, 1), customer=known)
    for number in range(6):
        Client(shop, f"guest{number}@example.com").order()
    assert why(Client(shop, customer=new).refused()) == ("address", "orders", 429)
    refusal = Client(shop, "other@example.com").refused()
    assert why(refusal) == ("address", "orders", 429)
    assert "try again in ten minutes" in refusal.message and "sign in to order now" in refusal.message
    for _ in range(3):
        Client(shop, customer=known).order()
    assert why(Client(shop, customer=known).refused()) == ("visitor", "orders", 409), "their own limit stays"


def test_orders_from_unknown_addresses_are_not_counted_together(shop: Shop) -> None:
    for number in range(8):
        Client(shop, f"c{number}@example.com", "unknown").order()


# --- at the same moment ---


def test_eight_checkouts_of_one_address_at_once_do_not_get_past_its_limit(shop: Shop, race: Race) -> None:
    clients = [Client(shop, f"c{number}@example.com") for number in range(8)]
    for client in clients:
        cart.add(client.cart, PEN, 1)
    results = race(lambda number: clients[number].press())
    assert kinds(results) == {"Order": 6, "too_many_unpaid": 2}


def test_eight_checkouts_of_one_customer_at_once_do_not_get_past_the_limit(shop: Shop, race: Race) -> None:
    customer = shop.customer()
    clients = [Client(shop, network=f"192.0.2.{number}", customer=customer) for number in range(8)]
    for client in clients:
        cart.add(client.cart, PEN, 5)
    results = race(lambda number: clients[number].press())
    assert kinds(results) == {"Order": 2, "own_orders_unpaid": 6}, "two orders of five units are within twelve"


def test_eight_checkouts_with_one_email_address_at_once_do_not_get_past_its_limit(shop: Shop, race: Race) -> None:
    clients = [Client(shop, network=f"192.0.2.{number}") for number in range(8)]
    for client in clients:
        cart.add(client.cart, PEN, 1)
    assert kinds(race(lambda number: clients[number].press())) == {"Order": 6, "too_many_unpaid": 2}


def kinds(results: list[Any]) -> Counter[str]:
    return Counter(r.code if isinstance(r, Refusal) else type(r).__name__ for r in results)


# --- attribution ---


def test_a_visitors_own_unpaid_orders_are_found_by_the_cart_and_by_the_account(shop: Shop) -> None:
    customer = shop.customer()
    guest, other = Client(shop), Client(shop)
    mine, theirs = guest.order(), other.order()
    at_home = Client(shop, customer=customer).order()
    assert [o.id for o in origins.own_unpaid(guest.cart, None)] == [mine.id]
    assert [o.id for o in origins.own_unpaid(other.cart, None)] == [theirs.id]
    assert [o.id for o in origins.own_unpaid(guest.cart, customer)] == [at_home.id, mine.id]
    assert origins.own_unpaid(None, None) == ()
    shop.cancel(mine)
    assert origins.own_unpaid(guest.cart, None) == []


def test_a_cart_that_gets_another_id_keeps_its_visitors_orders(shop: Shop) -> None:
    guest = Client(shop)
    order = guest.order()
    with transaction():
        origins.carry_over(guest.cart, "renewed")
    assert [o.id for o in origins.own_unpaid("renewed", None)] == [order.id]
    assert origins.own_unpaid(guest.cart, None) == []


# --- the settings ---


def test_with_the_default_settings_one_visitor_cannot_reserve_the_whole_stock(shop: Shop) -> None:
    shop.app.config.update({k: v for k, v in load({"SETTLED_ENV": "development"}).items() if k.startswith("UNPAID_")})
    visitor = Client(shop)
    reserved = 0
    with pytest.raises(TooManyUnpaid):
        for _ in range(100):
            visitor.order(PEN, 99)
            reserved += 99
    assert reserved == 198
    assert UNITS < 99, "and not because the shelf is empty"


def test_repeated_refusals_are_counted_until_there_is_a_pause(shop: Shop) -> None:
    def row() -> unpaid_orders.ReservationRefusal:
        db.session.rollback()
        return db.session.scalars(db.select(unpaid_orders.ReservationRefusal)).one()

    visitor = Client(shop)
    for _ in range(3):
        visitor.order()
    began = clock.now()
    for _ in range(3):
        visitor.refused()
        shop.wait(minutes=6)
    assert (row().refusals, row().counted_by) == (3, "visitor") and (row().first_at - began).total_seconds() < 5
    shop.wait(minutes=5)
    for _ in range(2):
        with pytest.raises(TooManyUnpaid):
            visitor.order(PEN, 13)
    assert row().refusals == 2
    shop.sweep()
