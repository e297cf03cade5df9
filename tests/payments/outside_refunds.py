"""Refunds made at the acquirer, and the three sources that report them: webhook, query and settlement file."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from shop.core import clock
from shop.core.actor import Actor
from shop.core.money import Money
from shop.orders.models import Order
from shop.payments.polling import poll
from shop.payments.settlement import reconcile
from tests.payments.trading import Trading
from tests.race_fixtures import Race
from tests.shop_fixtures import Shop

PROVIDERS = ("kpay", "tpay", "paypay", "stripe")


def refund_there(shop: Shop, order: Order, percent: int = 100, **more: Any) -> str:
    """Refund a share of the order in the acquirer's dashboard; returns the refund's id there."""
    payment = shop.payment(order)
    capture = shop.acquirer.payments[payment.id].captures[-1]
    money = Money(capture.money.amount * percent // 100, capture.money.currency)
    return shop.acquirer.refund_outside(capture.id, money, **more)


def reported_by_webhook(shop: Shop, refund: str, event: str = "evt-refund") -> tuple[int, str]:
    return shop.receive(*shop.acquirer.refund_webhook(refund, event))


def reported_by_query(shop: Shop, order: Order) -> str | None:
    return poll.query(shop.payment(order).id, "poll")


def reported_by_file(shop: Shop, order: Order, refund: str) -> None:
    capture, money, _ = shop.acquirer.refunds[refund]
    at, payment = clock.now().isoformat(), shop.payment(order).id
    line = [f"l-{refund}", "refund", refund, payment, capture, -money.amount, 0, money.currency, at]
    reconcile.reconcile("fakepay", clock.now().date(), json.dumps([line]).encode(), by=Actor.operator(), fetched=True)


def outside(shop: Shop, order: Order) -> list[tuple[str, str, int]]:
    return [(one.id, one.state, one.amount) for one in shop.refunds(order) if one.kind == "outside"]


REPORTS: dict[str, Callable[[Shop, Order, str], Any]] = {
    "webhook": lambda shop, order, refund: reported_by_webhook(shop, refund),
    "query": lambda shop, order, refund: reported_by_query(shop, order),
    "file": reported_by_file,
}


def report_by_all(shop: Shop, order: Order, refund: str, first: str) -> None:
    """PaymentUpdateRow the refund by all three sources, one of them first."""
    for source in (first, *REPORTS):
        REPORTS[source](shop, order, refund)


def reported_by_eight_at_once(shop: Shop, race: Race, order: Order, refund: str) -> None:
    """PaymentUpdateRow a refund by webhook, query and settlement file at the same moment; none of them fails."""

    def report(number: int) -> Any:
        if number % 3 == 0:
            return reported_by_webhook(shop, refund, f"evt-{refund}-{number}")
        return reported_by_query(shop, order) if number % 3 == 1 else reported_by_file(shop, order, refund)

    results = race(report)
    assert not [one for one in results if isinstance(one, Exception)], results


def late_capture(shop: Shop, fault: str = "") -> Order:
    """An expired order with a late capture; `fault` is a fault of its refunds."""
    order = shop.order()
    payment = shop.payment(order)
    shop.turn(minutes=31)
    shop.acquirer.capture(payment.id)
    if fault:
        shop.acquirer.misbehave("refund", fault)
    shop.deliver_webhook(payment)
    return order


def webhook_sent(trading: Trading, order: Order) -> tuple[dict[str, str], bytes] | None:
    """The webhook about the refund, as the acquirer tried to send it."""
    path = f"/deliveries?payment={trading.shop.payment(order).id}"
    for delivery in trading.acquirer.sim("GET", path)["deliveries"]:
        if delivery["event"]["type"].startswith("refund.") and delivery["attempts"]:
            attempt = delivery["attempts"][0]
            return attempt["headers"], attempt["body"].encode()
    return None
