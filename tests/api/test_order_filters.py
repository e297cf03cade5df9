"""Filters of the list of orders."""

from __future__ import annotations

import pytest

from shop.accounts.models import User
from shop.accounts.permissions import Role
from shop.core.db import db
from shop.order_search import listed
from shop.orders.models import Order
from tests.api.conftest import Program, account, log_in, signed_in
from tests.parts.statements import statements
from tests.shop_fixtures import KETTLE, PEN, Shop


@pytest.fixture
def kay(shop: Shop) -> Program:
    """Support."""
    return signed_in(shop, Role.SUPPORT)


def ids(program: Program, query: str) -> list[int]:
    answer = program.get(f"/orders?{query}")
    assert answer.status_code == 200, answer.text
    assert answer.json["total"] == len(answer.json["items"])
    return sorted(one["id"] for one in answer.json["items"])


def test_orders_are_found_by_payment_amount_currency_and_address(shop: Shop, kay: Program) -> None:
    guest = Program(shop)
    kettle, pen = guest.placed((KETTLE, 1)), guest.placed((PEN, 1), email="Bob@Example.com")
    yen = guest.placed((PEN, 1), currency="JPY")
    Program(shop, kettle["token"]).pay(kettle)
    paid = shop.paid_order((PEN, 1)).id
    expected = {
        "payment=OPEN": [kettle["id"]],
        "payment=CAPTURED": [paid],
        "payment=CAPTURED&state=PENDING": [],
        "provider=fakepay": [kettle["id"], paid],
        "provider=otherpay": [],
        "currency=JPY": [yen["id"]],
        f"currency=TWD&total_from={kettle['total']['amount']}": [kettle["id"]],
        f"currency=TWD&total_to={pen['total']['amount']}": [pen["id"], paid],
        "currency=TWD&total_from=1&total_to=2": [],
        "email=bob@example.com": [pen["id"]],
        "email=BOB@EXAMPLE.COM&state=PENDING": [pen["id"]],
        "email=none@example.com": [],
        "flag=open_refund": [],
        "placed_from=2020-01-01&placed_to=2020-01-02": [],
    }
    assert {query: ids(kay, query) for query in expected} == expected


def test_few_and_many_payments_give_the_same_orders(shop: Shop, kay: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    paid = sorted(shop.paid_order((PEN, 1)).id for _ in range(3))
    assert ids(kay, "payment=CAPTURED") == paid
    monkeypatch.setattr(listed.conditions, "FEW", 1)
    assert ids(kay, "payment=CAPTURED") == paid and ids(kay, "currency=TWD&total_from=1") == paid


def test_a_customer_filters_own_orders_and_has_no_filters_of_staff(shop: Shop) -> None:
    email = account(shop)
    may = Program(shop, log_in(shop, email).json["access_token"])
    customer = db.session.scalars(db.select(User.id).where(User.email == email)).one()
    own = shop.paid_order((PEN, 1), customer=customer).id
    shop.paid_order((PEN, 1))
    assert ids(may, "payment=CAPTURED") == ids(may, "currency=TWD&total_from=1") == [own]
    for query in (f"email={email}", "flag=unpaid"):
        answer = may.get(f"/orders?{query}")
        assert (answer.status_code, answer.json["code"]) == (403, "forbidden"), query


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("payment=PAID", "payment"),
        ("provider=unknownpay", "provider"),
        ("method=cheque", "method"),
        ("currency=EUR", "currency"),
        ("total_from=100", "currency"),
        ("currency=TWD&total_from=1.0", "total_from"),
        ("currency=TWD&total_from=5&total_to=4", "total_to"),
        (f"currency=TWD&total_to={10**16}", "total_to"),
        ("placed_from=2026-12-02&placed_to=2026-12-01", "placed_to"),
        ("email=ada", "email"),
        ("flag=odd", "flag"),
    ],
)
def test_a_filter_that_cannot_be_used_is_named(kay: Program, query: str, parameter: str) -> None:
    answer = kay.get(f"/orders?{query}")
    assert (answer.status_code, [one["parameter"] for one in answer.json["errors"]]) == (422, [parameter])


def test_an_unknown_filter_is_refused_with_the_known_ones(shop: Shop, kay: Program) -> None:
    shop.order((PEN, 1))
    [error] = kay.get("/orders?status=PAID").json["errors"]
    assert error["code"] == "unknown_field" and "payment, placed_from, placed_to, provider, state" in error["detail"]
    order = db.session.scalars(db.select(Order.id)).one()
    [error] = kay.get(f"/orders/{order}?verbose=1").json["errors"]
    assert error["code"] == "unknown_field" and "takes no parameters" in error["detail"]


def test_a_page_takes_at_most_five_statements_with_every_filter(shop: Shop, kay: Program) -> None:
    for _ in range(3):
        shop.paid_order((PEN, 1))
    with statements() as sent:
        kay.get("/orders?payment=CAPTURED&provider=fakepay&currency=TWD&total_from=1&flag=unpaid")
    assert len([one for one in sent if one.startswith("SELECT")]) <= 5, "one of them finds the caller"
