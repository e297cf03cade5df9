"""Tax rates in the console."""

from __future__ import annotations

import html

import pytest

from shop.core import audit_search
from shop.core.audit import Subject, SubjectKind
from shop.core.db import db
from shop.pricing.models import TaxRate
from tests.ops.conftest import visitor_as
from tests.ops.setting_forms import form_of
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor

NEW = {"country": "TW", "name": "VAT", "name.zh-Hant": "營業稅", "rate": "5", "how": "included", "reason": "by law"}
NEW |= {"version": "0"}
TAIWAN = "/ops/taxes/countries/TW"


def stored(country: str = "TW") -> TaxRate:
    db.session.rollback()
    return db.session.get_one(TaxRate, country, populate_existing=True)


@pytest.fixture
def fay(shop: Shop) -> Visitor:
    visitor = visitor_as(shop, "finance")
    visitor.get("/ops/taxes/new")
    return visitor


def test_finance_sets_a_rate_that_the_checkout_states(shop: Shop, fay: Visitor) -> None:
    assert fay.post("/ops/taxes/new", NEW).status_code == 303
    assert (stored().rate, stored().is_included, stored().texts) == (5000, True, {"zh_Hant": {"name": "營業稅"}})
    assert "Taiwan" in fay.get("/ops/taxes").text
    visitor = Visitor(shop.app)
    visitor.add()
    assert "Includes VAT (5%)" in visitor.get("/checkout").text
    assert fay.post(TAIWAN, {**form_of(fay, TAIWAN), "rate": "8.875", "reason": "raised"}).status_code == 303
    assert "Includes VAT (8.875%)" in visitor.get("/checkout").text
    assert stored().rate == 8875
    subject = Subject(SubjectKind.TAX, "TW")
    newest = audit_search.find(audit_search.Filters(subjects=[subject]), limit=5).rows[0]
    assert newest.before and newest.after
    assert (newest.before["rate"], newest.after["rate"], newest.reason) == (5000, 8875, "raised")


@pytest.mark.parametrize(
    ("field", "typed", "shown"),
    [
        ("rate", "", "is not a percentage"),
        ("rate", "-5", "is not a percentage"),
        ("rate", "1e3", "is not a percentage"),
        ("rate", "100.001", "A tax rate must be from 0 to 100 percent."),
        ("rate", "1000000000000", "is not a percentage"),
        ("rate", "5.12345", "is not a percentage"),
        ("rate", "😀", "is not a percentage"),
        ("reduced_rate", "101", "A tax rate must be from 0 to 100 percent."),
        ("reduced_rate", "half", "is not a percentage"),
        ("country", "XX", "Choose a country that the shop delivers to."),
        ("country", "", "Choose a country that the shop delivers to."),
        ("how", "maybe", "Choose whether prices contain the tax."),
        ("name", "", "Enter the name of the tax in English."),
        ("name.ja", "x" * 61, "Enter at most 60 characters"),
        ("reason", "", "Give a reason."),
        ("class", "reduced", "The form has no field 'class'."),
    ],
)
def test_a_field_that_cannot_be_used_is_named_and_nothing_is_saved(
    shop: Shop, fay: Visitor, field: str, typed: str, shown: str
) -> None:
    answer = fay.post("/ops/taxes/new", {**NEW, field: typed})
    assert answer.status_code == 422
    assert shown in html.unescape(answer.text)
    assert shop.count(TaxRate) == 0


def test_a_rate_of_zero_is_a_rate(fay: Visitor) -> None:
    assert fay.post("/ops/taxes/new", {**NEW, "rate": "0"}).status_code == 303
    assert stored().rate == 0


def test_a_reduced_rate_is_optional_and_can_be_zero(fay: Visitor) -> None:
    fay.post("/ops/taxes/new", {**NEW, "reduced_rate": "0"})
    assert stored().reduced_rate == 0
    assert ">0 %</td>" in fay.get("/ops/taxes").text
    assert fay.post(TAIWAN, {**form_of(fay, TAIWAN), "reduced_rate": "", "reason": "abolished"}).status_code == 303
    assert stored().reduced_rate is None


def test_a_stale_form_and_a_second_new_one_are_refused(fay: Visitor) -> None:
    fay.post("/ops/taxes/new", NEW)
    assert fay.post("/ops/taxes/new", {**NEW, "rate": "6"}).status_code == 409
    first, second = form_of(fay, TAIWAN), form_of(fay, TAIWAN)
    assert fay.post(TAIWAN, {**first, "rate": "7", "reason": "a"}).status_code == 303
    answer = fay.post(TAIWAN, {**second, "rate": "8", "reason": "b"})
    assert answer.status_code == 409 and "<strong>Rate in percent</strong>: “7”" in answer.text
    assert stored().rate == 7000


def test_a_country_loses_its_tax_with_a_reason_and_orders_keep_theirs(shop: Shop, fay: Visitor) -> None:
    fay.post("/ops/taxes/new", NEW)
    order = shop.order()
    assert fay.post(f"{TAIWAN}/delete", {"version": "1"}).status_code == 422, "no reason"
    assert fay.post(f"{TAIWAN}/delete", {"version": "1", "reason": "abolished"}).status_code == 303
    assert shop.count(TaxRate) == 0
    assert [line.rate for line in order.charges if line.kind == "tax"] == [5000]


def test_merchandisers_do_not_set_taxes_and_finance_sets_no_delivery(shop: Shop, fay: Visitor) -> None:
    assert fay.get("/ops/delivery").status_code == 403
    assert visitor_as(shop, "merchandiser").get("/ops/taxes").status_code == 403
