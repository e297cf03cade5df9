"""Addresses of orders by the API are checked as in the checkout: by the rules of their country."""

from __future__ import annotations

from typing import Any

import pytest

from shop.api.schemas.orders import AddressSchema
from tests.api.conftest import ADDRESS, Program, only_order
from tests.shop_fixtures import Shop

JAPAN = {"name": "花", "line1": "1-2-3 Jingumae", "city": "Shibuya", "country": "JP"}
TEXAS = {"name": "Al", "line1": "1 Main St", "city": "Austin", "country": "US", "state": "TX", "postcode": "73301"}


def loaded(address: dict[str, Any]) -> dict[str, Any]:
    return dict(AddressSchema().load(address))


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        (ADDRESS | {"postcode": "〒106-09"}, {"postcode": "10609", "state": ""}),
        (JAPAN | {"state": "東京都", "postcode": "1500001"}, {"postcode": "150-0001", "state": "Tokyo"}),
        (TEXAS | {"state": "texas", "postcode": "73301 1234"}, {"postcode": "73301-1234", "state": "TX"}),
        ({"name": "Lee", "line1": "1 Raffles Pl", "country": "SG", "postcode": "048616"}, {"city": ""}),
        ({"name": "Lee", "line1": "1 Nathan Rd", "country": "HK", "city": "Kowloon"}, {"city": "Kowloon"}),
        (ADDRESS | {"state": "Daan"}, {"state": "Daan"}),
    ],
)
def test_an_address_is_stored_as_its_country_writes_it(typed: dict[str, Any], stored: dict[str, str]) -> None:
    assert loaded(typed).items() >= stored.items()


@pytest.mark.parametrize(
    ("typed", "fields"),
    [
        (JAPAN, {"/address/postcode": "missing", "/address/state": "missing"}),
        (JAPAN | {"state": "Texas", "postcode": "1"}, {"/address/postcode": "invalid", "/address/state": "invalid"}),
        (TEXAS | {"postcode": "ABC"}, {"/address/postcode": "invalid"}),
        (TEXAS | {"city": ""}, {"/address/city": "missing"}),
        (TEXAS | {"state": "ZZ"}, {"/address/state": "invalid"}),
        (ADDRESS | {"postcode": "1"}, {"/address/postcode": "invalid"}),
        (ADDRESS | {"phone": "call me"}, {"/address/phone": "invalid"}),
        (ADDRESS | {"line1": ""}, {"/address/line1": "invalid"}),
        (ADDRESS | {"country": "ZZ", "postcode": "1"}, {"/address/country": "invalid"}),
    ],
)
def test_what_does_not_fit_the_country_is_named_and_no_order_is_placed(
    shop: Shop, guest: Program, typed: dict[str, Any], fields: dict[str, str]
) -> None:
    answer = guest.place(address=typed)
    assert answer.status_code == 422, answer.text
    assert {one["pointer"]: one["code"] for one in answer.json["errors"]} == fields


def test_the_sentence_names_the_forms_that_the_country_has(guest: Program) -> None:
    errors = guest.place(address=TEXAS | {"state": "ZZ", "postcode": "1"}).json["errors"]
    found = {one["pointer"]: one["detail"] for one in errors}
    assert found["/address/postcode"] == "This must be a ZIP code of US, such as 94107."
    assert found["/address/state"].startswith("This must be a state of US: AL, AK, ")


def test_a_changed_address_is_checked_as_that_of_a_new_order(shop: Shop, guest: Program) -> None:
    order = guest.placed()
    holder, path = Program(shop, order["token"]), f"/orders/{order['id']}"
    wrong = holder.call("PATCH", path, {"address": ADDRESS | {"postcode": "x"}})
    assert [one["pointer"] for one in wrong.json["errors"]] == ["/address/postcode"]
    right = holder.call("PATCH", path, {"address": ADDRESS | {"postcode": "104 91"}})
    assert right.json["address"]["postcode"] == "10491" and only_order().postcode == "10491"
