"""Alerts about stock reserved without payment, and about clients that keep trying to reserve more."""

from __future__ import annotations

import pytest

from shop.checkout import place_order, unpaid_limits
from shop.checkout.placing.request import Customer
from shop.core.db import transaction
from shop.inventory import stock
from tests.alerts.helpers import operational
from tests.shop_fixtures import KETTLE, PEN, Shop


def raised(rule: str) -> list[tuple[str, str]]:
    """Subject and state of each alert of a rule."""
    return [(subject, state) for found, subject, state in operational() if found == rule]


def refuse(shop: Shop, network: str, times: int) -> None:
    """Refuse a client of this network."""
    shop.app.config["UNPAID_UNITS_PER_VISITOR"] = 1
    for _ in range(times):
        cart_id = shop.cart((PEN, 2))
        customer = Customer("ada@example.com", "Ada", "1 Main St", "Taipei", "TW")
        with pytest.raises(unpaid_limits.TooManyUnpaid):
            place_order.place_order(cart_id, customer, "fakepay", shop.form(cart_id), network=network)


def test_a_network_that_is_refused_again_and_again_is_one_alert_until_it_is_quiet(shop: Shop) -> None:
    refuse(shop, "192.0.2.1", 9)
    refuse(shop, "192.0.2.2", 1)
    shop.turn(minutes=1)
    assert raised("OPS_UNPAID_LIMIT") == []
    refuse(shop, "192.0.2.1", 3)
    for _ in range(3):
        shop.turn(minutes=1)
    assert raised("OPS_UNPAID_LIMIT") == [("192.0.2.1", "NEW")]
    shop.turn(minutes=10)
    assert raised("OPS_UNPAID_LIMIT") == [("192.0.2.1", "RESOLVED")]
    refuse(shop, "192.0.2.1", 10)
    shop.turn(minutes=1)
    assert raised("OPS_UNPAID_LIMIT") == [("192.0.2.1", "RESOLVED"), ("192.0.2.1", "NEW")]


def test_half_of_a_stock_in_unpaid_orders_is_an_alert_after_ten_minutes_until_it_is_less(shop: Shop) -> None:
    with transaction():
        stock.receive(PEN, 40)
    shop.order((KETTLE, 9))
    first, second = shop.order((PEN, 15)), shop.order((PEN, 10))
    shop.turn(minutes=9)
    assert raised("OPS_STOCK_HELD") == [], "they may be paying just now"
    shop.turn(minutes=2)
    shop.turn(minutes=2)
    assert raised("OPS_STOCK_HELD") == [(PEN, "NEW")], "nine of ten kettles are a small number"
    shop.cancel(first)
    shop.turn(minutes=1, seconds=1)
    assert raised("OPS_STOCK_HELD") == [(PEN, "RESOLVED")]
    shop.cancel(second)
    shop.order((PEN, 30))
    for _ in range(2):
        shop.turn(minutes=11)
    assert raised("OPS_STOCK_HELD") == [(PEN, "RESOLVED"), (PEN, "NEW")]
    shop.turn(minutes=31)
