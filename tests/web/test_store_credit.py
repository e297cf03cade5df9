"""Store credit on the pages: offered to whoever has some, refused with its reason, told on the account."""

from __future__ import annotations

import pytest

from shop.accounts import signin
from shop.core.db import db, writing
from shop.core.money import Money
from shop.ledger import chart, store_credit
from shop.orders import find
from shop.payments import refunds
from tests.shop_fixtures import KETTLE, PRICES, Shop
from tests.web.conftest import Visitor, title

PRICE = PRICES[KETTLE]["TWD"]
PASSWORD = "a teapot full of rain"


@pytest.fixture
def ada(shop: Shop, visitor: Visitor) -> int:
    """A customer who is signed in, with NT$500.00 of store credit."""
    person = signin.create("ada@example.com", "Ada Lin", PASSWORD, [])
    give(person.id, 50000)
    visitor.get("/sign-in")
    assert visitor.post("/sign-in", {"email": "ada@example.com", "password": PASSWORD}).status_code == 303
    return person.id


def give(person: int, amount: int) -> None:
    with writing():
        key = f"present:{person}:{amount}"
        store_credit.give(person, Money(amount, "TWD"), key=key, kind="credit_given", debit=chart.GOODWILL)


def test_guests_are_offered_none(shop: Shop, visitor: Visitor) -> None:
    visitor.add()
    assert "store credit" not in visitor.get("/checkout").text


def test_a_part_is_offered_taken_and_named_on_the_orders_page(shop: Shop, visitor: Visitor, ada: int) -> None:
    visitor.add()
    assert "Use NT$500.00 TWD of my store credit" in visitor.get("/checkout").text
    assert "It leaves NT$700.00 TWD to pay." in visitor.page
    page = visitor.get(visitor.checkout(credit="50000").location)
    assert "Pay NT$700.00 TWD" in page.text
    assert "−NT$500.00 TWD" in page.text
    assert shop.credit(ada) == 0


def test_what_covers_all_of_it_pays_at_once(shop: Shop, visitor: Visitor, ada: int) -> None:
    give(ada, PRICE)
    visitor.add()
    assert "It pays for all of this order." in visitor.get("/checkout").text
    page = visitor.get(visitor.checkout(credit=str(PRICE)).location)
    assert title(page).startswith("Payment received")
    assert "Store credit" in page.text
    assert shop.credit(ada) == 50000


def test_credit_that_is_gone_meanwhile_is_said_and_the_cart_kept(shop: Shop, visitor: Visitor, ada: int) -> None:
    visitor.add()
    response = visitor.checkout(credit="60000")
    assert response.status_code == 409
    assert "Only NT$500.00 TWD of your store credit can be used." in response.text
    assert visitor.cart() == {KETTLE: 1}


@pytest.mark.parametrize("credit", ["-1", "1e9", "lots", "99999999999999999999"])
def test_nonsense_is_refused_and_changes_nothing(shop: Shop, visitor: Visitor, ada: int, credit: str) -> None:
    visitor.add()
    assert visitor.checkout(credit=credit).status_code == 422
    assert shop.credit(ada) == 50000


def test_a_guest_who_claims_credit_is_told_to_sign_in(shop: Shop, visitor: Visitor) -> None:
    visitor.add()
    response = visitor.checkout(credit="100")
    assert response.status_code == 422
    assert "Please sign in to use your store credit." in response.text


def test_the_account_tells_what_there_is_and_how_it_came(shop: Shop, visitor: Visitor, ada: int) -> None:
    visitor.add()
    path = visitor.checkout(credit="50000").location
    order = find.by_token(path.rpartition("/")[2])
    assert order
    shop.acquirer.capture(shop.payment(order).id)
    shop.hear(shop.payment(order))
    refunds.request_all(order.id, reason="", by="sam", to="store_credit")
    shop.sweep()
    assert "It is in your store credit" in visitor.get(path).text
    page = visitor.get("/account").text
    for words in ("NT$1,200.00 TWD", "A present from us", "Paid an order", "A refund", "-NT$500.00 TWD"):
        assert words in page
    assert page.count(f">{order.number}</a>") >= 3
    db.session.rollback()
