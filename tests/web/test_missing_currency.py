"""A product without a price in a currency: a refusal as a sentence on every page, never an error page."""

from __future__ import annotations

import pytest

from shop.catalogue.models import Product
from shop.catalogue.refusals import NotSoldIn
from shop.checkout import cart as carts
from shop.core.db import db, transaction
from shop.orders.models import Order
from tests.shop_fixtures import KETTLE, PEN, Shop
from tests.web.conftest import HTMX, Visitor


def sell_only_in(sku: str, *currencies: str) -> None:
    with transaction():
        product = db.session.get_one(Product, sku)
        product.prices = dict.fromkeys(currencies, 1000)


def test_the_catalogue_and_the_product_page_have_a_message(visitor: Visitor, shop: Shop) -> None:
    sell_only_in(KETTLE, "JPY", "USD")
    assert "Not sold in TWD" in visitor.get("/").text
    page = visitor.get("/products/kettle")
    assert page.status_code == 200
    assert "Not sold in TWD" in page.text
    assert "This product can only be bought in JPY, USD." in page.text
    assert "Add to cart" not in page.text
    assert "Not sold in TWD" in visitor.get("/products/pen").text, "it is in the same category"


def test_a_product_without_any_price_is_not_for_sale(visitor: Visitor, shop: Shop) -> None:
    sell_only_in(KETTLE)
    assert "This product is not for sale at the moment." in visitor.get("/products/kettle").text


def test_it_cannot_be_added(visitor: Visitor, shop: Shop) -> None:
    visitor.get("/products/kettle")
    sell_only_in(KETTLE, "USD")
    for headers in ({}, HTMX):
        refused = visitor.post("/cart/lines", {"sku": KETTLE, "quantity": 1}, headers=headers)
        assert refused.status_code == 409
        assert "Kettle is not sold in TWD." in refused.text
    assert visitor.cart() == {}


def test_the_cart_shows_it_without_a_price_and_without_a_checkout(visitor: Visitor, shop: Shop) -> None:
    visitor.add(KETTLE)
    visitor.add(PEN)
    sell_only_in(KETTLE, "USD")
    page = visitor.get("/cart")
    assert page.status_code == 200
    assert "Not sold in TWD. Remove it, or change the currency." in page.text
    assert page.text.count("NT$90") >= 2
    assert 'href="/checkout"' not in page.text
    assert visitor.get("/checkout").location == "/cart"
    assert visitor.post(f"/cart/lines/{KETTLE}", {"quantity": 2}).status_code == 409
    assert visitor.post("/cart/prices", {"terms": ""}).status_code == 303
    assert visitor.post(f"/cart/lines/{KETTLE}/remove").status_code == 303
    page = visitor.get("/cart")
    assert "Not sold in" not in page.text
    assert 'href="/checkout"' in page.text


def test_a_cart_with_nothing_else_is_not_empty(visitor: Visitor, shop: Shop) -> None:
    visitor.add(KETTLE)
    sell_only_in(KETTLE, "USD")
    assert "Not sold in TWD. Remove it, or change the currency." in visitor.get("/cart").text


def test_the_currency_of_the_cart_stays_when_a_product_is_not_sold_in_the_other(visitor: Visitor, shop: Shop) -> None:
    visitor.add(KETTLE)
    visitor.add(PEN)
    sell_only_in(KETTLE, "TWD", "USD")
    refused = visitor.post("/cart/currency", {"currency": "JPY"})
    assert refused.status_code == 409
    assert "Kettle is not sold in JPY." in refused.text
    assert "NT$90" in visitor.get("/cart").text
    assert visitor.post("/cart/currency", {"currency": "USD"}).status_code == 303
    assert "$2.90" in visitor.get("/cart").text


def test_the_cart_gets_out_of_a_currency_that_a_product_has_lost(visitor: Visitor, shop: Shop) -> None:
    visitor.add(KETTLE)
    sell_only_in(KETTLE, "USD")
    visitor.get("/cart")
    assert visitor.post("/cart/currency", {"currency": "USD"}).status_code == 303
    assert "$10.00" in visitor.get("/cart").text


def test_the_checkout_refuses_it_in_words(visitor: Visitor, shop: Shop) -> None:
    visitor.add(KETTLE)
    visitor.add(PEN)
    visitor.get("/checkout")
    form = visitor.filled()
    sell_only_in(KETTLE, "USD")
    refused = visitor.post("/checkout", form)
    assert refused.status_code == 409
    assert "Kettle is not sold in TWD." in refused.text
    assert visitor.post("/checkout", {**form, "email": ""}).location == "/cart"
    assert shop.count(Order) == 0


def test_placing_raises_the_refusal(shop: Shop) -> None:
    cart_id = shop.cart()
    form = shop.form(cart_id)
    sell_only_in(KETTLE, "USD")
    with pytest.raises(NotSoldIn, match=r"Kettle is not sold in TWD\.") as refused:
        shop.place(cart_id, form=form)
    assert (refused.value.code, refused.value.status) == ("not_sold_in_currency", 409)
    assert carts.load(cart_id).unpriced[0].sku == KETTLE


def test_order_again_leaves_it_out_with_a_message(visitor: Visitor, shop: Shop) -> None:
    visitor.add(PEN)
    path = visitor.order()
    visitor.get(path)
    visitor.post(f"{path}/cancel")
    sell_only_in(KETTLE, "USD")
    visitor.get(path)
    assert visitor.post(f"{path}/again", {"form_id": visitor.field("form_id")}).location == "/cart"
    page = visitor.get("/cart")
    assert "Kettle is not sold in TWD and was not added to your cart." in page.text
    assert visitor.cart() == {PEN: 1}


def test_an_order_placed_before_stays_payable(visitor: Visitor, shop: Shop) -> None:
    path = visitor.order()
    sell_only_in(KETTLE)
    assert "NT$1,200" in visitor.get(path).text
