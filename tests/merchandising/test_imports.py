"""Imports of products: dry runs, lines that are applied or refused alone, and imports that are continued."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from sqlalchemy import event

from shop.accounts.models import User
from shop.accounts.permissions import Role
from shop.catalogue import product_fields, products, search_entries
from shop.catalogue.models import Product
from shop.core import audit, audit_search, csv_cells
from shop.core.actor import Actor
from shop.core.db import OutdatedSnapshot, db, table, transaction
from shop.core.errors import Refusal
from shop.jobs import retention, work
from shop.merchandising import csv_export, import_lines, imports
from shop.merchandising.import_lines import Line
from shop.merchandising.models import ImportState, ProductImport, ProductImportLine, ProductImportPart
from tests.race_fixtures import Race
from tests.shop_fixtures import KETTLE, PEN, Shop

FILE = (
    "sku,name,category,price.TWD,price.USD,state\n"
    f"{KETTLE},Blue Kettle,test,1300,38.00,active\n"
    'POT-1,Tea Pot,test,"1,180",12.50,archived\n'
    f"{PEN},Pen,none,0,2.90,active\n"
    "bad sku,x,test,1,1,\n"
    "POT-2,,test,1,1,gone\n"
).encode()


@pytest.fixture
def mo(shop: Shop) -> Actor:
    return shop.colleague("mo", Role.MERCHANDISER)


def file_of(lines: int) -> bytes:
    rows = "".join(f"P-{number},Product {number},product-{number},test,1\n" for number in range(lines))
    return f"sku,name,slug,category,price.USD\n{rows}".encode()


def done(import_id: str) -> ProductImport:
    db.session.rollback()
    return db.session.get_one(ProductImport, import_id, populate_existing=True)


def carried_out(content: bytes, by: Actor, *, is_dry_run: bool = False) -> ProductImport:
    return imports.run(imports.request(content, "products.csv", is_dry_run=is_dry_run, by=by, is_claimed=True))


def outcomes(job: ProductImport) -> list[tuple[int, str, str]]:
    return [(line.line, line.sku, str(line.outcome)) for line in imports.results(job.id)]


def catalogue() -> list[tuple[object, ...]]:
    db.session.rollback()
    of = db.select(Product.sku, Product.name, Product.prices, Product.version, Product.archived_at.is_(None))
    return [tuple(row) for row in db.session.execute(of.order_by(Product.sku))]


def test_a_dry_run_shows_each_change_and_each_error_and_changes_nothing(shop: Shop, mo: Actor) -> None:
    before = catalogue()
    job = carried_out(FILE, mo, is_dry_run=True)
    assert catalogue() == before
    assert (job.created, job.changed, job.unchanged, job.refused) == (1, 1, 0, 3)
    assert outcomes(job) == [
        (2, KETTLE, "changed"),
        (3, "POT-1", "created"),
        (4, PEN, "refused"),
        (5, "BAD SKU", "refused"),
        (6, "POT-2", "refused"),
    ]
    changed, _, pen, sku, state = (line.what for line in imports.results(job.id))
    assert changed == {"name": ["Kettle", "Blue Kettle"], "price.TWD": ["1200", "1300"]}
    assert pen == {"price.TWD": "A price must be greater than zero."}
    assert sku == {"sku": "An SKU has 1 to 64 letters from A to Z, digits and hyphens."}
    assert state == {"state": "The state is active or archived."}


def test_an_import_does_what_its_dry_run_has_shown_and_again_changes_nothing(shop: Shop, mo: Actor) -> None:
    tried = carried_out(FILE, mo, is_dry_run=True)
    real = imports.apply(tried.id, by=mo)
    shop.sweep()
    assert done(real).state is ImportState.DONE
    assert outcomes(done(real)) == outcomes(tried)
    pot = products.find("POT-1")
    assert pot and (pot.slug, pot.prices, pot.archived_at is None) == ("tea-pot", {"TWD": 118000, "USD": 1250}, False)
    again = carried_out(FILE, mo)
    assert (again.created, again.changed, again.unchanged, again.refused) == (0, 0, 2, 3)


def test_an_export_is_read_back_without_a_change_also_where_a_cell_looks_like_a_formula(shop: Shop, mo: Actor) -> None:
    typed = {"name": "=1+1", "summary": "'=quoted", "description": '-5 °C, "cold", @home', "name.zh-Hant": "+茶"}
    fields = product_fields.read({**typed, "slug": "odd", "category": "test", "position": "7", "price.JPY": "120"})
    products.create("ODD-1", fields, by=mo)
    exported = b"".join(csv_export.export())
    rows = list(csv.DictReader(io.StringIO(exported.decode("utf-8-sig"))))
    odd = next(row for row in rows if row["sku"] == "ODD-1")
    assert (odd["name"], odd["summary"], odd["name.zh-Hant"]) == ("'=1+1", "''=quoted", "'+茶")
    job = carried_out(exported, mo)
    assert (job.unchanged, job.changed, job.refused) == (3, 0, 0)
    found = products.find("ODD-1")
    assert found and (found.name, found.summary) == ("=1+1", "'=quoted")


def test_one_import_runs_at_a_time(shop: Shop, mo: Actor, race: Race) -> None:
    results = race(lambda _: imports.request(FILE, "products.csv", is_dry_run=False, by=mo))
    refused = [one for one in results if isinstance(one, Refusal)]
    assert [one.code for one in refused] == ["import_running"] * 7
    shop.sweep()
    assert carried_out(FILE, mo).state is ImportState.DONE


def test_a_killed_import_is_continued_after_the_last_lines_that_are_stored(
    shop: Shop, mo: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "AT_ONCE", 2)
    import_id = imports.request(file_of(5), "x.csv", is_dry_run=False, by=mo)
    record_all, calls = audit.record_all, []

    def killed(*arguments: Any) -> None:
        calls.append(arguments)
        record_all(*arguments)
        if len(calls) == 2:
            raise SystemExit

    with patch.object(audit, "record_all", killed), pytest.raises(SystemExit):
        imports.do(import_id)
    assert (done(import_id).done, shop.count(Product)) == (2, 4)
    shop.sweep()
    assert done(import_id).done == 2, "its lease lasts for a minute"
    shop.turn(minutes=1, seconds=1)
    assert (done(import_id).state, done(import_id).created, shop.count(Product)) == (ImportState.DONE, 5, 7)
    assert [line for line, _, _ in outcomes(done(import_id))] == [2, 3, 4, 5, 6]


def test_a_line_that_is_refused_stops_none_of_those_that_are_written_with_it(shop: Shop, mo: Actor) -> None:
    made = "sku,name,slug,category\nP-1,Cup,cup,test\nP-2,Cup,,test\nP-3,Jug,jug,test\n"
    assert outcomes(carried_out(made.encode(), mo)) == [
        (2, "P-1", "created"),
        (3, "P-2", "refused"),
        (4, "P-3", "created"),
    ]
    moved = "sku,slug,category\nP-1,old-cup,test\nP-3,cup,test\nP-1,jug,test\n"
    job = carried_out(moved.encode(), mo)
    assert outcomes(job) == [(2, "P-1", "changed"), (3, "P-3", "refused"), (4, "P-1", "refused")]
    assert imports.results(job.id)[1].what == {
        "slug": "The product P-1 had this address before; links to it lead there."
    }
    cup, jug = products.find("P-1"), products.find("P-3")
    assert cup and jug and (cup.slug, cup.version, jug.slug, jug.version) == ("old-cup", 2, "jug", 1)


def test_a_product_that_is_added_meanwhile_keeps_the_cells_that_the_file_does_not_give(shop: Shop, mo: Actor) -> None:
    change, tries = import_lines.change, []
    of = {"sku": "CUP", "slug": "cup", "category": "test", "position": 7, "tax_class": "standard", "image": ""}
    of |= {"name": "Cup", "summary": "", "description": "A good one.", "prices": {}, "texts": {}}

    def too_late_at_first(lines: Sequence[Line], **given: Any) -> None:
        tries.append(lines)
        if len(tries) == 2:
            db.session.execute(table(Product).insert(), of)
            search_entries.write(["CUP"])
        change(lines, **given)
        if len(tries) == 1:
            raise OutdatedSnapshot

    with patch.object(import_lines, "change", too_late_at_first):
        job = carried_out(b"sku,name,category\nCUP,Cup,test\nP-2,,test\n", mo)
    assert outcomes(job) == [(3, "P-2", "refused")] and job.unchanged == 1
    cup = products.find("CUP")
    assert cup and (cup.description, cup.position, cup.version) == ("A good one.", 7, 1)


def test_each_change_of_an_import_has_its_entries_its_prices_and_its_place_in_the_search(shop: Shop, mo: Actor) -> None:
    carried_out(FILE.replace(b"active", b"archived"), mo)
    entries = [
        (entry.act, entry.subject_id, entry.before, entry.after)
        for entry in reversed(audit_search.find().rows)
        if entry.subject_id in (KETTLE, "POT-1")
    ]
    assert [entry[:2] for entry in entries] == [
        ("product.changed", KETTLE),
        ("product.archived", KETTLE),
        ("product.created", "POT-1"),
    ]
    assert entries[0][2:] == (
        {"name": "Kettle", "price.TWD": "1200"},
        {"name": "Blue Kettle", "price.TWD": "1300", "version": 2},
    )
    assert entries[1][2:] == ({"state": "active"}, {"state": "archived", "version": 3})
    assert [(one.currency, one.before, one.after) for one in products.price_changes("POT-1")] == [
        ("USD", None, 1250),
        ("TWD", None, 118000),
    ]
    assert search_entries.stale() == []


def test_lines_are_written_together_and_not_one_by_one(shop: Shop, mo: Actor) -> None:
    sent, lines = 0, imports.AT_ONCE

    def count(*_: object) -> None:
        nonlocal sent
        sent += 1

    event.listen(db.engine, "before_cursor_execute", count)
    try:
        carried_out(file_of(lines), mo)
    finally:
        event.remove(db.engine, "before_cursor_execute", count)
    assert sent < lines


def test_an_import_that_two_processes_continue_carries_out_each_line_once(
    shop: Shop, mo: Actor, race: Race, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "AT_ONCE", 3)
    import_id = imports.request(file_of(20), "x.csv", is_dry_run=False, by=mo, is_claimed=True)
    race(lambda _: imports.run(import_id), 3)
    job = done(import_id)
    assert (job.state, job.created, job.done, shop.count(ProductImportLine)) == (ImportState.DONE, 20, 20, 20)
    shop.sweep()


def test_an_import_ends_when_the_person_has_lost_the_permission(shop: Shop, mo: Actor) -> None:
    import_id = imports.request(FILE, "x.csv", is_dry_run=False, by=mo)
    with transaction():
        db.session.get_one(User, mo.user_id).roles = []
    shop.sweep()
    assert done(import_id).state is ImportState.FAILED
    assert "does not have the permission product.write" in str(done(import_id).failure)
    assert shop.count(Product) == 2


def test_an_import_that_makes_no_progress_fails_and_frees_the_next(shop: Shop, mo: Actor) -> None:
    import_id = imports.request(FILE, "x.csv", is_dry_run=False, by=mo)
    with patch.object(import_lines, "change", side_effect=RuntimeError("broken")):
        for _ in range(imports.ATTEMPTS):
            with pytest.raises(RuntimeError):
                imports.do(import_id)
            shop.wait(minutes=1, seconds=1)
    imports.do(import_id)
    assert done(import_id).state is ImportState.FAILED
    assert carried_out(FILE, mo).state is ImportState.DONE
    assert work.batch("import", imports.due()) == 0


def test_old_imports_are_deleted_with_their_lines(shop: Shop, mo: Actor) -> None:
    carried_out(FILE, mo)
    shop.wait(days=31)
    retention.sweep()
    assert [shop.count(model) for model in (ProductImport, ProductImportPart, ProductImportLine)] == [0, 0, 0]


def test_the_commands_import_and_export_files(shop: Shop, tmp_path: Path) -> None:
    path = tmp_path / "products.csv"
    path.write_bytes(FILE)
    tried = shop.app.test_cli_runner().invoke(args=["products", "import", str(path), "--dry-run"])
    assert tried.exit_code == 1
    assert f"line 2: {KETTLE} changed: name 'Kettle' → 'Blue Kettle'; price.TWD '1200' → '1300'" in tried.output
    assert f"line 4: {PEN} refused: price.TWD: A price must be greater than zero." in tried.output
    assert "Dry run, nothing was changed: 1 created, 1 changed, 0 unchanged, 3 refused." in tried.output
    path.write_bytes(FILE.decode().encode("utf-16"))
    wrong = shop.app.test_cli_runner().invoke(args=["products", "import", str(path)])
    assert wrong.exit_code == 1 and "The file is in UTF-16, and has to be in UTF-8." in wrong.output
    exported = shop.app.test_cli_runner().invoke(args=["products", "export"])
    assert exported.stdout_bytes.startswith(csv_cells.BYTE_ORDER_MARK)
    path.write_bytes(exported.stdout_bytes)
    same = shop.app.test_cli_runner().invoke(args=["products", "import", str(path)])
    assert (same.exit_code, same.output) == (0, "Imported: 0 created, 0 changed, 2 unchanged, 0 refused.\n")


@pytest.mark.full
def test_a_long_file_is_imported_in_turns_between_other_work(
    shop: Shop, mo: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "TURN", 0.1)
    monkeypatch.setattr(imports, "IN_A_PART", 20)
    monkeypatch.setattr(imports, "AT_ONCE", 7)
    import_id = imports.request(file_of(150), "x.csv", is_dry_run=False, by=mo)
    turns = 0
    while done(import_id).state is ImportState.RUNNING:
        imports.do(import_id)
        turns += 1
    assert (done(import_id).created, shop.count(Product)) == (150, 152)
    assert turns > 1
