"""The page of an order, and the search that leads to it."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest

from shop.catalogue.models import Product
from shop.core import clock
from shop.core.db import db, transaction
from shop.core.money import Money
from shop.core.tax_classes import TaxClass
from shop.ops.formats import shop_time
from shop.order_notes import notes
from shop.payments.calls import circuit_breaker
from shop.payments.disputes import disputes
from shop.payments.providers.interface import DisputeFact
from shop.payments.refunds import requests
from shop.pricing import change
from tests.ops.conftest import visitor_as
from tests.shop_fixtures import KETTLE, PEN, Shop
from tests.web.conftest import HTMX, Visitor
from tests.web.test_page_statements import sent_for


@pytest.fixture
def support(shop: Shop) -> Visitor:
    return visitor_as(shop, "support")


def text(page: str) -> str:
    """The page without its tags."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_the_page_explains_the_state_and_names_the_next_step(shop: Shop, support: Visitor) -> None:
    order = shop.paid_order((PEN, 1))
    page = text(support.get(f"/ops/orders/{order.number.lower()}").text)
    assert "Paid because Fakepay's webhook evt-1" in page
    assert f"Asks Fakepay to confirm the capture of payment {shop.payment(order).id}" in page
    assert "Fakepay reported captured" in page and "NT$90 pays order" in page
    assert "Received, newest first Happened Source" in page
    assert "Ada, ada@example.com" in page and "Pen 1 NT$90" in page


def test_the_taxes_of_an_order_differ_by_the_rates_that_are_shown(shop: Shop, support: Visitor) -> None:
    change.set_tax("TW", "VAT", 5000, reduced_rate=1000, is_included=True)
    with transaction():
        db.session.get_one(Product, PEN).tax_class = TaxClass.REDUCED
    page = text(support.get(f"/ops/orders/{shop.order((KETTLE, 1), (PEN, 1)).number}").text)
    assert "VAT (5 % tax, included) 1" in page and "VAT (1 % tax, included) 1" in page


def test_a_disputed_order_shows_the_dispute_its_answer_date_and_why_nothing_can_be_refunded(
    shop: Shop, support: Visitor
) -> None:
    order = shop.paid_order((PEN, 1))
    theirs = shop.acquirer.payments[shop.payment(order).id].captures[0]
    answer_by = clock.now() + timedelta(days=7)
    for state in ("OPEN", "LOST"):
        fact = DisputeFact("dp_1", theirs.id, "chargeback", state, theirs.money, clock.now(), "fraudulent", answer_by)
        disputes.apply("fakepay", fact, "webhook")
        page = text(support.get(f"/ops/orders/{order.number}").text)
        if state == "OPEN":
            assert "disputed" in page and "Chargeback of NT$90 (fraudulent). Answer by" in page
            assert f"Waits for the bank's decision after {shop_time(answer_by)}" in page
            assert "NT$90 is in dispute and cannot be refunded while the dispute is open." in page
            assert "A chargeback of NT$90 (fraudulent) has been open since" in page
    assert "taken back by the bank" in page and "Waits for the bank" not in page
    assert page.count("Waits for") == 1 and "Waits for 1 unit to be packed." in page
    assert "The customer's bank has taken back NT$90." in page


def test_the_page_calls_no_acquirer_and_writes_nothing(
    shop: Shop, support: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = shop.paid_order((PEN, 1))
    monkeypatch.setattr(circuit_breaker, "call", lambda *_: pytest.fail("the page has called the acquirer"))
    assert support.get(f"/ops/orders/{order.number}").status_code == 200


def test_the_page_reads_each_table_once_however_much_has_happened(shop: Shop) -> None:
    paid = shop.paid_order((KETTLE, 1), customer=shop.customer(20000), credit=20000)
    capture, finance = shop.capture(paid), visitor_as(shop, "finance")
    few = sent_for(finance, f"/ops/orders/{paid.number}")
    for amount in (100, 200):
        requests.request(capture, Money(amount, "TWD"), reason="", by=shop.sam)
    notes.write(paid.id, "@sam please call", by=shop.kim, form_key="key")
    shop.sweep()
    many = sent_for(finance, f"/ops/orders/{paid.number}")
    assert len(few) <= len(many) <= 17, "\n".join(many)


def test_the_sources_of_the_timeline_are_links(shop: Shop, support: Visitor) -> None:
    order = shop.paid_order((PEN, 1))
    path = f"/ops/orders/{order.number}"
    page = support.get(f"{path}?source=mail").text
    assert f'href="{path}"' in page and f'href="{path}?source=webhook&amp;source=mail"' in page
    assert "Fakepay reported" not in page
    for query, known in (("source=rumour", "order, payment, webhook"), ("state=PAID", "The only one is source.")):
        answer = support.get(f"{path}?{query}")
        assert answer.status_code == 422 and known in html.unescape(answer.text)


def test_the_acquirers_side_is_fetched_on_request(shop: Shop, support: Visitor) -> None:
    order = shop.paid_order((PEN, 1))
    path = f"/ops/orders/{order.number}"
    assert f'hx-get="{path}/ledgers"' in support.get(path).text
    part = support.get(f"{path}/ledgers", headers=HTMX).text
    assert "Both ledgers agree." in part and "<html" not in part and part.count(">same<") == 2
    assert "<h1>Both ledgers</h1>" in support.get(f"{path}/ledgers").text
    shop.acquirer.away = True
    away = text(support.get(f"{path}/ledgers").text)
    assert "not reachable" in away and "NT$90 pays order" in away


def test_an_order_that_does_not_exist_is_404_with_the_search(shop: Shop, support: Visitor) -> None:
    for path in ("/ops/orders/NO-SUCH", "/ops/orders/NO-SUCH/ledgers"):
        answer = support.get(path)
        assert answer.status_code == 404 and "There is no order NO-SUCH." in answer.text
        assert 'role="search"' in answer.text


def test_a_search_with_one_hit_opens_the_order(shop: Shop, support: Visitor) -> None:
    order = shop.paid_order((PEN, 1), email="zoe@example.com")
    for typed in (order.number.lower(), shop.payment(order).id, "evt-1", "zoe@"):
        answer = support.get("/ops/search", query_string={"q": typed})
        assert (answer.status_code, answer.location) == (303, f"/ops/orders/{order.number}"), typed


def test_a_search_lists_several_hits_and_reports_that_there_are_none(shop: Shop, support: Visitor) -> None:
    numbers = {shop.order((PEN, 1)).number for _ in range(2)}
    page = support.get("/ops/search?q=ada@ex").text
    assert all(f"/ops/orders/{number}" in page for number in numbers)
    assert text(page).count("waiting payment NT$90 e-mail address") == 2
    answer = support.get("/ops/search?q=<b>nothing")
    assert answer.status_code == 200 and "Nothing has the id “&lt;b&gt;nothing”" in answer.text
    assert support.get("/ops/search").status_code == 200
    assert support.get("/ops/search?query=x").status_code == 422
