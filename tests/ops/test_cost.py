"""Cost of the console's lists: statements, and counts that look at a limited number of orders."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from shop.accounts import verification
from shop.core.db import db, transaction
from shop.core.money import Money
from shop.credit_gifts import gifts
from shop.order_search import conditions, pages
from shop.order_search.filters import Filters
from shop.order_search.pages import Total
from shop.payments.providers.types import PaymentState
from shop.payments.refunds import requests
from shop.payouts import payouts
from tests.ops.conftest import visitor_as
from tests.payouts.settlement import settled
from tests.shop_fixtures import PEN, Shop
from tests.web.test_page_statements import sent_for

UTC = ZoneInfo("UTC")
LISTS = (
    *("approvals", "payouts", "disputes", "alerts", "mails", "mails?state=QUEUED", "users", "audit"),
    *("orders", "orders?payment=OPEN&provider=fakepay", "webhooks", "webhooks?state=done"),
    *("products", "products?q=kettle&low=yes", "stock", "categories", "products/imports"),
)


@pytest.fixture
def busy(shop: Shop) -> Shop:
    """A shop with two requests of each kind, mails, webhooks and an open order."""
    settled(90000)
    for number in (1, 2):
        order = shop.paid_order((PEN, 1))
        requests.request(shop.capture(order), Money(100, "TWD"), reason="", by=shop.sam, to="bank")
        payouts.request(Money(number, "TWD"), by=shop.sam if number == 1 else shop.kim)
        customer = shop.customer()
        with transaction():
            verification.mark(customer)
        gifts.request(customer, Money(100, "TWD"), by=shop.kim)
    shop.order((PEN, 1))
    shop.sweep()
    db.session.rollback()
    return shop


def test_a_list_makes_at_most_four_statements_however_long_it_is(busy: Shop) -> None:
    admin = visitor_as(busy, "admin")
    sent = {path: sent_for(admin, f"/ops/{path}") for path in LISTS}
    assert {path: len(found) for path, found in sent.items() if len(found) > 4} == {"approvals": 5}, "four kinds"


def test_a_set_of_payments_and_a_check_of_each_order_find_the_same_orders(busy: Shop) -> None:
    for states, providers in (
        ((PaymentState.OPEN,), ()),
        ((PaymentState.CAPTURED, PaymentState.OPEN), ("fakepay",)),
        ((), ("fakepay",)),
        ((PaymentState.FAILED,), ()),
        ((), ("otherpay",)),
    ):
        filters = Filters(payment_states=states, providers=providers)
        assert conditions.has_few_payments(filters)
        found = [pages.find(filters, UTC, are_few=few).rows for few in (True, False)]
        assert found[0] == found[1]
        assert pages.count(filters, UTC, are_few=True) == Total(len(found[0]), is_exact=True)
    assert not conditions.has_few_payments(Filters())


def test_a_count_that_would_look_at_too_many_orders_is_a_lower_bound(
    busy: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = visitor_as(busy, "admin")
    monkeypatch.setattr(pages, "CHECKED", 1)
    monkeypatch.setattr(conditions, "FEW", 1)
    assert "2+ orders" in admin.get("/ops/orders?payment=CAPTURED").text
    monkeypatch.setattr(conditions, "FEW", 2)
    assert "2 orders" in admin.get("/ops/orders?payment=CAPTURED").text
    monkeypatch.setattr(pages, "COUNTED", 2)
    assert "3+ orders" in admin.get("/ops/orders").text
