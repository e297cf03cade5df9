"""Delivery methods in the console: what merchandisers change, and what checkouts show."""

from __future__ import annotations

import html
import re

import pytest

from shop.accounts.permissions import Role
from shop.core import audit_search
from shop.core.audit import Subject, SubjectKind
from shop.core.countries import SHIPS_TO
from shop.core.db import db
from shop.core.money import Money
from shop.pricing import change, demo_pricing
from shop.pricing.models import DeliveryMethod
from tests.ops.conftest import visitor_as
from tests.ops.setting_forms import form_of
from tests.race_fixtures import Race
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor

NEW = {"name": "Courier", "name.zh-Hant": "宅配", "price.TWD": "80", "price.USD": "4.50", "free_from.TWD": "1,500"}
NEW |= {"position": "0", "is_offered": "yes", "countries": ["TW", "US"], "version": "0"}
COURIER = "/ops/delivery/methods/courier"


def stored(key: str = "courier") -> DeliveryMethod:
    db.session.rollback()
    return db.session.get_one(DeliveryMethod, key, populate_existing=True)


@pytest.fixture
def mia(shop: Shop) -> Visitor:
    visitor = visitor_as(shop, "merchandiser")
    visitor.get("/ops/delivery/new")
    return visitor


@pytest.fixture
def courier(mia: Visitor) -> Visitor:
    """A merchandiser who has created the method `courier`."""
    assert mia.post("/ops/delivery/new", NEW).status_code == 303
    return mia


def test_a_merchandiser_adds_a_method_that_the_checkout_offers(shop: Shop, courier: Visitor) -> None:
    method = stored()
    assert (method.prices, method.free_from) == ({"TWD": 8000, "USD": 450}, {"TWD": 150000})
    assert (method.countries, method.texts) == (["TW", "US"], {"zh_Hant": {"name": "宅配"}})
    visitor = Visitor(shop.app)
    visitor.add()
    assert "Courier" in visitor.get("/checkout").text
    assert "宅配" in visitor.get("/checkout?lang=zh-Hant").text
    page = courier.get("/ops/delivery").text
    assert "Courier" in page and "NT$80" in page and "NT$1,500" in page and "简体中文, 日本語" in page


@pytest.mark.parametrize(
    ("field", "typed", "shown"),
    [
        ("name", "", "Enter a name in English."),
        ("name", "宅配", "needs letters from A to Z or digits"),
        ("name", "x" * 61, "Enter at most 60 characters; these are 61."),
        ("name.ja", "\x07bell", "control characters"),
        ("price.TWD", "-1", "Enter an amount such as 1,180."),
        ("price.TWD", "1e3", "Enter an amount such as 1,180."),
        ("price.TWD", "80.50", "Amounts in TWD are multiples of NT$1."),
        ("price.USD", "1000000000000", "Enter less than $100,000,000.00 USD."),
        ("price.USD", "4.555", "An amount in USD has at most 2 decimals"),
        ("price.JPY", "😀", "Enter an amount such as 1,180."),
        ("price.TWD", "٣x", "Enter an amount such as 1,180."),
        ("free_from.JPY", "100", "Enter a price in JPY too."),
        ("position", "1000", "Enter a whole number from 0 to 999."),
        ("countries", ["XX"], "'XX' is not a country that the shop delivers to."),
        ("price.EUR", "5", "The form has no field 'price.EUR'."),
        ("key", "mine", "The form has no field 'key'."),
        ("name", ["One", "Two"], "The form has no field 'name'."),
    ],
)
def test_a_field_that_cannot_be_used_is_named_and_nothing_is_saved(
    shop: Shop, mia: Visitor, field: str, typed: object, shown: str
) -> None:
    answer = mia.post("/ops/delivery/new", {**NEW, field: typed})
    assert answer.status_code == 422
    assert shown in html.unescape(answer.text)
    assert shop.count(DeliveryMethod) == 0


def test_a_method_without_a_price_is_refused(shop: Shop, mia: Visitor) -> None:
    answer = mia.post("/ops/delivery/new", {**NEW, "price.TWD": "", "price.USD": "", "free_from.TWD": ""})
    assert "Enter a price in at least one currency" in answer.text
    assert shop.count(DeliveryMethod) == 0


def test_text_from_right_to_left_and_emoji_are_kept_as_text(mia: Visitor) -> None:
    assert mia.post("/ops/delivery/new", {**NEW, "name": "Fast 🚚 <b>", "name.ja": "توصيل"}).status_code == 303
    assert stored("fast-b").texts["ja"] == {"name": "توصيل"}
    assert "Fast 🚚 &lt;b&gt;" in mia.get("/ops/delivery").text


def test_a_stale_form_is_refused_with_the_present_values_and_saved_after_a_second_look(courier: Visitor) -> None:
    first, second = form_of(courier, COURIER), form_of(courier, COURIER)
    assert courier.post(COURIER, {**first, "price.TWD": "90", "name": "Post"}).status_code == 303
    answer = courier.post(COURIER, {**second, "price.TWD": "100"})
    assert answer.status_code == 409
    shown = re.findall(r"<li><strong>(.*?)</strong>: (.*?)</li>", answer.text)
    assert ("Price in TWD", "“90”") in shown and ("Name", "“Post”") in shown
    assert 'value="100"' in answer.text, "what was typed is kept"
    assert stored().prices["TWD"] == 9000
    again = re.search(r'name="version" value="([0-9]+)"', answer.text)
    assert again and courier.post(COURIER, {**second, "price.TWD": "100", "version": again[1]}).status_code == 303
    assert (stored().prices["TWD"], stored().name, stored().version) == (10000, "Courier", 3)


