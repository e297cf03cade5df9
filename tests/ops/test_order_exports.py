"""Exports of orders in the console: request, progress, download, and who may."""

from __future__ import annotations

import re

import pytest
from werkzeug.test import TestResponse

from shop.core import ids
from shop.core.db import db, transaction
from shop.order_search.models import ExportState, OrderExport
from tests.ops.conftest import visitor_as
from tests.shop_fixtures import PEN, Shop
from tests.web.conftest import Visitor


@pytest.fixture
def finance(shop: Shop) -> Visitor:
    visitor = visitor_as(shop, "finance")
    visitor.get("/ops/orders")
    return visitor


def export(visitor: Visitor, query: str = "") -> TestResponse:
    """Open the list of orders and press its button."""
    visitor.get(f"/ops/orders{query}")
    return visitor.post(f"/ops/orders/export{query}", {"export": visitor.field("export")})


def test_the_orders_of_a_filter_are_exported_with_progress_and_downloaded(shop: Shop, finance: Visitor) -> None:
    paid = shop.paid_order((PEN, 1))
    shop.order((PEN, 1))
    assert '/ops/orders/export?state=PAID"' in finance.get("/ops/orders?state=PAID").text
    page = export(finance, "?state=PAID").location
    running = finance.get(page).text
    assert 'hx-trigger="every 1s"' in running and "0 of about 1 orders" in running
    fragment = finance.client.get(page, headers={"HX-Request": "true"}).text
    assert "<html" not in fragment and 'id="export"' in fragment
    early = finance.get(f"{page}/file")
    assert early.status_code == 409 and "This file is not complete." in early.text
    shop.sweep()
    done = finance.get(page).text
    assert "The file is complete" in done and "hx-trigger" not in done
    file = finance.get(f"{page}/file")
    assert file.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert re.fullmatch(r'attachment; filename="orders-[0-9-]+\.csv"', file.headers["Content-Disposition"])
    assert file.data.startswith(b"\xef\xbb\xbforder,placed_at,") and file.data.count(b"\r\n") == 2
    assert paid.number.encode() in file.data
    assert f'href="{page}/file"' in finance.get("/ops/exports").text


def test_a_failed_export_is_started_again_on_its_page(shop: Shop, finance: Visitor) -> None:
    shop.order((PEN, 1))
    page = export(finance).location
    refused = finance.post(f"{page}/again")
    assert refused.status_code == 409 and "Only a failed export can be started again." in refused.text
    with transaction():
        db.session.execute(db.update(OrderExport).values(state=ExportState.FAILED, due_at=None))
    assert "The export has failed" in finance.get(page).text
    assert finance.post(f"{page}/again").location == page
    shop.sweep()
    assert "The file is complete" in finance.get(page).text


@pytest.mark.parametrize(("query", "status"), [("?state=PAID", 409), ("?colour=red", 422)])
def test_an_export_that_cannot_be_made_is_refused_with_the_reason(
    shop: Shop, finance: Visitor, query: str, status: int
) -> None:
    answer = finance.post(f"/ops/orders/export{query}", {"export": ids.export_id()})
    assert answer.status_code == status
    assert ("nothing to export" if status == 409 else "Filters are state") in answer.text
    assert shop.count(OrderExport) == 0


def test_an_export_that_does_not_exist_is_404_and_support_may_see_none(shop: Shop, finance: Visitor) -> None:
    shop.order((PEN, 1))
    page = export(finance).location
    assert finance.get("/ops/exports/E1").status_code == finance.get("/ops/exports/E1/file").status_code == 404
    support = visitor_as(shop, "support")
    assert support.get(page).status_code == support.get(f"{page}/file").status_code == 403
    assert "Export CSV" not in support.get("/ops/orders").text


def test_a_form_that_is_sent_twice_makes_one_export(shop: Shop, finance: Visitor) -> None:
    shop.order((PEN, 1))
    finance.get("/ops/orders")
    form = {"export": finance.field("export")}
    assert len({finance.post("/ops/orders/export", form).location for _ in range(2)}) == shop.count(OrderExport) == 1
    other = visitor_as(shop, "finance", "support")
    other.get("/ops/orders")
    for name in (form["export"], "", "E1"):
        answer = other.post("/ops/orders/export", {"export": name})
        assert answer.status_code == 422 and "The form is not complete." in answer.text


def test_a_download_needs_the_password_again_after_some_time(shop: Shop, finance: Visitor) -> None:
    shop.order((PEN, 1))
    page = export(finance).location
    shop.sweep()
    shop.app.config["STAFF_CONFIRM_MINUTES"] = 0
    answer = finance.get(f"{page}/file")
    assert (answer.status_code, answer.location) == (303, f"/ops/confirm?next={page}/file")
