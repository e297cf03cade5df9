"""Opening stock of products, from files and from the form: received once, and never over stock that has moved."""

from __future__ import annotations

import re
from collections.abc import Mapping
from unittest.mock import patch

import pytest

from shop.accounts.models import User
from shop.accounts.permissions import Permission, Role
from shop.catalogue import products
from shop.catalogue.models import Product
from shop.core import audit_search
from shop.core.actor import Actor
from shop.core.audit import Act
from shop.core.db import db, transaction, transactional
from shop.core.errors import Refusal
from shop.inventory import stock
from shop.inventory.models import StockMovement
from shop.merchandising import csv_export, imports, opening_stock
from shop.merchandising.models import ImportState
from tests.merchandising.test_imports import carried_out, done, outcomes
from tests.ops.conftest import visitor_as
from tests.ops.test_products import NEW
from tests.race_fixtures import Race
from tests.shop_fixtures import KETTLE, UNITS, Shop

HEADING = "sku,name,category,opening_units\n"
FILE = f"{HEADING}POT-1,Tea Pot,test,12\n{KETTLE},Kettle,test,99\nCUP-1,Cup,test,\nCUP-2,Big Cup,test,0\n".encode()
SKUS = ("POT-1", KETTLE, "CUP-1", "CUP-2")


@pytest.fixture
def mo(shop: Shop) -> Actor:
    return shop.colleague("mo", Role.MERCHANDISER)


def on_hand() -> list[int]:
    db.session.rollback()
    return [stock.find(sku).on_hand for sku in SKUS]


def file_of(*units: str) -> bytes:
    return (HEADING + "".join(f"P-{at},Pot {at},test,{each}\n" for at, each in enumerate(units))).encode()


@pytest.fixture
def pot(shop: Shop, mo: Actor) -> str:
    """A product without units, whose row of stock exists: callers of a race do not wait for its insertion."""
    carried_out(b"sku,name,category\nPOT-1,Tea Pot,test\n", mo)
    stock.set_low_at("POT-1", 1, by=mo)
    return "POT-1"


@pytest.mark.parametrize(("units", "has_moved", "received"), [(12, False, 12), (0, False, 0), (12, True, 0)])
def test_only_a_product_whose_stock_never_moved_receives_units(units: int, has_moved: bool, received: int) -> None:
    assert opening_stock.decide(units, has_moved=has_moved) == received


def test_a_dry_run_shows_the_units_that_its_import_receives(shop: Shop, mo: Actor) -> None:
    tried = carried_out(FILE, mo, is_dry_run=True)
    assert on_hand() == [0, UNITS, 0, 0]
    assert imports.results(tried.id)[0].what["opening_units"] == ["", "12 units received"]
    real = imports.apply(tried.id, by=mo)
    shop.sweep()
    assert outcomes(done(real)) == outcomes(tried)
    assert (done(real).created, done(real).unchanged) == (3, 1)
    assert on_hand() == [12, UNITS, 0, 0]
    [movement] = stock.movements("POT-1")
    assert (movement.kind, movement.quantity, movement.on_hand, movement.by) == ("receipt", 12, 12, mo)
    assert movement.reason == f"Opening stock in products.csv, import {real}"
    [entry] = [one for one in audit_search.find().rows if one.act == Act.STOCK_RECEIVED]
    assert (entry.subject_id, entry.after, entry.reason) == ("POT-1", {"on_hand": 12}, movement.reason)


def test_a_repeated_import_doubles_nothing_and_an_old_file_overwrites_no_stock(shop: Shop, mo: Actor) -> None:
    carried_out(FILE, mo)
    again = carried_out(FILE, mo)
    assert (again.unchanged, on_hand()) == (4, [12, UNITS, 0, 0])
    stock.correct("POT-1", 0, seen=12, by=mo, reason="broken")
    assert (carried_out(FILE, mo).unchanged, on_hand()[0]) == (4, 0)
    later = carried_out(FILE.replace(b"test,0", b"test,5").replace(b"Tea Pot", b"Pot"), mo)
    assert (later.changed, later.unchanged, on_hand()) == (2, 2, [0, UNITS, 0, 5])
    assert [line.what for line in imports.results(later.id)] == [
        {"name": ["Tea Pot", "Pot"]},
        {"opening_units": ["", "5 units received"]},
    ]


def test_an_export_has_the_column_empty_and_changes_nothing_when_it_is_imported(shop: Shop, mo: Actor) -> None:
    carried_out(FILE, mo)
    exported = b"".join(csv_export.export())
    heading, *lines = exported.decode("utf-8-sig").splitlines()
    assert heading.endswith(",opening_units") and len(lines) == 5 and all(line.endswith(",") for line in lines)
    assert carried_out(exported, mo).unchanged == 5


@pytest.mark.parametrize("typed", ["-1", "1.5", "many", "1000001", "9999999999"])
def test_units_that_are_no_number_or_too_many_refuse_the_line_and_name_the_column(
    shop: Shop, mo: Actor, typed: str
) -> None:
    job = carried_out(file_of("3", typed), mo)
    assert outcomes(job) == [(2, "P-0", "created"), (3, "P-1", "refused")]
    assert imports.results(job.id)[1].what == {"opening_units": "Enter a whole number from 0 to 1,000,000."}
    assert products.find("P-1") is None


