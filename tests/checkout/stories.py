"""Steps that bring an order of the fake acquirer into a state."""

from __future__ import annotations

from collections.abc import Callable

from shop.orders.models import Order
from tests.shop_fixtures import Shop

Story = Callable[[Shop], Order]


def opened_with(fault: str) -> Story:
    def story(shop: Shop) -> Order:
        shop.acquirer.misbehave("start", fault)
        return shop.order()

    return story


def ended(state: str, reason: str) -> Story:
    def story(shop: Shop) -> Order:
        order = shop.order()
        shop.acquirer.end(shop.payment(order).id, state, reason)
        shop.deliver_webhook(shop.payment(order))
        return order

    return story


def cancelled(shop: Shop) -> Order:
    order = shop.order()
    shop.cancel(order)
    return order


def expired(shop: Shop) -> Order:
    order = shop.order()
    shop.turn(minutes=31)
    return order
