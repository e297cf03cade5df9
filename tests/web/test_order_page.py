"""The order's page: what it says in each state, and what it never does."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from datetime import timedelta
from itertools import combinations

import pytest
from flask import Flask, render_template

from shop.checkout.standing import CAN, UNDECIDED, RefundView, standing
from shop.core.money import Money
from shop.orders import find
from shop.orders.models import Order
from shop.payments import refunds, states
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor, title

TITLES = {
    "preparing": "Preparing your payment",
    "choose": "Pay to complete your order",
    "unavailable": "We cannot reach Fakepay right now",
    "closing": "We are cancelling your order",
    "expiring": "The time to pay is over",
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
    "expired": "The time to pay has run out",
    "cancelled": "Your order is cancelled",
    "late": "We received your payment late",
    "review": "We are checking your payment",
    "twice": "We received two payments",
    "refund_pending": "Your refund is on its way",
    "partly_refunded": "Part of your money went back to you",
    "refunded": "Your money went back to you",
}
MONEY_MAY_COME = ("confirming", "still_waiting", "closing", "expiring", "late", "review", "twice", "preparing")
NOT_KNOWN = (*MONEY_MAY_COME, "waiting", "finish_in_tab", "store_code", "unavailable", "paid")


@pytest.mark.parametrize("key", sorted(CAN))
def test_each_standing_has_its_heading_and_only_its_actions(shop: Shop, app: Flask, key: str) -> None:
    stands = standing(shop.order())
    assert stands.payment
    action = {"kind": "store_code", "url": "", "fields": {"code": "123 456"}} if key == "store_code" else None
    payment = replace(
        stands.payment, action=action, last_decline={"code": "insufficient_funds", "class": "other_method"}
    )
    s = replace(stands, key=key, payment=payment, can=CAN[key], pending=key in UNDECIDED)
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
    """The words of the order's page."""
    update = shop.app.test_client().get(f"/orders/{order.token}/status").text
    return " ".join(re.sub(r"<[^>]+>", " ", html.unescape(update)).split())


def test_the_page_says_where_money_goes(shop: Shop) -> None:
    """Part of the price was store credit; the rest goes back to the card, or becomes store credit."""
    for to, goes, went in (
        ("store_credit", "It goes to your store credit.", "It is in your store credit"),
        ("provider", "Part of it goes to your store credit, the rest back", "Part of it is in your store credit"),
    ):
        ada = shop.customer(credit=20000)
        order = shop.paid_order(customer=ada, credit=20000)
        refunds.request_all(order.id, reason="", by="sam", to=to)
        assert goes in page_of(shop, order)
        shop.sweep()
        assert went in page_of(shop, order)


def test_money_by_hand_is_promised_when_two_have_agreed_and_said_to_be_sent_when_it_is(shop: Shop) -> None:
    ada = shop.customer(credit=20000)
    whole, part, both = shop.paid_order(), shop.paid_order(customer=ada, credit=20000), shop.paid_order()
    refunds.request(shop.capture(both), Money(500, "TWD"), reason="", by="sam")
    for order in (whole, part, both):
        refunds.request_all(order.id, reason="", by="sam", to="bank")
    assert "bank account" not in "".join(page_of(shop, order) for order in (whole, part, both))
    for refund in refunds.waiting():
        refunds.approve(refund.id, "kim")
    goes = {
        whole: "It goes to your bank account, by bank transfer.",
        part: "Part of it goes to your store credit, the rest to your bank account, by bank transfer.",
        both: "Part of it goes to your bank account, by bank transfer, the rest back the way it came.",
    }
    assert [order.number for order, says in goes.items() if says not in page_of(shop, order)] == []
    assert "NT$1,200.00 TWD is on its way to your bank account." in page_of(shop, whole)
    shop.sweep()
    went = {
        whole: "We have sent it to your bank account. It can take",
        part: "Part of it is in your store credit, the rest we have sent to your bank account.",
        both: "Part of it we have sent to your bank account, the rest went back the way it came.",
    }
    assert [order.number for order, says in went.items() if says not in page_of(shop, order)] == []
    assert "NT$1,200.00 TWD was sent to your bank account, " in page_of(shop, whole)


