"""Order page: pay, choose another method, come back from the acquirer, cancel."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from flask import Flask

from shop.http_kit.template_helpers import payment_methods
from shop.payments.providers import registry
from shop.payments.providers.types import PaymentState
from shop.web import orders
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor, return_path, title
from tests.web.order_links import order_of


def test_the_pay_button_names_the_amount_and_the_new_tab_and_stands_outside_of_its_form(visitor: Visitor) -> None:
    page = visitor.get(visitor.order()).text
    assert re.search(r'form="pay-form">Pay NT\$1,200 <span[^>]*>\(opens in a new tab\)</span>', page)
    assert 'form="pay-form" formtarget="_self">Pay in this tab' in page
    status = page[page.index('id="order-status"') : page.index("</section>", page.index('id="order-status"'))]
    assert "csrf_token" not in status and "csrf_token" in page


def test_another_payment_method_is_offered_when_there_is_one(visitor: Visitor) -> None:
    assert 'name="method" value="otherpay">Pay with Otherpay' in visitor.get(visitor.order()).text


def test_pressing_pay_leads_to_the_acquirer_and_the_page_shows_it(visitor: Visitor) -> None:
    path = visitor.order()
    visitor.get(path)
    first, again = visitor.post(f"{path}/pay"), visitor.post(f"{path}/pay")
    assert first.status_code == 303 and first.location.startswith("https://fakepay.example/pay/")
    assert first.location == again.location
    assert title(visitor.get(path)).startswith("Finish paying in the other tab")


def test_choosing_another_method_initiates_it_and_closes_the_first(visitor: Visitor, shop: Shop) -> None:
    path = visitor.order()
    visitor.get(path)
    assert visitor.post(f"{path}/pay", {"method": "otherpay"}).status_code == 303
    first, second = shop.payments(order_of(path))
    assert (first.state, second.provider) == (PaymentState.CANCELLED, "otherpay")


def test_another_method_is_used_instead_of_a_store_code_from_the_page_that_shows_it(
    visitor: Visitor, shop: Shop
) -> None:
    path = visitor.order()
    code = shop.payment(order_of(path))
    shop.acquirer.show_code(code.id, timedelta(days=3))
    shop.deliver_webhook(code)
    page = visitor.get(path).text
    named = re.findall(r'<input type="hidden" form="pay-form" name="instead_of" value="([^"]+)">', page)
    assert named == [code.id] and "You then have up to 30:00 to pay" in page
    assert 'formtarget="_self">Pay with Fakepay in another way<' in page
    assert 'formtarget="_self">Pay with Otherpay<' in page
    shop.turn(hours=1)
    answer = visitor.post(f"{path}/pay", {"method": "fakepay", "instead_of": code.id})
    first, second = shop.payments(order_of(path))
    assert (first.id, first.state, second.provider) == (code.id, PaymentState.CANCELLED, "fakepay")
    assert answer.location == f"https://fakepay.example/pay/{second.id}"


def test_a_payment_method_that_cannot_charge_the_order_is_refused_with_a_link_back(
    visitor: Visitor, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page still offered it."""
    path = visitor.order()
    other = registry.all_providers()["otherpay"]
    monkeypatch.setattr(other, "capabilities", replace(other.capabilities, least={"TWD": 10**9}))
    answer = visitor.post(f"{path}/pay", {"method": "otherpay"})
    assert (answer.status_code, title(answer).partition(" ·")[0]) == (409, "Choose another payment method")
    assert "Otherpay cannot charge" in answer.text and f'href="{path}"' in answer.text
    assert [one.state for one in shop.payments(order_of(path))] == [PaymentState.OPEN]


