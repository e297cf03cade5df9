"""Exports of orders: written in parts, continued after a kill, safe in spreadsheets, deleted after some days."""

from __future__ import annotations

import csv
import io
from zoneinfo import ZoneInfo

import pytest

from shop.accounts.models import User
from shop.accounts.rights import Forbidden
from shop.core import clock, csv_cells
from shop.core.actor import Actor
from shop.core.audit import Act
from shop.core.audit_search import find as entries
from shop.core.db import db, transaction
from shop.core.errors import Refusal
from shop.jobs import retention, work
from shop.order_search import exports
from shop.order_search.filters import Filters, parse
from shop.order_search.models import ExportState, OrderExport, OrderExportPart
from shop.payments.records.models import Payment
from tests.race_fixtures import Race
from tests.shop_fixtures import PEN, Shop

UTC = ZoneInfo("UTC")
EVERYTHING = Filters()


def state(export_id: str) -> tuple[str, int]:
    db.session.rollback()
    row = db.session.get_one(OrderExport, export_id, populate_existing=True)
    return str(row.state), row.rows


def read(export_id: str, by: Actor) -> list[dict[str, str]]:
    content = b"".join(exports.download(export_id, by=by))
    assert content.startswith(csv_cells.BYTE_ORDER_MARK)
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "IN_A_PART", 2)


@pytest.mark.usefixtures("small_parts")
def test_a_file_has_each_order_of_the_filter_once_and_no_later_one(shop: Shop) -> None:
    paid = [shop.paid_order((PEN, 1)) for _ in range(5)][::-1]
    shop.order((PEN, 1))
    with transaction():
        db.session.get_one(Payment, shop.payment(paid[0]).id).instrument = {"method": "=cmd|' /C calc'!A0"}
    export = exports.request(parse({"state": ["PAID"]}, ()), UTC, by=shop.sam)
    shop.paid_order((PEN, 1))
    assert exports.due() == [export] and work.batch("export", [export]) == 1
    assert state(export) == ("DONE", 5) and shop.count(OrderExportPart) == 3
    rows = read(export, shop.sam)
    assert [row["order"] for row in rows] == [order.number for order in paid]
    assert rows[0]["method"] == "'=cmd|' /C calc'!A0"
    assert (rows[1]["state"], rows[1]["payment_state"], rows[1]["provider"]) == ("PAID", "CAPTURED", "fakepay")
    assert (rows[1]["currency"], rows[1]["total"], rows[1]["refunded"]) == ("TWD", "90.00", "0.00")
    done = [entry.act for entry in entries().rows if entry.subject_id == export]
    assert done == [Act.EXPORT_DOWNLOADED, Act.EXPORT_REQUESTED]


@pytest.mark.usefixtures("small_parts")
def test_an_export_whose_worker_was_killed_is_continued_after_the_last_part(shop: Shop) -> None:
    numbers = [shop.order((PEN, 1)).number for _ in range(5)][::-1]
    export = exports.request(EVERYTHING, UTC, by=shop.sam)
    lease = exports._claim(export)
    assert lease and exports._write_part(export, lease)
    assert exports.due() == [] and not exports._claim(export), "no other process writes it while its lease lasts"
    shop.turn(seconds=exports.LEASE.total_seconds() + 1)
    assert state(export) == ("DONE", 5)
    assert [row["order"] for row in read(export, shop.sam)] == numbers


@pytest.mark.usefixtures("small_parts")
def test_a_worker_that_lost_its_lease_does_not_give_back_the_claim_of_another(shop: Shop) -> None:
    for _ in range(5):
        shop.order((PEN, 1))
    export = exports.request(EVERYTHING, UTC, by=shop.sam)
    first = exports._claim(export)
    lost = first and exports._write_part(export, first)
    clock.advance(exports.LEASE)
    taken = exports._claim(export)
    assert lost and taken
    exports._give_back(lost)
    assert exports.due() == [], "the claim of the second worker lasts"
    assert exports._write_part(export, lost) is None
    exports._give_back(taken)
    assert exports.due() == [export]


@pytest.mark.usefixtures("small_parts")
def test_two_processes_that_write_one_export_store_each_part_once(shop: Shop) -> None:
    for _ in range(3):
        shop.order((PEN, 1))
    export = exports.request(EVERYTHING, UTC, by=shop.sam)
    lease, first = exports._claim(export), {"parts": 1, "rows": 2, "position": None}
    assert lease and exports._store(export, lease, first, b"x", is_last=False)
    assert not exports._store(export, lease, first, b"y", is_last=False)
    assert db.session.scalars(db.select(OrderExportPart.content)).all() == [b"x"]


def test_an_export_that_makes_no_progress_fails_and_can_be_started_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.order((PEN, 1))
    export = exports.request(EVERYTHING, UTC, by=shop.sam)
    with monkeypatch.context() as broken:
        broken.setattr(exports, "_cells", lambda *_: 1 / 0)
        for _ in range(exports.ATTEMPTS + 1):
            shop.turn(seconds=61)
    assert state(export) == ("FAILED", 0) and exports.due() == []
    with pytest.raises(Refusal, match="not complete"):
        exports.download(export, by=shop.sam)
    exports.start_again(export, by=shop.kim)
    exports.do(export)
    assert state(export) == ("DONE", 1)
    with pytest.raises(Refusal, match="Only a failed export"):
        exports.start_again(export, by=shop.kim)