def test_a_line_that_is_killed_after_the_receipt_receives_its_units_once(
    shop: Shop, mo: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "AT_ONCE", 1)
    import_id = imports.request(file_of("3", "4", "5"), "x.csv", is_dry_run=False, by=mo)
    restock, calls = stock.restock_all, []

    def killed(units: Mapping[str, int], *, by: Actor, reason: str) -> None:
        calls.append(units)
        restock(units, by=by, reason=reason)
        if len(calls) == 2:
            raise SystemExit

    with patch.object(stock, "restock_all", killed), pytest.raises(SystemExit):
        imports.do(import_id)
    db.session.rollback()
    assert (done(import_id).done, shop.count(Product)) == (1, 3)
    shop.turn(minutes=1, seconds=1)
    assert done(import_id).state is ImportState.DONE
    assert [stock.find(f"P-{number}").on_hand for number in range(3)] == [3, 4, 5]
    assert shop.count(StockMovement) == 5, "two receipts of the fixtures, and three of the file"


def test_an_import_that_three_processes_carry_out_receives_each_line_once(
    shop: Shop, mo: Actor, race: Race, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "AT_ONCE", 2)
    import_id = imports.request(file_of(*["7"] * 12), "x.csv", is_dry_run=False, by=mo, is_claimed=True)
    race(lambda _: imports.run(import_id), 3)
    assert done(import_id).created == 12
    assert {stock.find(f"P-{number}").on_hand for number in range(12)} == {7}
    shop.sweep()


def test_of_eight_opening_stocks_at_once_one_is_received(pot: str, mo: Actor, race: Race) -> None:
    receive = transactional(opening_stock.receive)
    results = race(lambda _: receive(pot, 12, by=mo, reason="Opening stock"))
    assert sorted(results) == [0] * 7 + [12]
    assert on_hand()[0] == 12


def test_receipts_beside_opening_stock_are_all_counted(pot: str, mo: Actor, race: Race) -> None:
    receive = transactional(opening_stock.receive)
    acts = (
        lambda: stock.restock(pot, 5, by=mo),
        lambda: receive(pot, 12, by=mo, reason="Opening stock"),
    )
    results = race(lambda number: acts[number % 2]())
    assert not [one for one in results if isinstance(one, Exception)]
    left = on_hand()[0]
    moved = sorted(movement.quantity for movement in stock.movements(pot))
    assert moved in ([5] * 4, [5] * 4 + [12])
    assert left == sum(moved)


def test_units_need_the_permission_for_stock_and_an_empty_column_does_not(shop: Shop, mo: Actor) -> None:
    assert mo.user_id
    narrow = Actor.staff(mo.user_id, scopes=[Permission.PRODUCT_WRITE])
    with pytest.raises(Refusal) as refused:
        carried_out(file_of("", "3"), narrow)
    assert refused.value.status == 403
    assert refused.value.message == (
        "Line 3 receives units, by the column opening_units. Your account does not have the permission stock.write. It "
        "needs the role merchandiser."
    )
    assert carried_out(file_of("", ""), narrow).created == 2
    tried = carried_out(file_of("3"), mo, is_dry_run=True)
    with pytest.raises(Refusal, match="Line 2 receives units"):
        imports.apply(tried.id, by=narrow)


def test_an_import_of_units_ends_when_the_person_has_lost_the_permission(shop: Shop, mo: Actor) -> None:
    import_id = imports.request(file_of("3"), "x.csv", is_dry_run=False, by=mo)
    with transaction():
        db.session.get_one(User, mo.user_id).roles = []
    shop.sweep()
    assert done(import_id).state is ImportState.FAILED and shop.count(Product) == 2


def test_a_product_is_added_in_the_console_with_its_units_in_stock(shop: Shop) -> None:
    mia = visitor_as(shop, "merchandiser")
    assert "Units in stock" in mia.get("/ops/products/new").text
    wrong = mia.post("/ops/products/new", {**NEW, "name": "", "opening_units": "a dozen"})
    assert wrong.status_code == 422 and 'value="a dozen"' in wrong.text
    assert "Enter a whole number from 0 to 1,000,000." in wrong.text and "Enter a name in English." in wrong.text
    assert mia.post("/ops/products/new", {**NEW, "opening_units": "1,012"}).status_code == 303
    [movement] = stock.movements("POT-1")
    assert (movement.kind, movement.reason) == ("receipt", "Opening stock")
    page = mia.get("/ops/products/POT-1").text
    assert "The product is saved. Add pictures." in page and "opening_units" not in page
    assert mia.post("/ops/products/new", {**NEW, "opening_units": "7"}).status_code == 422, "the SKU is taken"
    assert on_hand()[0] == 1012
    mia.post("/ops/products/new", {**NEW, "sku": "pot-2", "slug": "pot-2"})
    assert "Add pictures and stock." in mia.get("/ops/products/POT-2").text


def test_a_person_without_the_permission_for_stock_adds_no_product_with_units(shop: Shop, mo: Actor) -> None:
    assert mo.user_id
    narrow = Actor.staff(mo.user_id, scopes=[Permission.PRODUCT_WRITE])
    fields, units = opening_stock.read({**NEW, "slug": "tea-pot", "opening_units": "3"})
    with pytest.raises(Refusal, match=re.escape("stock.write")):
        opening_stock.create("POT-1", fields, units, by=narrow)
    db.session.rollback()
    assert products.find("POT-1") is None
