"""Both ledgers of an order: equal, or with their difference, or with an unreachable acquirer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shop.core.db import db
from shop.core.money import Money
from shop.explain.order_rows import OrderRows
from shop.explain.why import why
from shop.integrity.compare import compare_with_acquirer
from shop.orders.models import Order
from shop.payments.records.models import Capture, Payment
from shop.payments.refunds import requests
from tests.payments.trading import CURRENCY, QUIET, Trading
from tests.real_acquirer_fixtures import RealAcquirer
from tests.shop_fixtures import Shop


def paid(shop: Shop) -> Order:
    order = shop.order()
    shop.acquirer.capture(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order))
    return order


def sides(order: Order) -> dict[str, Any]:
    db.session.rollback()
    shown = compare_with_acquirer(order.id)
    assert json.loads(json.dumps(shown)) == shown
    return shown


def test_a_paid_order_agrees_and_shows_its_journals(shop: Shop) -> None:
    order = paid(shop)
    shown = sides(order)
    (payment,) = shown["payments"]
    assert (shown["difference"], payment["difference"], payment["theirs"]["answer"]) == ({}, {}, "found")
    assert payment["ours"]["captures"][0]["id"] == payment["theirs"]["captures"][0]["id"]
    (journal,) = shown["journals"]
    assert {(e["account"], e["amount"]) for e in journal["entries"]} == {
        ("receivable:fakepay", 120000),
        ("sales", -120000),
    }
    assert why(OrderRows(order)).startswith("Paid because")


def test_a_capture_that_was_not_reported_is_the_difference(shop: Shop) -> None:
    order = shop.order()
    shop.acquirer.capture(shop.payment(order).id)
    assert sides(order)["difference"] == {"TWD": -120000}
    assert shop.state(order) == "WAITING_PAYMENT", "a comparison applies nothing"
    shop.turn(minutes=1)
    assert sides(order)["difference"] == {}


def test_a_capture_that_the_acquirer_lacks_is_the_difference(shop: Shop) -> None:
    order = paid(shop)
    shop.acquirer.payments[shop.payment(order).id].captures.clear()
    assert sides(order)["difference"] == {"TWD": 120000}


def test_a_refund_done_only_at_the_acquirer_is_the_difference_until_it_is_reported(shop: Shop) -> None:
    order = paid(shop)
    shop.acquirer.misbehave("refund", "wait")
    capture = db.session.scalars(db.select(Capture).join(Payment).where(Payment.order_id == order.id)).one()
    requested = requests.request(capture.id, Money(20000, "TWD"), reason="", by=shop.sam)
    shop.sweep()
    assert sides(order)["difference"] == {}, "pending on both sides"
    theirs, money, _ = shop.acquirer.refunds[requested.id]
    shop.acquirer.refunds[requested.id] = (theirs, money, "DONE")
    assert sides(order)["difference"] == {"TWD": 20000}
    shop.turn(minutes=1)
    assert sides(order)["difference"] == {}


def test_a_manual_refund_is_no_difference_and_shows_its_destination(shop: Shop) -> None:
    order = paid(shop)
    refund = requests.request(shop.capture(order), Money(20000, "TWD"), reason="", by=shop.sam, to="bank").id
    requests.approve(refund, shop.kim)
    shop.sweep()
    (payment,) = sides(order)["payments"]
    assert (payment["difference"], payment["theirs"]["refunds"]) == ({}, [])
    shown = shop.app.test_cli_runner().invoke(args=["orders", "show", order.number]).stdout
    assert f"{refund} -NT$200 to bank DONE" in shown
    assert f"reported by kim@example.com; NT$200 of {order.total.with_code()} has been refunded" in shown


def test_an_unavailable_acquirer_is_reported_as_such_without_a_result(shop: Shop) -> None:
    order = paid(shop)
    shop.acquirer.away = True
    shown = sides(order)
    assert shown["difference"] is None
    assert shown["payments"][0]["theirs"] == {"answer": "unavailable", "reason": "away"}
    assert shown["payments"][0]["ours"]["captures"]
    shop.acquirer.away = False


def test_a_payment_that_the_acquirer_never_had_is_not_found(shop: Shop) -> None:
    shop.acquirer.misbehave("start", "lose_request")
    shown = sides(shop.order())
    assert (shown["payments"][0]["theirs"]["answer"], shown["difference"]) == ("not_found", {})


def test_both_payments_of_an_order_count(shop: Shop) -> None:
    order = shop.order()
    first = shop.payment(order)
    shop.acquirer.end(first.id, "FAILED", "declines")
    shop.deliver_webhook(first)
    second = shop.pay_again(order, "otherpay")
    for payment in (first, second):
        shop.acquirer.capture(payment.id)
    shown = sides(order)
    assert [row["difference"] for row in shown["payments"]] == [{"TWD": -120000}] * 2
    assert shown["difference"] == {"TWD": -240000}
    shop.turn(minutes=2)


def test_without_a_payment_there_is_nothing_to_compare(shop: Shop) -> None:
    shown = sides(shop.order(customer=shop.customer(credit=120000), credit=120000))
    assert (shown["payments"], shown["difference"], shown["paid_with"]) == ([], {}, "store_credit")


@pytest.fixture
def trading(shop: Shop, make_acquirer: Callable[..., RealAcquirer]) -> Iterator[Trading]:
    day = Trading(shop, make_acquirer(**QUIET))
    yield day
    shop.sweep()


@pytest.mark.parametrize("provider", CURRENCY)
def test_the_real_acquirers_agree_in_every_dialect(trading: Trading, provider: str) -> None:
    order = trading.paid(provider)
    trading.refund(order, 500)
    trading.shop.turn(minutes=2)
    shown = sides(order)
    assert shown["difference"] == {}
    assert shown["payments"][0]["theirs"]["refunds"]
    trading.acquirer.stop()
    assert sides(order)["difference"] is None
    trading.acquirer.start()


def test_the_command_shows_it_to_people_and_machines(shop: Shop) -> None:
    order = paid(shop)
    run = shop.app.test_cli_runner().invoke
    result = run(args=["orders", "show", order.number.lower()])
    assert (result.exit_code, "both sides agree" in result.stdout, "Paid because" in result.stdout) == (0, True, True)
    assert json.loads(run(args=["orders", "show", order.number, "--json"]).stdout)["difference"] == {}
    shop.acquirer.payments[shop.payment(order).id].captures.clear()
    assert "in all: we have NT$1,200 more than they" in run(args=["orders", "show", order.number]).stdout
    no_account = run(args=["orders", "show", "NO-SUCH"])
    assert (no_account.exit_code, "There is no order" in no_account.output) == (1, True)