def test_requests_that_cannot_be_met_are_refused(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refusal, match="nothing to export"):
        exports.request(EVERYTHING, UTC, by=shop.sam)
    for _ in range(2):
        shop.order((PEN, 1))
    monkeypatch.setattr(exports, "MOST", 1)
    with pytest.raises(Refusal, match="A file has at most 1 orders"):
        exports.request(EVERYTHING, UTC, by=shop.sam)
    monkeypatch.setattr(exports, "MOST", 2)
    for _ in range(exports.AT_ONCE):
        exports.request(EVERYTHING, UTC, by=shop.sam)
    with pytest.raises(Refusal, match=r"3 exports of sam\S* are being written"):
        exports.request(EVERYTHING, UTC, by=shop.sam)
    exports.request(EVERYTHING, UTC, by=shop.kim)


def test_of_requests_at_once_no_more_are_accepted_than_the_limit(shop: Shop, race: Race) -> None:
    shop.order((PEN, 1))
    results = race(lambda _: exports.request(EVERYTHING, UTC, by=shop.sam))
    assert sum(isinstance(result, str) for result in results) == shop.count(OrderExport) == exports.AT_ONCE
    assert {result.code for result in results if isinstance(result, Refusal)} == {"too_many_exports"}


def test_failed_exports_are_started_again_up_to_the_limit(shop: Shop, race: Race) -> None:
    shop.order((PEN, 1))
    failed = []
    for _ in range(2):
        failed += [exports.request(EVERYTHING, UTC, by=shop.sam) for _ in range(exports.AT_ONCE)]
        with transaction():
            db.session.execute(db.update(OrderExport).values(state=ExportState.FAILED, due_at=None))
    race(lambda number: exports.start_again(failed[number % len(failed)], by=shop.kim))
    db.session.rollback()
    running = db.select(db.func.count()).where(OrderExport.state == ExportState.RUNNING)
    assert db.session.scalar(running) == exports.AT_ONCE


def test_a_person_has_at_most_twenty_exports(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "MOST_KEPT", 2)
    shop.order((PEN, 1))
    for _ in range(2):
        exports.request(EVERYTHING, UTC, by=shop.sam)
    with pytest.raises(Refusal, match="You have 2 exports"):
        exports.request(EVERYTHING, UTC, by=shop.sam)
    shop.turn(days=shop.app.config["EXPORT_DAYS"])
    exports.request(EVERYTHING, UTC, by=shop.sam)


def test_an_account_that_lost_the_role_neither_requests_nor_downloads(shop: Shop) -> None:
    shop.order((PEN, 1))
    export = exports.request(EVERYTHING, UTC, by=shop.sam)
    exports.do(export)
    with transaction():
        db.session.get_one(User, shop.sam.user_id).roles = ["support"]
    with pytest.raises(Forbidden):
        exports.request(EVERYTHING, UTC, by=shop.sam)
    with pytest.raises(Forbidden):
        exports.download(export, by=shop.sam)


def test_a_file_is_deleted_after_some_days(shop: Shop) -> None:
    shop.order((PEN, 1))
    export = exports.request(EVERYTHING, UTC, by=shop.sam)
    exports.do(export)
    shop.turn(days=shop.app.config["EXPORT_DAYS"] - 1)
    retention.sweep()
    assert exports.find(export) is not None
    shop.turn(days=1)
    assert exports.find(export) is None and exports.newest() == []
    retention.sweep()
    assert shop.count(OrderExport) == shop.count(OrderExportPart) == 0


@pytest.mark.usefixtures("small_parts")
def test_a_download_breaks_off_when_the_file_is_deleted_meanwhile(shop: Shop) -> None:
    for _ in range(3):
        shop.order((PEN, 1))
    export = exports.request(EVERYTHING, UTC, by=shop.sam)
    exports.do(export)
    parts = exports.download(export, by=shop.sam)
    assert next(parts)
    shop.turn(days=shop.app.config["EXPORT_DAYS"])
    retention.sweep()
    with pytest.raises(Refusal, match="deleted while it was read"):
        next(parts)


HIDDEN = ("＝1+1", "＋1", "－1", "＠x", "\u3000=1", "\u00a0=1", "\u200b=1", "\ufeff=1", "\u2028=1")
"""Full-width signs, which spreadsheets in Chinese and Japanese read as signs, and signs behind invisible characters."""


@pytest.mark.usefixtures("small_parts")
def test_no_cell_of_an_exported_file_begins_a_formula_whatever_the_acquirer_has_reported(shop: Shop) -> None:
    hostile = ("=cmd|' /C calc'!A0", "\t=1", "\r=1", "＝1+1", "\u3000=1")
    for method in hostile:
        order = shop.paid_order((PEN, 1))
        with transaction():
            db.session.get_one(Payment, shop.payment(order).id).instrument = {"method": method}
    export = exports.request(EVERYTHING, UTC, by=shop.sam)
    exports.do(export)
    assert state(export) == ("DONE", len(hostile))
    rows = read(export, shop.sam)
    assert [row["method"] for row in rows] == [f"'{method}" for method in hostile][::-1]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", " =1", "\r=1", "\n=1", *HIDDEN])
def test_a_cell_is_never_a_formula(text: str) -> None:
    assert csv_cells.cell(text) == f"'{text}"


def test_other_cells_stay_as_they_are() -> None:
    assert [csv_cells.cell(value) for value in (-5, "7K3M-9QXT-2F", None, "a=b", 'x "y"')] == [
        *("-5", "7K3M-9QXT-2F", "", "a=b", 'x "y"')
    ]
    assert csv_cells.lines([["a,b", 'x "y"']]) == b'"a,b","x ""y"""\r\n'


def test_states_of_exports_are_those_of_the_database() -> None:
    assert set(ExportState) == {"RUNNING", "DONE", "FAILED"}
