"""Order page: its contents in each state."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from datetime import timedelta
from itertools import combinations

import pytest
from flask import Flask, render_template

from shop.checkout.order_status import CAN, UNDECIDED, RefundView, load_status
from shop.core import kept_briefly
from shop.core.money import Money
from shop.orders import find
from shop.orders.models import Order
from shop.payments.refunds import requests
from shop.pricing import change
from tests.shop_fixtures import PEN, Shop
from tests.web.conftest import Visitor
from tests.web.order_links import order_of

TITLES = {
    "preparing": "Preparing your payment",
    "choose": "Pay to complete your order",
    "unavailable": "We cannot reach Fakepay right now",
    "closing": "We are cancelling your order",
    "expiring": "Checking for a last payment",
    "waiting": "Pay to complete your order",
    "finish_in_tab": "Finish paying in the other tab",
    "confirming": "We are confirming your payment",
    "still_waiting": "Still waiting for confirmation",
    "store_code": "Your store code",
    "paid": "Payment received",
    "declined": "Your card was declined",
    "failed": "The payment did not go through",
    "session_ended": "The payment page has timed out",
    "cancelled_there": "You cancelled the payment",
    "expired": "Your order has expired",
    "cancelled": "Your order is cancelled",
    "late": "We received your payment late",
    "review": "We are checking your payment",
    "twice": "We received two payments",
    "refund_pending": "Your refund is on its way",
    "partly_refunded": "Partially refunded",
    "refunded": "Refunded",
}
MONEY_MAY_COME = ("confirming", "still_waiting", "closing", "expiring", "late", "review", "twice", "preparing")
NOT_KNOWN = (*MONEY_MAY_COME, "waiting", "finish_in_tab", "store_code", "unavailable", "paid")


@pytest.mark.parametrize("key", sorted(CAN))
def test_each_status_has_its_heading_and_only_its_actions(shop: Shop, app: Flask, key: str) -> None:
    status = load_status(shop.order())
    assert status.payment
    action = {"kind": "store_code", "url": "", "fields": {"code": "123 456"}} if key == "store_code" else None
    payment = replace(
        status.payment, action=action, last_decline={"code": "insufficient_funds", "class": "other_method"}
    )
    s = replace(status, key=key, payment=payment, can=CAN[key], pending=key in UNDECIDED)
    with app.test_request_context():
        update = html.unescape(render_template("shop/_order_update.html", s=s))
    assert f"<title>{TITLES[key]} · {s.order.number} · Settled</title>" in update
    assert f'<h1 id="status-title" tabindex="-1">{TITLES[key]}</h1>' in update
    forms = set(re.findall(r'form="([a-z-]+)"', update))
    offered = {"pay": "pay-form", "resume": "pay-form", "other_method": "pay-form", "check": "check-form"}
    offered |= {"cancel_order": "cancel-form", "cancel_payment": "cancel-payment-form", "order_again": "again-form"}
    assert forms == {offered[can] for can in CAN[key] if can in offered}
    assert "csrf" not in update and "style=" not in update and "<script" not in update
    if key in MONEY_MAY_COME:
        assert "pay-form" not in update
    if key in NOT_KNOWN:
        assert "No money has been taken" not in update


def page_of(shop: Shop, order: Order) -> str:
    """The text of the order page."""
    update = shop.app.test_client().get(f"/orders/{order.token}/status").text
    return " ".join(re.sub(r"<[^>]+>", " ", html.unescape(update)).split())


def test_the_page_shows_the_destination_of_refunds(shop: Shop) -> None:
    """Part of the price was store credit; the rest is refunded to the card, or becomes store credit."""
    for to, goes, went in (
        ("store_credit", "The refund goes to your store credit.", "The money was added to your store credit."),
        (
            "provider",
            "Part of the refund goes to your store credit and the rest to your original payment method.",
            "Part of the money was added to your store credit",
        ),
    ):
        ada = shop.customer(credit=20000)
        order = shop.paid_order(customer=ada, credit=20000)
        requests.request_all(order.id, reason="", by=shop.sam, to=to)
        assert goes in page_of(shop, order)
        shop.sweep()
        assert went in page_of(shop, order)


def test_the_page_of_an_order_that_costs_nothing_confirms_it_and_names_no_payment(shop: Shop) -> None:
    change.set_code(change.NewCode("ALL", percent=100, use_limit=5))
    page = page_of(shop, shop.order((PEN, 1), code="ALL"))
    assert "Order confirmed" in page
    assert not any(word in page for word in ("Payment received", "Paid", "Received"))


def test_a_manual_refund_is_announced_after_approval_and_shown_as_sent_when_it_is(shop: Shop) -> None:
    ada = shop.customer(credit=20000)
    whole, part, both = shop.paid_order(), shop.paid_order(customer=ada, credit=20000), shop.paid_order()
    requests.request(shop.capture(both), Money(500, "TWD"), reason="", by=shop.sam)
    for order in (whole, part, both):
        requests.request_all(order.id, reason="", by=shop.sam, to="bank")
    assert "bank account" not in "".join(page_of(shop, order) for order in (whole, part, both))
    for refund in requests.waiting():
        requests.approve(refund.id, shop.kim)
    goes = {
        whole: "The refund goes to your bank account by bank transfer.",
        part: "Part of the refund goes to your store credit and the rest to your bank account by bank transfer.",
        both: "Part of the refund goes to your bank account by bank transfer "
        "and the rest to your original payment method.",
    }
    assert [order.number for order, output in goes.items() if output not in page_of(shop, order)] == []
    assert "NT$1,200 is being sent to your bank account" in page_of(shop, whole)
    shop.sweep()
    went = {
        whole: "The money was sent to your bank account. It can take",
        part: "Part of the money was added to your store credit and the rest was sent to your bank account.",
        both: "Part of the money was sent to your bank account "
        "and the rest was refunded to your original payment method.",
    }
    assert [order.number for order, output in went.items() if output not in page_of(shop, order)] == []
    assert "NT$1,200 sent to your bank account (" in page_of(shop, whole)


def test_a_duplicate_payment_shows_the_paid_order_at_once_and_one_message_about_the_refund(shop: Shop) -> None:
    order = shop.order()
    for _ in range(2):
        shop.acquirer.capture(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order))
    page = page_of(shop, order)
    assert "The other one will be refunded automatically." in page and "has been refunded" not in page
    assert "Amount" in page and "Received" in page and "Placed (done) Paid Packed Shipped" in page
    shop.sweep()
    shop.sweep()
    page = page_of(shop, order)
    assert not shop.order_status(order).final, "the captures are still to be confirmed by a query"
    assert "The other one has been refunded." in page and "will be refunded" not in page
    assert "being refunded" not in page and "Placed (done) Paid Packed Shipped" in page


@pytest.mark.parametrize("state", ["REQUESTED", "DONE"])
def test_the_page_describes_every_combination_of_refund_destinations(shop: Shop, app: Flask, state: str) -> None:
    status = load_status(shop.order())
    money, key = Money(100, "TWD"), {"REQUESTED": "refund_pending", "DONE": "refunded"}[state]
    ways = [way for n in (0, 1, 2, 3) for way in combinations(("provider", "store_credit", "bank"), n)]
    for to in ways:
        sent = tuple(RefundView(money, state, "customer", one, status.now) for one in to)
        with app.test_request_context():
            update = render_template("shop/_order_update.html", s=replace(status, key=key, refunds=sent))
        output = re.search(r'<p class="explanation">([^<]*)</p>', update)
        assert output
        for one, words in (
            ("store_credit", "store credit"),
            ("bank", "bank account"),
            ("provider", "original payment method"),
        ):
            assert (words in output[1]) == (one in (to or ["provider"])), (to, output[1])


def test_a_refunded_mismatch_is_shown_and_not_counted(shop: Shop) -> None:
    order = shop.order(customer=shop.customer())
    shop.acquirer.capture(shop.payment(order).id, money=Money(100, "TWD"))
    shop.deliver_webhook(shop.payment(order))
    requests.request(shop.capture(order), Money(100, "TWD"), reason="", by=shop.sam)
    shop.sweep()
    failed = shop.pay_again(order)
    shop.acquirer.end(failed.id, "FAILED", "declines")
    shop.deliver_webhook(failed)
    assert "No money has been taken for this payment. Your items are still reserved." in page_of(shop, order)
    shop.acquirer.capture(shop.pay_again(order).id)
    shop.deliver_webhook(shop.payment(order))
    requests.request_all(order.id, reason="", by=shop.sam, to="store_credit")
    shop.sweep()
    assert "The money was added to your store credit." in page_of(shop, order)


def test_refunded_late_and_duplicate_captures_are_final(shop: Shop) -> None:
    late = shop.order()
    shop.cancel(late)
    shop.wait(minutes=1)
    shop.acquirer.capture(shop.payment(late).id)
    shop.deliver_webhook(shop.payment(late))
    assert "The full amount will be refunded automatically." in page_of(shop, late)
    twice = shop.paid_order()
    shop.acquirer.capture(shop.payment(twice).id)
    shop.deliver_webhook(shop.payment(twice))
    assert "The other one will be refunded automatically." in page_of(shop, twice)
    shop.turn(minutes=2)
    shop.turn(minutes=2)
    for order, output in ((late, "The full amount has been refunded."), (twice, "The other one has been refunded.")):
        assert output in page_of(shop, order)
        update = shop.app.test_client().get(f"/orders/{order.token}/status").text
        assert 'data-final="true"' in update


def test_cancel_order_is_confirmed_first_and_only_while_the_order_can_be_cancelled(
    visitor: Visitor, shop: Shop
) -> None:
    path = visitor.order()
    page = visitor.get(f"{path}/cancel")
    assert "Cancel this order?" in page.text and page.headers["Cache-Control"] == "no-store"
    order = find.by_token(path.rpartition("/")[2])
    assert order and shop.state(order) == "WAITING_PAYMENT", "a GET cancels nothing"
    assert visitor.post(f"{path}/cancel").location == path
    assert shop.state(order) == "CANCELLED"
    assert visitor.get(f"{path}/cancel").location == path


def test_the_order_page_names_the_seller_and_the_full_date(visitor: Visitor, app: Flask) -> None:
    path = visitor.order()
    page = visitor.get(path).text
    assert re.search(r"placed <time datetime=\"[^\"]+\" data-full>[A-Z][a-z]+ \d+, \d{4}, ", page)
    assert "Settled Demo Shop<br>1 Example Road, Taipei 100, Taiwan<br>Tax number: 00000000" in page
    assert 'Write to <a href="mailto:help@settled.example">' in page and "Continue shopping" in page
    app.config.update(SELLER_ADDRESS="Kept")
    with app.app_context():
        kept_briefly.clear("seller")
    page = visitor.get(path).text
    assert "Sold by" not in page and "Quote this reference when you contact us" in page


def test_without_javascript_the_page_refreshes_itself_while_something_is_pending(visitor: Visitor, shop: Shop) -> None:
    path = visitor.order()
    assert '<noscript><meta http-equiv="refresh"' in visitor.get(path).text
    payment = shop.payment(order_of(path))
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment)
    assert "http-equiv" not in visitor.get(path).text


def test_countdowns_are_given_in_seconds_left(visitor: Visitor, shop: Shop) -> None:
    path = visitor.order()
    shop.turn(**{"minutes": 10})
    left = re.search(r'data-left="(\d+)"', visitor.get(path).text)
    assert left and timedelta(minutes=19) < timedelta(seconds=int(left[1])) <= timedelta(minutes=20)


@pytest.mark.parametrize("key", ["choose", "declined", "failed"])
def test_the_announcement_of_a_decline_has_its_reason(shop: Shop, app: Flask, key: str) -> None:
    status = load_status(shop.order())
    assert status.payment
    declined = replace(status.payment, last_decline={"code": "insufficient_funds", "class": "other_method"})
    with app.test_request_context():
        for payment, has_reason in ((declined, True), (status.payment, False)):
            update = render_template("shop/_order_update.html", s=replace(status, key=key, payment=payment))
            announced = update.partition('hx-target="#live"')[2]
            assert (f"{TITLES[key]}. Insufficient funds." in announced) == has_reason
