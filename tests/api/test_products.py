"""Products by the API: staff change them on the version that they have read."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import TestResponse

from shop.accounts.permissions import Role
from shop.catalogue import products
from shop.catalogue.models import Product
from shop.core.db import db
from tests.api.conftest import Program, signed_in
from tests.shop_fixtures import KETTLE, PEN, Shop

PATH = f"/products/{KETTLE}"


@pytest.fixture
def mia(shop: Shop) -> Program:
    """A merchandiser."""
    return signed_in(shop, Role.MERCHANDISER)


def changed(program: Program, version: str, **values: Any) -> TestResponse:
    headers = {"If-Match": version} if version else {}
    return program.call("PATCH", PATH, values, headers=headers)


def stored() -> Product:
    db.session.rollback()
    return db.session.get_one(Product, KETTLE, populate_existing=True)


def test_a_change_is_made_on_the_version_that_was_read(shop: Shop, mia: Program) -> None:
    seen = mia.get(PATH)
    answer = changed(mia, seen.headers["ETag"], summary="It whistles", prices={"JPY": 6000, "USD": None})
    assert answer.status_code == 200, answer.text
    assert answer.json == seen.json | {"summary": "It whistles", "prices": {"TWD": 120000, "JPY": 6000}}
    assert answer.headers["ETag"] not in ("", seen.headers["ETag"])
    again = changed(mia, answer.headers["ETag"], translations={"ja": {"name": "やかん"}}, position=7)
    assert again.status_code == 200 and stored().texts["ja"]["name"] == "やかん" and stored().position == 7
    assert mia.get(PATH, headers={"Accept-Language": "ja"}).json["name"] == "やかん"


def test_the_tax_class_of_a_product_is_shown_and_changed(shop: Shop, mia: Program) -> None:
    assert mia.get(PATH).json["tax_class"] == "standard"
    assert changed(mia, "*", tax_class="reduced").json["tax_class"] == "reduced"
    assert mia.get(PATH).json["tax_class"] == stored().tax_class == "reduced"


def test_a_change_on_an_older_version_is_412_and_one_without_a_version_428(shop: Shop, mia: Program) -> None:
    old = mia.get(PATH).headers["ETag"]
    assert changed(mia, old, summary="First").status_code == 200
    for version, status, code in ((old, 412, "version_changed"), ("", 428, "version_needed"), ('"x"', 412, None)):
        answer = changed(mia, version, summary="Second")
        assert (answer.status_code, answer.json["code"]) == (status, code or "version_changed"), version
    assert stored().summary == "First"
    assert changed(mia, "*", summary="Third").status_code == 200 and stored().summary == "Third"


def test_a_sale_and_another_language_do_not_stand_against_a_change(shop: Shop, mia: Program) -> None:
    japanese = mia.get(PATH, headers={"Accept-Language": "ja"}).headers["ETag"]
    assert japanese != mia.get(PATH).headers["ETag"]
    shop.order((KETTLE, 1))
    assert mia.get(PATH, headers={"Accept-Language": "ja", "If-None-Match": japanese}).status_code == 200
    assert changed(mia, japanese, summary="Sold well").status_code == 200


def test_of_two_changes_at_a_time_the_later_one_is_412(
    shop: Shop, mia: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    version, save = mia.get(PATH).headers["ETag"], products.save

    def late(sku: str, fields: Any, *, seen: int, by: Any) -> bool:
        products.archive(sku, by=by)
        return save(sku, fields, seen=seen, by=by)

    monkeypatch.setattr(products, "save", late)
    answer = changed(mia, version, summary="Late")
    assert (answer.status_code, answer.json["code"]) == (412, "version_changed") and stored().summary != "Late"


@pytest.mark.parametrize(
    ("values", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"slug": "A b"}, "/slug"),
        ({"category": "none"}, "/category"),
        ({"prices": {"TWD": 0}}, "/prices/TWD"),
        ({"prices": {"TWD": 1180}}, "/prices/TWD"),
        ({"prices": {"TWD": "1180"}}, "/prices/TWD"),
        ({"prices": {"EUR": 100}}, "/prices/EUR"),
        ({"translations": {"ja": {"name": "x" * 121}}}, "/translations/ja/name"),
        ({"translations": {"fr": {}}}, "/translations/fr"),
        ({"stock": 5}, "/stock"),
    ],
)
def test_a_value_that_cannot_be_used_names_its_field_and_changes_nothing(
    shop: Shop, mia: Program, values: dict[str, Any], pointer: str
) -> None:
    before = stored().version
    answer = changed(mia, "*", **values)
    assert (answer.status_code, [one["pointer"] for one in answer.json["errors"]]) == (422, [pointer]), answer.text
    assert stored().version == before


def test_a_product_that_does_not_exist_is_404_and_others_have_no_right_to_change_one(shop: Shop, mia: Program) -> None:
    assert mia.call("PATCH", "/products/NONE", {}, headers={"If-Match": "*"}).json["code"] == "unknown_product"
    for program, status in ((Program(shop), 401), (signed_in(shop), 403), (signed_in(shop, Role.SUPPORT), 403)):
        assert changed(program, "*", summary="x").status_code == status


def test_products_are_sorted_by_price_and_by_name(shop: Shop, mia: Program) -> None:
    def found(query: str) -> list[str]:
        return [one["sku"] for one in Program(shop).get(f"/products?{query}").json["items"]]

    assert changed(mia, "*", position=7).status_code == 200
    assert found("") == [PEN, KETTLE] and found("sort=name") == [KETTLE, PEN]
    assert found("sort=price&currency=TWD") == found("sort=price-desc")[::-1]
    assert Program(shop).get("/products?sort=random").status_code == 422