def test_without_a_choice_a_method_that_can_charge_the_order_is_used(
    visitor: Visitor, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fakepay is the first in the list."""
    order = order_of(visitor.order())
    able = registry.all_providers()["fakepay"].capabilities
    monkeypatch.setattr(registry.all_providers()["fakepay"], "capabilities", replace(able, least={"TWD": 10**9}))
    monkeypatch.setattr(orders, "load_status", lambda _: SimpleNamespace(payment=None))
    with shop.app.test_request_context(method="POST"):
        assert orders._provider(order) == payment_methods(order)[0].provider != "fakepay"


def test_an_unknown_payment_method_is_refused(visitor: Visitor, shop: Shop) -> None:
    path = visitor.order()
    visitor.get(path)
    assert visitor.post(f"{path}/pay", {"method": "nopay"}).status_code == 422
    assert len(shop.payments(order_of(path))) == 1


def test_pay_pressed_on_an_order_that_was_just_paid_shows_the_order_and_opens_nothing(
    visitor: Visitor, shop: Shop
) -> None:
    path = visitor.order()
    visitor.get(path)
    payment = shop.payment(order_of(path))
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment)
    response = visitor.post(f"{path}/pay")
    assert response.status_code == 303 and response.location == path
    assert title(visitor.get(path)).startswith("Payment received") and len(shop.payments(order_of(path))) == 1


def test_the_return_page_decides_nothing_and_polls_the_acquirer(visitor: Visitor, shop: Shop) -> None:
    path = visitor.order()
    visitor.get(path)
    visitor.post(f"{path}/pay")
    response = visitor.get(return_path(order_of(path)))
    assert response.status_code == 303 and response.location == path
    assert title(visitor.get(path)).startswith("We are confirming your payment")
    shop.acquirer.capture(shop.payment(order_of(path)).id)
    shop.sweep()
    assert title(visitor.get(path)).startswith("Payment received")


def test_while_confirming_a_second_attempt_is_not_offered_and_check_now_polls(visitor: Visitor, shop: Shop) -> None:
    path = visitor.order()
    visitor.get(path)
    shop.acquirer.capture(shop.payment(order_of(path)).id)
    assert visitor.post(f"{path}/check").location == path
    assert title(visitor.get(path)).startswith(("Payment received", "Pay to complete your order"))
    shop.turn(seconds=5)
    assert title(visitor.get(path)).startswith("Payment received")


def test_a_declined_card_is_explained_and_the_same_payment_page_is_offered_again(visitor: Visitor, shop: Shop) -> None:
    path = visitor.order()
    payment = shop.payment(order_of(path))
    shop.acquirer.decline(payment.id)
    shop.deliver_webhook(payment)
    page = visitor.get(path).text
    assert "Insufficient funds." in page and "No money has been taken" in page
    assert "Open the payment page again" in page


def test_cancelling_the_order_ends_it_and_offers_the_same_products_again(visitor: Visitor, shop: Shop) -> None:
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


def test_an_unavailable_acquirer_loses_no_order(visitor: Visitor, shop: Shop) -> None:
    shop.acquirer.away = True
    page = visitor.get(visitor.order())
    assert title(page).startswith("We cannot reach Fakepay right now") and "Try again" in page.text


def test_a_payment_that_needs_a_form_is_posted_on_from_a_page_with_a_button(
    visitor: Visitor, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shop.payments.initiation import initiate
    from shop.payments.providers.interface import NextAction

    path = visitor.order()
    visitor.get(path)
    posted = NextAction("form_post", "https://pay.example/form", {"MerchantID": "1", "Note": '"><b>'})
    monkeypatch.setattr(initiate, "next_action", lambda payment: posted)
    page = visitor.post(f"{path}/pay").text
    assert '<form id="post-on" method="post" action="https://pay.example/form">' in page
    assert 'name="Note" value="&#34;&gt;&lt;b&gt;"' in page and "Continue to Fakepay" in page


def test_a_payment_that_is_initiated_too_often_is_refused_with_a_link_back_and_the_time_to_wait(
    visitor: Visitor, app: Flask
) -> None:
    path = visitor.order()
    for _ in range(2):
        visitor.get(path)
        visitor.post(f"{path}/payment/cancel")
        assert visitor.post(f"{path}/pay", {"method": "fakepay"}).status_code == 303
    visitor.get(path)
    visitor.post(f"{path}/payment/cancel")
    response = visitor.post(f"{path}/pay", {"method": "fakepay"})
    assert response.status_code == 429 and 1 <= int(response.headers["Retry-After"]) <= 5
    assert "You have tried to pay for this order 3 times. Wait" in response.text and f'href="{path}"' in response.text
    app.config["PAYMENTS_PER_ORDER"] = 3
    response = visitor.post(f"{path}/pay", {"method": "fakepay"})
    assert response.status_code == 409 and f'href="{path}"' in response.text
    page = visitor.get(path).text
    assert (
        "There have been too many attempts to pay for this order." in page
        and "Cancel order" in page
        and "Pay again" not in page
    )