@pytest.mark.parametrize("state", ["REQUESTED", "DONE"])
def test_wherever_parts_of_the_money_go_the_page_has_words_for_it(shop: Shop, app: Flask, state: str) -> None:
    stands = standing(shop.order())
    money, key = Money(100, "TWD"), {"REQUESTED": "refund_pending", "DONE": "refunded"}[state]
    ways = [way for n in (0, 1, 2, 3) for way in combinations(("provider", "store_credit", "bank"), n)]
    for to in ways:
        sent = tuple(RefundView(money, state, "customer", one, stands.now) for one in to)
        with app.test_request_context():
            update = render_template("shop/_order_update.html", s=replace(stands, key=key, refunds=sent))
        says = re.search(r'<p class="says">([^<]*)</p>', update)
        assert says
        for one, words in (("store_credit", "store credit"), ("bank", "bank account"), ("provider", "the way it came")):
            assert (words in says[1]) == (one in (to or ["provider"])), (to, says[1])


def test_wrong_money_that_went_back_is_not_denied_and_not_counted(shop: Shop) -> None:
    order = shop.order(customer=shop.customer())
    shop.acquirer.capture(shop.payment(order).id, money=Money(100, "TWD"))
    shop.hear(shop.payment(order))
    refunds.request(shop.capture(order), Money(100, "TWD"), reason="", by="sam")
    shop.sweep()
    failed = shop.pay_again(order)
    shop.acquirer.end(failed.id, "FAILED", "declines")
    shop.hear(failed)
    assert "Nothing has been taken this time." in page_of(shop, order)
    shop.acquirer.capture(shop.pay_again(order).id)
    shop.hear(shop.payment(order))
    refunds.request_all(order.id, reason="", by="sam", to="store_credit")
    shop.sweep()
    assert "It is in your store credit" in page_of(shop, order)


def test_late_and_double_money_that_has_gone_back_is_the_end(shop: Shop) -> None:
    late = shop.order()
    shop.cancel(late)
    shop.wait(minutes=1)
    shop.acquirer.capture(shop.payment(late).id)
    shop.hear(shop.payment(late))
    assert "All of it goes back to you by itself." in page_of(shop, late)
    twice = shop.paid_order()
    shop.acquirer.capture(shop.payment(twice).id)
    shop.hear(shop.payment(twice))
    assert "The other one goes back to you by itself." in page_of(shop, twice)
    shop.turn(minutes=2)
    shop.turn(minutes=2)
    for order, says in ((late, "All of it has gone back to you."), (twice, "The other one has gone back to you.")):
        assert says in page_of(shop, order)
        update = shop.app.test_client().get(f"/orders/{order.token}/status").text
        assert 'data-motion="rest" data-final="true"' in update


def test_the_pay_button_says_how_much_and_that_a_tab_opens_and_stands_outside_of_its_form(visitor: Visitor) -> None:
    page = visitor.get(visitor.order()).text
    assert re.search(r'form="pay-form">Pay NT\$1,200\.00 TWD <span[^>]*>\(opens in a new tab\)</span>', page)
    assert 'form="pay-form" formtarget="_self">Pay in this tab' in page
    status = page[page.index('id="order-status"') : page.index("</section>", page.index('id="order-status"'))]
    assert "csrf_token" not in status and "csrf_token" in page


def test_another_way_to_pay_is_offered_when_there_is_one(visitor: Visitor) -> None:
    assert 'name="method" value="otherpay">Pay with Otherpay' in visitor.get(visitor.order()).text


def test_pressing_pay_leads_to_the_acquirer_and_the_page_knows(visitor: Visitor) -> None:
    path = visitor.order()
    visitor.get(path)
    first, again = visitor.post(f"{path}/pay"), visitor.post(f"{path}/pay")
    assert first.status_code == 303 and first.location.startswith("https://fakepay.example/pay/")
    assert first.location == again.location
    assert title(visitor.get(path)).startswith("Finish paying in the other tab")


