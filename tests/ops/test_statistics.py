"""Statistics in the console: figures, comparison, filters, CSV files, and a shop without any."""

from __future__ import annotations

import csv
import io

import pytest

from shop.core.csv_cells import BYTE_ORDER_MARK
from tests.ops.conftest import visitor_as
from tests.shop_fixtures import PEN, Shop
from tests.web.conftest import Visitor
from tests.web.test_page_statements import sent_for


def rows_of(visitor: Visitor, table: str, query: str = "") -> list[list[str]]:
    """The lines of a CSV file."""
    answer = visitor.get(f"/ops/statistics/csv?table={table}{query}")
    assert answer.status_code == 200, answer.text
    assert answer.mimetype == "text/csv" and answer.data.startswith(BYTE_ORDER_MARK)
    return list(csv.reader(io.StringIO(answer.data.decode("utf-8-sig"))))


def test_finance_reads_the_figures_of_a_period_with_the_one_before(shop: Shop) -> None:
    shop.paid_order((PEN, 1))
    shop.turn(days=1)
    for _ in range(2):
        shop.paid_order((PEN, 1))
    shop.order((PEN, 1), currency="JPY", provider="otherpay")
    shop.sweep()
    finance = visitor_as(shop, "finance")
    page = finance.get("/ops/statistics?period=today").text
    assert "Orders" in page and "NT$180" in page and "+100 %" in page and "Days begin at midnight in" in page
    assert rows_of(finance, "orders", "&period=today")[1:4] == [
        ["placed", "JPY", "1", "420", "0", "0", ""],
        ["placed", "TWD", "2", "180.00", "1", "90.00", "100"],
        ["paid", "TWD", "2", "180.00", "1", "90.00", "100"],
    ]
    assert rows_of(finance, "sources", "&period=today")[1] == ["webhook", "2", "100.0", "1", "100.0"]
    assert rows_of(finance, "times")[1][:3] == ["All", "3", "0.25"]
    only = finance.get("/ops/statistics?currency=JPY&provider=otherpay").text
    assert "¥420" in only and "NT$" not in only
    assert 'href="/ops/statistics"' in page and "Statistics</a>" in page


def test_support_may_not_read_statistics(shop: Shop) -> None:
    support = visitor_as(shop, "support")
    assert support.get("/ops/statistics").status_code == 403
    assert support.get("/ops/statistics/csv?table=orders").status_code == 403


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("?period=year", "Values are today, 7, 30, 90."),
        ("?currency=EUR", "Values are TWD, JPY, USD."),
        ("?colour=red", "Filters are period, from, to, currency, provider."),
        ("/csv?table=nothing", "Tables are orders, days, providers"),
        ("/csv", "Tables are orders, days, providers"),
    ],
)
def test_an_unknown_value_in_the_address_is_refused_with_the_known_ones(shop: Shop, path: str, sentence: str) -> None:
    shop.paid_order((PEN, 1))
    shop.sweep()
    answer = visitor_as(shop, "finance").get(f"/ops/statistics{path}")
    assert answer.status_code == 422 and sentence in answer.text


def test_a_new_shop_has_no_figures_and_states_why(shop: Shop) -> None:
    admin = visitor_as(shop, "admin")
    assert "The figures are being computed for the first time." in admin.get("/ops/statistics").text
    shop.sweep()
    assert "There are no figures yet: no order has been placed." in admin.get("/ops/statistics").text
    shop.order((PEN, 1))
    shop.turn(days=1)
    page = admin.get("/ops/statistics?from=2020-01-01&to=2020-01-02").text
    assert "Nothing happened in this period" in page


def test_an_empty_field_of_the_form_is_not_in_the_address(shop: Shop) -> None:
    answer = visitor_as(shop, "admin").get("/ops/statistics?from=2026-01-01&to=")
    assert answer.status_code == 303 and "from=2026-01-01&to=20" in answer.headers["Location"]


def test_a_code_of_an_acquirer_is_no_formula_in_a_csv_file(shop: Shop) -> None:
    order = shop.order((PEN, 1))
    shop.acquirer.decline(shop.payment(order).id, "=HYPERLINK()")
    shop.deliver_webhook(shop.payment(order))
    shop.sweep()
    assert rows_of(visitor_as(shop, "admin"), "declines")[1][0] == "'=HYPERLINK()"


def test_the_page_makes_at_most_four_statements_and_one_from_redis(shop: Shop) -> None:
    shop.paid_order((PEN, 1))
    shop.turn(days=1)
    admin = visitor_as(shop, "admin")
    assert len(sent_for(admin, "/ops/statistics?period=90")) <= 4
    assert len(sent_for(admin, "/ops/statistics?period=90")) == 1


@pytest.mark.parametrize("period", ["from=2020-01-01&to=2020-01-02", "period=90&currency=JPY&provider=otherpay"])
def test_a_period_without_figures_needs_no_more_statements(shop: Shop, period: str) -> None:
    shop.paid_order((PEN, 1))
    shop.turn(days=1)
    admin = visitor_as(shop, "admin")
    assert len(sent_for(admin, f"/ops/statistics?{period}")) <= 4
    assert len(sent_for(admin, f"/ops/statistics?{period}")) == 1