def test_a_form_that_is_sent_twice_changes_once(courier: Visitor) -> None:
    form = {**form_of(courier, COURIER), "price.TWD": "95"}
    assert [courier.post(COURIER, form).status_code for _ in range(2)] == [303, 303]
    assert stored().version == 2
    assert courier.post("/ops/delivery/new", NEW).status_code == 409, "the name is taken, and the price differs"


def test_of_eight_changes_of_one_version_one_is_saved(shop: Shop, courier: Visitor, race: Race) -> None:
    mo = shop.colleague("mo", Role.MERCHANDISER)

    def set_price(number: int) -> None:
        prices = {"TWD": Money(10000 + 100 * number, "TWD")}
        change.set_delivery("courier", "C", prices, free_from={}, countries=(), position=0, by=mo, seen=1)

    results = race(set_price)
    assert sorted(str(getattr(one, "code", one)) for one in results) == ["None"] + ["changed_meanwhile"] * 7
    assert stored().version == 2


def test_a_method_that_is_off_is_not_offered_and_without_any_no_order_is_taken(shop: Shop, courier: Visitor) -> None:
    form = form_of(courier, COURIER)
    assert (
        courier.post(COURIER, {name: value for name, value in form.items() if name != "is_offered"}).status_code == 303
    )
    assert "No delivery method is offered: customers cannot order." in courier.get("/ops/delivery").text
    visitor = Visitor(shop.app)
    visitor.add()
    answer = visitor.checkout()
    assert answer.status_code == 422
    assert "We do not deliver to this country for orders in TWD." in answer.text


def test_a_deleted_method_stays_on_orders_and_a_stale_deletion_is_refused(shop: Shop, courier: Visitor) -> None:
    order = shop.order(delivery="courier")
    stale = courier.post(f"{COURIER}/delete", {"version": "7"})
    assert stale.status_code == 409 and shop.count(DeliveryMethod) == 1
    assert courier.post(f"{COURIER}/delete", {"version": "1"}).status_code == 303
    assert shop.count(DeliveryMethod) == 0
    assert [line.name for line in order.charges if line.kind == "delivery"] == ["Courier"]
    assert courier.get(COURIER).status_code == 404
    subject = Subject(SubjectKind.DELIVERY, "courier")
    newest, first = audit_search.find(audit_search.Filters(subjects=[subject]), limit=5).rows
    assert newest.before and newest.before["name"] == "Courier" and newest.after is None
    assert first.before is None and first.after and first.after["prices"] == {"TWD": 8000, "USD": 450}


def test_the_release_step_adds_translations_to_untouched_rows_of_the_demo_alone(shop: Shop) -> None:
    demo_pricing.insert_if_none()
    mo = shop.colleague("mo", Role.MERCHANDISER)
    for key in ("standard", "express"):  # as an older release has left them
        db.session.get_one(DeliveryMethod, key).texts = {"ja": {"name": "元の名前"}}
    db.session.commit()
    express = stored("express")
    prices = {"TWD": Money(20000, "TWD")}
    change.set_delivery("express", "Express", prices, free_from={}, countries=(), position=1, by=mo, seen=1)
    demo_pricing.insert_if_none()
    assert stored("standard").texts == {
        "zh_Hant": {"name": "標準配送"},
        "zh_Hans": {"name": "标准配送"},
        "ja": {"name": "元の名前"},
    }
    assert (express.texts, stored("express").prices) == ({"ja": {"name": "元の名前"}}, {"TWD": 20000})


def test_a_new_method_comes_last_so_that_it_is_not_preselected(mia: Visitor) -> None:
    for position in ("0", "7"):
        mia.post("/ops/delivery/new", {**NEW, "name": f"Courier {position}", "position": position})
    assert form_of(mia, "/ops/delivery/new")["position"] == "8"


def test_a_method_delivers_to_all_countries_except_the_chosen_ones(shop: Shop, mia: Visitor) -> None:
    assert mia.post("/ops/delivery/new", {**NEW, "countries": ["JP", "US"], "all_except": "yes"}).status_code == 303
    assert stored().exceptions == ["JP", "US"]
    assert stored().countries == sorted(SHIPS_TO - {"JP", "US"})  # the version before 0059 reads these alone
    assert "All except Japan, United States" in mia.get("/ops/delivery").text
    assert form_of(mia, COURIER)["all_except"] == "yes"
    visitor = Visitor(shop.app)
    visitor.add()
    assert "Courier" in visitor.get("/checkout").text
    assert visitor.checkout(country="JP", postcode="100-0001", city="Chiyoda", region="").status_code == 422
    assert visitor.checkout().status_code == 303
    form = form_of(mia, COURIER)
    assert mia.post(COURIER, {**form, "all_except": ""}).status_code == 303
    assert mia.post(COURIER, {**form, "all_except": "yes"}).status_code == 409
    assert (stored().countries, stored().exceptions) == (["JP", "US"], [])
    newest = audit_search.find(audit_search.Filters(subjects=[Subject(SubjectKind.DELIVERY, "courier")])).rows[0]
    assert newest.before and newest.after
    assert (newest.before["exceptions"], newest.after["exceptions"]) == (["JP", "US"], [])


def test_exceptions_that_leave_no_country_are_refused(shop: Shop, mia: Visitor) -> None:
    answer = mia.post("/ops/delivery/new", {**NEW, "countries": sorted(SHIPS_TO), "all_except": "yes"})
    assert answer.status_code == 422 and "These exceptions leave no country." in answer.text
    assert shop.count(DeliveryMethod) == 0
