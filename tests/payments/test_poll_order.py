"""Order of polling when a provider allows fewer queries than are due."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shop.core import clock, rate_limit
from shop.core.db import db, transaction
from shop.inventory import stock
from shop.orders.models import Order, OrderOrigin
from shop.payments.calls import circuit_breaker, request
from shop.payments.polling import fairness, poll
from shop.payments.polling.fairness import DuePayment
from shop.payments.providers import registry
from shop.payments.providers.capabilities import Capabilities
from shop.payments.records.models import ProviderHealth
from tests.fakes import FakePay
from tests.shop_fixtures import PEN, Shop

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def payment(number: int, *, due: int = 0, order: int = 0, watched: bool = False, network: str = "") -> DuePayment:
    """A payment that was due `due` seconds after noon, by default of its own order."""
    at = NOON + timedelta(seconds=due)
    return DuePayment(f"P{number:04}", order or number, "fakepay", at, watched, network)


def chosen(payments: list[DuePayment], most: int) -> list[int]:
    return [int(name[1:]) for name in fairness.choose(payments, {"fakepay": most})]


def test_of_equals_the_longest_due_is_first() -> None:
    assert chosen([payment(1, due=3), payment(2, due=1), payment(3, due=2)], 2) == [2, 3]


def test_a_thousand_orders_from_one_network_delay_another_customers_poll_by_one() -> None:
    cheap = [payment(number, network="192.0.2.1") for number in range(1, 1001)]
    customer = payment(2000, due=60, network="198.51.100.7")
    assert chosen([*cheap, customer], 2) == [1, 2000]
    assert chosen([*cheap, replace(customer, network="")], 2) == [1, 2000], "nor when nobody knows where it is from"


def test_networks_take_turns() -> None:
    payments = [payment(n, network="A") for n in (1, 2, 3)] + [payment(n, due=9, network="B") for n in (4, 5)]
    assert chosen(payments, 5) == [1, 4, 2, 5, 3]


def test_the_orders_of_one_client_take_turns() -> None:
    payments = [payment(n, due=n, order=1, network="A") for n in (1, 2, 3)] + [payment(4, due=9, order=2, network="A")]
    assert chosen(payments, 4) == [1, 4, 2, 3]


def test_orders_whose_page_is_open_come_first_and_the_others_keep_a_share() -> None:
    watched = [payment(n, due=60, watched=True) for n in range(1, 10)]
    others = [payment(n, due=n) for n in range(11, 20)]
    assert chosen([*others, *watched], 8) == [1, 11, 2, 3, 4, 12, 5, 6]
    assert chosen([*others, *watched[:1]], 3) == [1, 11, 12]
    assert chosen(watched, 2) == [1, 2]


def test_a_thousand_open_pages_of_one_network_do_not_delay_another_open_page() -> None:
    crowd = [payment(n, watched=True, network="A") for n in range(1, 1001)]
    assert chosen([*crowd, payment(2000, due=9, watched=True, network="B")], 3) == [1, 2000, 2]


def test_every_provider_has_its_own_number_of_polls() -> None:
    slow = [payment(n) for n in (1, 2, 3)]
    quick = [replace(payment(n), provider="otherpay") for n in (4, 5, 6)]
    assert fairness.choose([*slow, *quick], {"fakepay": 1, "otherpay": 2}) == ["P0001", "P0004", "P0005"]


# --- in the shop ---


class SlowPay(FakePay):
    """A provider that allows one query a second."""

    capabilities = Capabilities(frozenset({"TWD"}), start_again=True, queries_per_second=1)


def slow(shop: Shop) -> None:
    registry.all_providers()["fakepay"] = SlowPay(shop.acquirer)
    with transaction():
        stock.receive(PEN, 100)


def from_network(shop: Shop, network: str) -> Order:
    order = shop.order((PEN, 1))
    with transaction():
        db.session.get_one(OrderOrigin, order.id).network = network
    return order


def test_a_viewed_order_is_polled_at_once_beside_many_orders_of_one_network(shop: Shop) -> None:
    slow(shop)
    crowd = [from_network(shop, "192.0.2.1") for _ in range(20)]
    alone, watched = from_network(shop, "198.51.100.7"), from_network(shop, "192.0.2.1")
    shop.wait(seconds=11)
    poll.make_due(watched.id, "view")
    ids = {order.id: shop.payment(order).id for order in (*crowd, alone, watched)}
    first = poll.due_payments()
    assert len(first) == 2, "as many as are answered before the next looks"
    assert first[0] == ids[watched.id] and first[1] in {ids[crowd[0].id], ids[alone.id]}
    assert [taken.id for taken in poll.claim(first)] == first
    second = poll.due_payments()
    assert {first[1], *second} >= {ids[alone.id]}, "the other network's turn has come"
    registry.all_providers()["fakepay"] = FakePay(shop.acquirer)
    shop.sweep()


def test_one_sweep_polls_every_due_payment_once(shop: Shop) -> None:
    with transaction():
        stock.receive(PEN, 100)
    orders = [shop.order((PEN, 1)) for _ in range(24)]
    shop.app.config["CALLS_PER_SECOND"] = 2
    shop.wait(seconds=11)
    assert len(poll.due_payments()) == 4
    shop.app.config["CALLS_PER_SECOND"] = 1000
    shop.sweep()
    requested = Counter(reference for operation, reference in shop.acquirer.calls if operation == "query")
    assert requested == Counter(shop.payment(order).id for order in orders)


def test_a_poll_that_was_not_sent_counts_as_no_failure_of_the_acquirer(shop: Shop) -> None:
    order = shop.order((PEN, 1))
    shop.wait(seconds=11)
    (taken,) = poll.claim([shop.payment(order).id])
    answer = circuit_breaker.RateUsedUp("too many", retry_after=1.0)
    requested = request.load(taken.id)
    assert requested
    poll._apply_answer(requested, registry.all_providers()["fakepay"], answer, "poll")
    payment = shop.payment(order)
    assert payment.unavailable_since is None and shop.count(ProviderHealth) == 0
    assert shop.next_wait(order) <= timedelta(seconds=1)


def test_a_poll_that_was_not_sent_keeps_its_place_before_those_that_are_due_later(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = []
    for number in range(6):
        orders.append(from_network(shop, f"192.0.2.{number}"))
        shop.wait(seconds=1)
    shop.wait(seconds=10)
    longest_due = shop.payment(orders[0]).id
    assert poll.due_payments()[0] == longest_due
    monkeypatch.setattr(rate_limit, "wait_for_turn", lambda *_, **__: False)
    assert poll.check(longest_due) is None
    monkeypatch.undo()
    shop.wait(seconds=1)
    assert poll.due_payments()[0] == longest_due
    shop.sweep()


def test_a_page_that_is_open_keeps_its_payment_watched_for_45_s(shop: Shop) -> None:
    order = shop.order((PEN, 1))

    def watched() -> bool:
        until: datetime | None = shop.payment(order).watched_until
        return until is not None and until > clock.now()

    assert not watched()
    poll.make_due(order.id, "view")
    assert watched()
    shop.turn(seconds=46)
    assert not watched()
