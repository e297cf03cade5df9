"""The search of the console finds products for readers of products, beside orders and accounts."""

from __future__ import annotations

import pytest

from shop.accounts.permissions import Role
from shop.catalogue import products
from shop.ops import search
from tests.ops.conftest import visitor_as
from tests.shop_fixtures import KETTLE, PEN, Shop
from tests.web.test_page_statements import sent_for

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_a_merchandiser_finds_products_by_sku_name_and_category_and_no_orders(shop: Shop) -> None:
    order = shop.order(email="kettle@example.com")
    mia = visitor_as(shop, "merchandiser")
    for typed in (KETTLE, KETTLE.lower()[:-1], "kettle", "KETT"):
        assert mia.get("/ops/search", query_string={"q": typed}).location == f"/ops/products/{KETTLE}", typed
    products.archive(PEN, by=shop.colleague("mo", Role.MERCHANDISER))
    for typed in ("test", "goods"):
        page = mia.get("/ops/search", query_string={"q": typed}).text
        assert f'href="/ops/products/{KETTLE}"' in page and f'href="/ops/products/{PEN}"' in page, typed
        assert ">archived<" in page
    for typed in (order.number, "kettle@", "<b>", "%", " ", "\x00"):
        page = mia.get("/ops/search", query_string={"q": typed}).text
        assert "/ops/orders" not in page and "/ops/customers" not in page and "e-mail" not in page, typed
    assert "No product has the SKU “&lt;b&gt;”" in mia.get("/ops/search?q=<b>").text
    assert 'placeholder="Product ( / )"' in mia.get("/ops").text


def test_support_and_finance_find_no_products_and_admins_find_both(shop: Shop) -> None:
    order = shop.order((PEN, 1), email="kettle@example.com")
    for role in ("support", "finance"):
        visitor = visitor_as(shop, role)
        assert visitor.get(f"/ops/search?q={KETTLE}").status_code == 200
        assert visitor.get("/ops/search?q=kettle").location == f"/ops/orders/{order.number}"
        assert 'placeholder="Order, e-mail, any id ( / )"' in visitor.get("/ops").text
    admin = visitor_as(shop, "admin")
    page = admin.get("/ops/search?q=kettle").text
    assert f"/ops/products/{KETTLE}" in page and f"/ops/orders/{order.number}" in page
    assert admin.get(f"/ops/search?q={order.number}").location == f"/ops/orders/{order.number}"


def test_a_long_list_of_products_leads_to_all_and_a_search_sends_at_most_four_statements(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MOST_PRODUCTS", 1)
    for _ in range(2):
        shop.order(email="test@example.com")
    for role in ("support", "merchandiser", "admin"):
        visitor = visitor_as(shop, role)
        page = visitor.get("/ops/search?q=test").text
        is_reader = role != "support"
        assert page.count('href="/ops/products/') == is_reader and ('href="/ops/products?q=test"' in page) == is_reader
        sent = sent_for(visitor, "/ops/search?q=test")
        assert len(sent) <= 4, sent
