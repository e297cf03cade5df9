"""Store credit on the pages: offered to customers who have some, refused with its reason, shown on the account."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import pytest

from shop.accounts import signin
from shop.core.actor import Actor
from shop.core.db import db, transaction
from shop.core.money import Money
from shop.ledger import chart, store_credit
from shop.orders import find
from shop.orders.models import Order
from shop.payments.providers import registry
from shop.payments.refunds import requests
from tests.shop_fixtures import KETTLE, PRICES, Shop
from tests.web.conftest import Visitor, title

PRICE = PRICES[KETTLE]["TWD"]
PASSWORD = "a teapot full of rain"


@pytest.fixture
def ada(shop: Shop, visitor: Visitor) -> int:
    """A signed-in customer with NT$500 of store credit."""
    person = signin.create("ada@example.com", "Ada Lin", PASSWORD, [], by=Actor.operator())
    give(person.id, 50000)
    visitor.get("/sign-in")
    assert visitor.post("/sign-in", {"email": "ada@example.com", "password": PASSWORD}).status_code == 303
    return person.id


def give(person: int, amount: int) -> None:
    with transaction():
        key = f"present:{person}:{amount}"
        store_credit.give(person, Money(amount, "TWD"), key=key, kind="credit_given", debit=chart.GOODWILL)


def test_guests_are_offered_none(shop: Shop, visitor: Visitor) -> None:
    visitor.add()
    assert "store credit" not in visitor.get("/checkout").text


def test_a_part_is_offered_taken_and_named_on_the_orders_page(shop: Shop, visitor: Visitor, ada: int) -> None:
    visitor.add()
    assert "Use NT$500 of my store credit" in visitor.get("/checkout").text
    assert "You then pay NT$700." in visitor.page
    page = visitor.get(visitor.checkout(credit="50000").location)
    assert "Pay NT$700" in page.text
    assert "−NT$500" in page.text
    assert shop.credit(ada) == 0


def test_credit_that_covers_the_total_pays_at_once(shop: Shop, visitor: Visitor, ada: int) -> None:
    give(ada, PRICE)
    visitor.add()
    assert "This covers the whole order. You pay nothing else." in visitor.get("/checkout").text
    page = visitor.get(visitor.checkout(credit=str(PRICE)).location)
    assert title(page).startswith("Payment received")
    assert "Store credit" in page.text
    assert shop.credit(ada) == 50000


def test_credit_that_was_used_meanwhile_is_reported_and_the_cart_kept(shop: Shop, visitor: Visitor, ada: int) -> None:
    visitor.add()
    response = visitor.checkout(credit="60000")
    assert response.status_code == 409
    assert "Only NT$500 of your store credit can be used." in response.text
    assert visitor.cart() == {KETTLE: 1}


def test_credit_that_leaves_what_cannot_be_charged_is_refused_and_the_page_offers_what_works(
    shop: Shop, visitor: Visitor, ada: int
) -> None:
    """Tpay charges whole dollars. Less credit is used only after the page has said so."""
    give(ada, 50)
    visitor.add()
    visitor.get("/checkout")
    response = visitor.checkout(credit="50050", method="tpay")
    assert response.status_code == 409
    assert "or use NT$500 of your store credit." in html.unescape(response.text)
    assert 'name="credit" value="50000" checked' in response.text
    assert "Use NT$500 of my store credit" in response.text
    assert "You then pay NT$700." in response.text
    assert (shop.credit(ada), shop.count(Order)) == (50050, 0)
    assert visitor.checkout(credit="50000", method="tpay").status_code == 303
    assert shop.credit(ada) == 50


def choices(page: str) -> dict[str, str]:
    """The payment methods on the page, each with the class that hides it with or without store credit."""
    found = re.findall(r'<div class="choice([^"]*)">\s*<input type="radio" id="method-([a-z]+)"', page)
    return {method: hidden.strip() for hidden, method in found}


def test_the_checkout_offers_only_methods_that_can_charge_what_is_to_pay_and_explains_the_others(
    shop: Shop, visitor: Visitor, ada: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of NT$1,200 store credit of NT$500 leaves NT$700; each method says which of the two it can charge."""
    fake, other = (registry.all_providers()[name] for name in ("fakepay", "otherpay"))
    monkeypatch.setattr(fake, "capabilities", replace(fake.capabilities, least={"TWD": 10**9}))
    monkeypatch.setattr(other, "capabilities", replace(other.capabilities, most={"TWD": 100000}))
    visitor.add()
    page = html.unescape(visitor.get("/checkout").text)
    offered = choices(page)
    assert "fakepay" not in offered
    assert (offered["otherpay"], offered["kpay"], offered["stripe"]) == ("with-credit", "", "")
    next_one = "the next amount that it can charge is NT$10,000,000."
    for words, to_pay in (("without-credit", "NT$1,200"), ("with-credit", "NT$700")):
        assert f'<p class="small soft {words}">Fakepay cannot charge {to_pay}: {next_one}</p>' in page
    message = '<p class="small soft without-credit">Otherpay cannot charge NT$1,200: the amount is too high.</p>'
    assert message in page and 'with-credit">Otherpay cannot charge NT$700' not in page
    assert re.search(r'value="([a-z]+)" checked', page)[1] in {"kpay", "stripe", "tpay"}, "one that can charge it"
    assert visitor.checkout(method="fakepay").status_code == 409
    assert shop.count(Order) == 0


def test_a_method_that_works_with_a_part_of_the_credit_is_offered_with_that_part(
    shop: Shop, visitor: Visitor, ada: int
) -> None:
    """Tpay takes whole dollars."""
    give(ada, 50)
    visitor.add()
    page = html.unescape(visitor.get("/checkout").text)
    assert choices(page)["tpay"] == ""
    assert (
        "Tpay cannot charge NT$699.50: the next amount that it can charge is NT$700. "
        "It can be used with NT$500 of your store credit."
    ) in page
    visitor.get(visitor.checkout(credit="50050").location)
    chooses = html.unescape(visitor.page)
    assert 'value="kpay">Pay by credit card <' in chooses and 'value="tpay">' not in chooses
    assert "Tpay cannot charge NT$699.50: the next amount that it can charge is NT$700." in chooses


@pytest.mark.parametrize("credit", ["-1", "1e9", "lots", "99999999999999999999"])
def test_nonsense_is_refused_and_changes_nothing(shop: Shop, visitor: Visitor, ada: int, credit: str) -> None:
    visitor.add()
    assert visitor.checkout(credit=credit).status_code == 422
    assert shop.credit(ada) == 50000


def test_a_guest_who_claims_credit_must_sign_in(shop: Shop, visitor: Visitor) -> None:
    visitor.add()
    response = visitor.checkout(credit="100")
    assert response.status_code == 422
    assert "Sign in to use your store credit." in response.text


def test_the_account_shows_the_balance_and_its_movements(shop: Shop, visitor: Visitor, ada: int) -> None:
    visitor.add()
    path = visitor.checkout(credit="50000").location
    db.session.rollback()
    order = find.by_token(path.rpartition("/")[2])
    assert order
    shop.acquirer.capture(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order))
    requests.request_all(order.id, reason="", by=shop.sam, to="store_credit")
    shop.sweep()
    assert "The money was added to your store credit." in visitor.get(path).text
    page = visitor.get("/account").text
    for words in ("NT$1,200", "Gift credit", "Used for an order", "Refund", "−NT$500"):
        assert words in page
    assert page.count(f">{order.number}</a>") >= 3
    db.session.rollback()
