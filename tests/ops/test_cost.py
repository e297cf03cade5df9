"""Cost of the console's lists: statements, and counts that look at a limited number of orders."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from shop.accounts import verification
from shop.accounts.permissions import Role
from shop.core.db import db, transaction
from shop.core.money import Money
from shop.credit_gifts import gifts
from shop.order_search import conditions, pages
from shop.order_search.conditions import Few
from shop.order_search.filters import Filters
from shop.order_search.pages import Total
from shop.orders.models import Order
from shop.outgoing_webhooks import endpoints, queries
from shop.outgoing_webhooks.kinds import EventType
from shop.payments.providers.types import PaymentState
from shop.payments.refunds import requests
from shop.payouts import payouts
from tests.ops.conftest import visitor_as
from tests.payouts.settlement import settled
from tests.shop_fixtures import PEN, Shop
from tests.web.test_page_statements import sent_for

UTC = ZoneInfo("UTC")
LISTS = (
    *("api-keys", "api-log", "api-log?status=4xx", "statistics"),
    *("endpoints", "endpoints/{endpoint}", "endpoints/{endpoint}?state=DELIVERED"),
    *("", "approvals", "payouts", "disputes", "alerts", "mails", "mails?state=QUEUED", "users", "audit"),
    *(
        "orders",
        "orders?payment=OPEN&provider=fakepay",
        "orders?state=PAID&payment=CAPTURED&flag=late",
        "webhooks",
        "webhooks?state=done",
    ),
    *("fulfilment", "fulfilment?state=TO_PACK&country=TW"),
    *("returns", "returns?state=REQUESTED&reason=faulty"),
    *("products", "products?q=kettle&low=yes", "stock", "categories", "products/imports"),
    *("delivery", "taxes", "codes", "codes?q=ten&state=valid", "announcements", "legal", "legal/terms/en", "seller"),
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
    for number in (1, 2):
        endpoints.create(f"http://127.0.0.1:9/{number}", "", list(EventType), by=shop.colleague("ada", Role.ADMIN))
    shop.order((PEN, 1))
    shop.sweep()
    db.session.rollback()
    return shop


def test_a_list_makes_at_most_four_statements_however_long_it_is(busy: Shop) -> None:
    admin = visitor_as(busy, "finance", "admin")
    [first, *_] = queries.all_endpoints()
    db.session.rollback()
    paths = {path: f"/ops/{path.format(endpoint=first.endpoint.id)}".rstrip("/") for path in LISTS}
    sent = {path: sent_for(admin, address) for path, address in paths.items()}
    assert {path: len(found) for path, found in sent.items() if len(found) > 4} == {}


def test_a_set_of_payments_and_a_check_of_each_order_find_the_same_orders(busy: Shop) -> None:
    assert few(Filters()) == conditions.NOT_FEW
    for states, providers in (
        ((PaymentState.OPEN,), ()),
        ((PaymentState.CAPTURED, PaymentState.OPEN), ("fakepay",)),
        ((), ("fakepay",)),
        ((PaymentState.FAILED,), ()),
        ((), ("otherpay",)),
    ):
        filters = Filters(payment_states=states, providers=providers)
        assert few(filters) == Few(payments=True)
        assert_same(filters)


def test_a_set_of_amounts_and_a_check_of_each_order_find_the_same_orders(busy: Shop) -> None:
    totals = sorted({order.total_amount for order in db.session.scalars(db.select(Order))})
    for least, most in ((totals[0], None), (None, totals[0]), (totals[-1] + 1, None), (totals[0], totals[-1])):
        money = [None if amount is None else Money(amount, "TWD") for amount in (least, most)]
        filters = Filters(currencies=("TWD",), least=money[0], most=money[1])
        assert few(filters) == Few(amounts=True)
        assert_same(filters)


def few(filters: Filters) -> Few:
    return Few(*map(bool, db.session.execute(conditions.are_few(filters)).one()))


def assert_same(filters: Filters) -> None:
    as_set, checked = (pages.find(filters, UTC, few=each).rows for each in (few(filters), conditions.NOT_FEW))
    assert as_set == checked
    assert pages.count(filters, UTC, few=few(filters)) == Total(len(as_set), is_exact=True)


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