def test_choosing_another_way_opens_it_there_and_closes_the_first(visitor: Visitor, shop: Shop) -> None:
    path = visitor.order()
    visitor.get(path)
    assert visitor.post(f"{path}/pay", {"method": "otherpay"}).status_code == 303
    first, second = shop.payments(_order(path))
    assert (first.state, second.provider) == (states.CANCELLED, "otherpay")


def test_an_unknown_way_to_pay_is_refused(visitor: Visitor, shop: Shop) -> None:
    path = visitor.order()
    visitor.get(path)
    assert visitor.post(f"{path}/pay", {"method": "nopay"}).status_code == 422
    assert len(shop.payments(_order(path))) == 1


def test_pay_pressed_on_an_order_that_was_just_paid_shows_the_order_and_opens_nothing(
    visitor: Visitor, shop: Shop
) -> None:
    path = visitor.order()
    visitor.get(path)
    payment = shop.payment(_order(path))
    shop.acquirer.capture(payment.id)
    shop.hear(payment)
    response = visitor.post(f"{path}/pay")
    assert response.status_code == 303 and response.location == path
    assert title(visitor.get(path)).startswith("Payment received") and len(shop.payments(_order(path))) == 1


def test_coming_back_decides_nothing_and_has_the_acquirer_asked(visitor: Visitor, shop: Shop) -> None:
    path = visitor.order()
    visitor.get(path)
    visitor.post(f"{path}/pay")
    response = visitor.get(f"{path}/return")
    assert response.status_code == 303 and response.location == path
    assert title(visitor.get(path)).startswith("We are confirming your payment")
    shop.acquirer.capture(shop.payment(_order(path)).id)
    shop.sweep()
    assert title(visitor.get(path)).startswith("Payment received")


def test_while_confirming_a_second_attempt_is_not_offered_and_check_now_asks(visitor: Visitor, shop: Shop) -> None:
    path = visitor.order()
    visitor.get(path)
    shop.acquirer.capture(shop.payment(_order(path)).id)
    assert visitor.post(f"{path}/check").location == path
    assert title(visitor.get(path)).startswith(("Payment received", "Pay to complete your order"))
    shop.turn(seconds=5)
    assert title(visitor.get(path)).startswith("Payment received")


def test_a_declined_card_is_explained_in_plain_words_and_the_same_page_opened_again(
    visitor: Visitor, shop: Shop
) -> None:
    path = visitor.order()
    payment = shop.payment(_order(path))
    shop.acquirer.decline(payment.id)
    shop.hear(payment)
    page = visitor.get(path).text
    assert "There is not enough money on this card." in page and "No money has been taken" in page
    assert "Open the payment page again" in page


def test_cancelling_the_order_ends_it_and_offers_the_same_things_again(visitor: Visitor, shop: Shop) -> None:
    path = visitor.order()
    visitor.get(path)
    assert visitor.post(f"{path}/cancel").location == path
    assert title(visitor.get(path)).startswith("Your order is cancelled") and shop.can_sell() == 10
    assert visitor.post(f"{path}/again").location == "/cart"
    assert visitor.cart() == {"TEST-KETTLE": 1}


def test_cancelling_the_payment_keeps_the_order(visitor: Visitor, shop: Shop) -> None:
    path = visitor.order()
    visitor.get(path)
    visitor.post(f"{path}/payment/cancel")
    assert title(visitor.get(path)).startswith("You cancelled the payment") and shop.can_sell() == 9


def test_an_acquirer_that_is_away_loses_no_order(visitor: Visitor, shop: Shop) -> None:
    shop.acquirer.away = True
    page = visitor.get(visitor.order())
    assert title(page).startswith("We cannot reach Fakepay right now") and "Try again" in page.text


def test_without_javascript_the_page_refreshes_itself_while_something_is_pending(visitor: Visitor, shop: Shop) -> None:
    path = visitor.order()
    assert '<noscript><meta http-equiv="refresh"' in visitor.get(path).text
    payment = shop.payment(_order(path))
    shop.acquirer.capture(payment.id)
    shop.hear(payment)
    assert "http-equiv" not in visitor.get(path).text


