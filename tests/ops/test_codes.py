"""Discount codes in the console: campaigns, their limits, and the list."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta

import pytest

from shop.core import audit_search, clock
from shop.core.audit import Subject, SubjectKind
from shop.core.db import db
from shop.pricing import change, code_list
from shop.pricing.change import NewCode
from shop.pricing.models import DiscountCode
from tests.ops.conftest import visitor_as
from tests.ops.setting_forms import form_of
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor
from tests.web.test_page_statements import sent_for

NEW = {"code": "summer-25", "percent": "25", "once_per_email": "yes", "is_active": "yes", "version": "0"}
SUMMER = "/ops/codes/SUMMER-25"


def stored(code: str = "SUMMER-25") -> code_list.Listed:
    db.session.rollback()
    found = code_list.one(code)
    assert found
    return found


@pytest.fixture
def mia(shop: Shop) -> Visitor:
    visitor = visitor_as(shop, "merchandiser")
    visitor.get("/ops/codes/new")
    return visitor


def test_a_campaign_is_made_with_one_form_and_customers_use_it(shop: Shop, mia: Visitor) -> None:
    shop.app.config["SHOP_TIME_ZONE"] = "Asia/Taipei"
    end = clock.now() + timedelta(days=30)
    more = {"ends_at": f"{end:%Y-%m-%dT12:30}", "use_limit": "1,000", "budget.TWD": "5,000"}
    answer = mia.post("/ops/codes/new", {**NEW, **more})
    assert (answer.status_code, answer.location) == (303, SUMMER)
    assert stored().ends_at == datetime(end.year, end.month, end.day, 4, 30, tzinfo=UTC), "Taipei is 8 h ahead"
    visitor = Visitor(shop.app)
    visitor.add()
    visitor.get("/checkout")
    page = visitor.post("/checkout/update", {**visitor.filled(), "code": "Summer-25"})
    assert "Discount (SUMMER-25)" in page.text
    assert visitor.post("/checkout", {**visitor.filled(), "code": "SUMMER-25"}).status_code == 303
    page = mia.get(SUMMER)
    assert "Used by 1 order of 1,000. Discounts given: NT$300 of NT$5,000." in page.text
    row = mia.get("/ops/codes").text
    assert "25 %" in row and "NT$300 of NT$5,000" in row


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ({"code": ""}, "A code has 2 to 40 letters"),
        ({"code": "歓迎"}, "A code has 2 to 40 letters"),
        ({"code": "A" * 10_000}, "A code has 2 to 40 letters"),
        ({"percent": "0"}, "Enter a whole number from 1 to 100."),
        ({"percent": "-5"}, "Enter a whole number from 1 to 100."),
        ({"percent": "101"}, "Enter a whole number from 1 to 100."),
        ({"percent": "1e1"}, "Enter a whole number from 1 to 100."),
        ({"percent": "2.5"}, "Enter a whole number from 1 to 100."),
        ({"percent": ""}, "A code takes off either a percentage or an amount."),
        ({"amount.TWD": "100"}, "A code takes off either a percentage or an amount."),
        ({"percent": "100"}, "A code of 100 % needs a limit of uses"),
        ({"percent": "", "amount.TWD": "0"}, "Enter at least NT$1."),
        ({"percent": "", "amount.TWD": "10", "budget.JPY": "10"}, "A budget needs an amount in the same currency."),
        ({"budget.USD": "1000000000000"}, "Enter less than $100,000,000.00 USD."),
        ({"budget.EUR": "5"}, "The form has no field 'budget.EUR'."),
        ({"use_limit": "0"}, "Enter a whole number from 1 to 1,000,000,000."),
        ({"use_limit": "1000000000000"}, "Enter a whole number from 1 to 1,000,000,000."),
        ({"starts_at": "2027-02-01T00:00", "ends_at": "2027-01-01T00:00"}, "The end must be after the start."),
        ({"starts_at": "2027-02-30T00:00"}, "Enter a date and a time, such as 2026-12-24T09:30."),
        ({"starts_at": "1e9"}, "Enter a date and a time, such as 2026-12-24T09:30."),
        ({"ends_at": "9999-12-31T23:59"}, "Enter a date and a time, such as 2026-12-24T09:30."),
        ({"ends_at": "2027-01-01T00:00+08:00"}, "Enter a date and a time, such as 2026-12-24T09:30."),
        ({"uses": "0"}, "The form has no field 'uses'."),
    ],
)
def test_a_field_that_cannot_be_used_is_named_and_nothing_is_saved(
    shop: Shop, mia: Visitor, typed: dict[str, str], shown: str
) -> None:
    answer = mia.post("/ops/codes/new", {**NEW, **typed})
    assert answer.status_code == 422
    assert shown in html.unescape(answer.text)
    assert shop.count(DiscountCode) == 0


def test_a_code_that_exists_is_not_replaced_by_a_new_one(mia: Visitor) -> None:
    mia.post("/ops/codes/new", NEW)
    answer = mia.post("/ops/codes/new", {**NEW, "percent": "50"})
    assert answer.status_code == 409 and "The code SUMMER-25 exists already." in answer.text
    assert stored().percent == 25


def test_a_stale_form_is_refused_with_the_present_values(mia: Visitor) -> None:
    mia.post("/ops/codes/new", NEW)
    first, second = form_of(mia, SUMMER), form_of(mia, SUMMER)
    assert mia.post(SUMMER, {**first, "percent": "30"}).status_code == 303
    answer = mia.post(SUMMER, {**second, "use_limit": "5"})
    assert answer.status_code == 409 and "<strong>Percentage</strong>: “30”" in answer.text
    assert (stored().percent, stored().use_limit) == (30, None)


def test_the_use_of_a_code_does_not_make_a_form_stale(shop: Shop, mia: Visitor) -> None:
    mia.post("/ops/codes/new", NEW)
    form = form_of(mia, SUMMER)
    shop.order(code="SUMMER-25")
    assert mia.post(SUMMER, {**form, "use_limit": "10"}).status_code == 303
    assert (stored().uses, stored().use_limit) == (1, 10)


def test_a_limit_below_what_is_used_is_refused_and_a_code_switched_off_and_on(shop: Shop, mia: Visitor) -> None:
    mia.post("/ops/codes/new", {**NEW, "percent": "", "amount.TWD": "100", "amount.JPY": "300", "once_per_email": ""})
    for _ in range(2):
        shop.order(code="SUMMER-25")
    form = form_of(mia, SUMMER)
    answer = mia.post(SUMMER, {**form, "use_limit": "1"})
    assert answer.status_code == 409 and "has been used more often than this limit allows" in answer.text
    answer = mia.post(SUMMER, {**form, "budget.TWD": "150"})
    assert answer.status_code == 409 and "SUMMER-25 has given discounts of NT$200" in answer.text
    off = {name: value for name, value in form.items() if name != "is_active"}
    assert mia.post(SUMMER, off).status_code == 303
    assert (stored().is_active, stored().uses) == (False, 2)
    assert mia.post(SUMMER, form_of(mia, SUMMER) | {"is_active": "yes"}).status_code == 303
    assert stored().is_active
    newest = audit_search.find(audit_search.Filters(subjects=[Subject(SubjectKind.CODE, "SUMMER-25")]), limit=1).rows[0]
    assert newest.before and newest.after
    assert (newest.before["is_active"], newest.after["is_active"]) == (False, True)


def test_the_list_has_pages_and_filters_by_state(shop: Shop, mia: Visitor) -> None:
    now = clock.now()
    for number in range(code_list.PAGE + 1):
        change.set_code(NewCode(f"C{number:03}", percent=10))
    change.set_code(NewCode("AHEAD", percent=10, starts_at=now + timedelta(days=1)))
    change.set_code(NewCode("PAST", percent=10, ends_at=now - timedelta(days=1)))
    change.set_code(NewCode("OFF", percent=10, is_active=False))
    page = mia.get("/ops/codes")
    assert len(re.findall(r'<th scope="row"', page.text)) == code_list.PAGE
    following = re.search(r'href="(/ops/codes\?after=[^"]+)" rel="next"', page.text)
    assert following and len(re.findall(r'<th scope="row"', mia.get(following[1]).text)) == 4
    for state, code in (("scheduled", "AHEAD"), ("ended", "PAST"), ("off", "OFF")):
        assert re.findall(r'<a href="/ops/codes/(\w+)">', mia.get(f"/ops/codes?state={state}").text) == [code]
    assert re.findall(r'<a href="/ops/codes/(\w+)">', mia.get("/ops/codes?q=c00&state=valid").text)[0] == "C000"
    assert mia.get("/ops/codes?colour=red").status_code == 422
    assert len(sent_for(mia, "/ops/codes")) <= 4