ORDER_CALLS = [("get", ""), ("get", "/status"), ("get", "/return"), ("post", "/pay"), ("post", "/check")]
ORDER_CALLS += [("post", "/cancel"), ("post", "/payment/cancel"), ("post", "/again")]


@pytest.mark.parametrize(("method", "path"), ORDER_CALLS)
@pytest.mark.parametrize("token", ["x", "1", "0" * 32, "%00", "..%2f..", "é"])
def test_a_token_that_was_never_valid_opens_nothing(visitor: Visitor, method: str, path: str, token: str) -> None:
    visitor.get("/cart")
    visitor.add()
    response = getattr(visitor, method)(f"/orders/{token}{path}")
    assert response.status_code == 404


def test_the_number_of_an_order_opens_nothing(visitor: Visitor, other_visitor: Visitor) -> None:
    path = visitor.order()
    number = find_number(visitor.get(path).text)
    assert other_visitor.get(f"/orders/{number}").status_code == 404


def test_an_order_is_readable_until_30_days_after_its_end(visitor: Visitor, shop: Shop) -> None:
    path = visitor.order()
    visitor.get(path)
    visitor.post(f"{path}/cancel")
    shop.turn(days=29)
    assert visitor.get(path).status_code == 200
    shop.turn(days=2)
    assert [visitor.get(path + more).status_code for more in ("", "/status", "/return")] == [404] * 3


def test_order_pages_are_never_stored_and_fragments_never_set_a_cookie(
    visitor: Visitor, other_visitor: Visitor
) -> None:
    path = visitor.order()
    assert visitor.get(path).headers["Cache-Control"] == "no-store"
    status = other_visitor.get(f"{path}/status")
    assert status.headers["Cache-Control"] == "no-store" and "Set-Cookie" not in status.headers
    assert "csrf" not in status.text and '<hx-partial hx-target="#order-status" hx-swap="outerMorph">' in status.text


def test_what_changes_is_sent_the_same_to_every_viewer(visitor: Visitor, other_visitor: Visitor) -> None:
    path = visitor.order()

    def still(page: str) -> str:
        return re.sub(r'data-left="\d+">[\d:]+', "", page)

    assert still(visitor.get(f"{path}/status").text) == still(other_visitor.get(f"{path}/status").text)


def test_the_token_is_all_that_is_needed_to_pay(visitor: Visitor, other_visitor: Visitor) -> None:
    path = visitor.order()
    assert other_visitor.get(path).status_code == 200
    assert other_visitor.post(f"{path}/pay").status_code == 303


def test_a_payment_that_needs_a_form_is_posted_on_from_a_page_with_a_button(
    visitor: Visitor, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shop.payments import start
    from shop.payments.provider import NextAction

    path = visitor.order()
    visitor.get(path)
    posted = NextAction("form_post", "https://pay.example/form", {"MerchantID": "1", "Note": '"><b>'})
    monkeypatch.setattr(start, "next_action", lambda payment: posted)
    page = visitor.post(f"{path}/pay").text
    assert '<form id="post-on" method="post" action="https://pay.example/form">' in page
    assert 'name="Note" value="&#34;&gt;&lt;b&gt;"' in page and "Continue to Fakepay" in page


def test_time_that_runs_is_given_in_seconds_that_are_left(visitor: Visitor, shop: Shop) -> None:
    path = visitor.order()
    shop.turn(**{"minutes": 10})
    left = re.search(r'data-left="(\d+)"', visitor.get(path).text)
    assert left and timedelta(minutes=19) < timedelta(seconds=int(left[1])) <= timedelta(minutes=20)


def _order(path: str):  # noqa: ANN202
    order = find.by_token(path.split("/")[2])
    assert order
    return order


def find_number(page: str) -> str:
    found = re.search(r'class="reference">([^<]+)<', page)
    assert found
    return found[1]
