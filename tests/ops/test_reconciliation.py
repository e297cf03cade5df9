"""Reconciliation in the console: days, unmatched lines, acceptance with a reason, and uploads of files."""

from __future__ import annotations

import hashlib
import io
import json
from datetime import date, timedelta
from typing import Any

import pytest

from shop.accounts.permissions import Role
from shop.alerts import store, stuck_work
from shop.core import clock
from shop.core.actor import Actor
from shop.core.audit import Act
from shop.core.audit_search import find
from shop.core.db import db
from shop.core.errors import BadInput, Refusal
from shop.ledger.models import Journal
from shop.ops import reconciliation
from shop.payments.records.settlement_models import Discrepancy, SettlementFile, SettlementLineRow
from shop.payments.settlement import acceptance, discrepancies, reconcile
from shop.payments.settlement.discrepancies import Found
from shop.queues import queues
from tests.ops.conftest import visitor_as
from tests.parts.statements import statements
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
LINE = {
    "id": "line-1",
    "type": "capture",
    "reference": "P-OF-ANOTHER-SHOP",
    "capture": "cap_1",
    "amount": 50000,
    "fee": 1400,
    "net": 48600,
    "currency": "TWD",
    "at": "2026-01-01T10:00:00Z",
}


@pytest.fixture
def finance(shop: Shop) -> Visitor:
    visitor = visitor_as(shop, "finance")
    visitor.get("/ops")
    return visitor


def yesterday() -> date:
    return clock.now().date() - timedelta(days=1)


def found(theirs: int = 500) -> int:
    """The id of an open discrepancy of yesterday."""
    discrepancies.note("kpay", yesterday(), [Found("unknown", "line-1", None, None, theirs, "TWD")], set())
    db.session.rollback()
    return db.session.scalars(db.select(Discrepancy.id)).one()


def row() -> Discrepancy:
    db.session.rollback()
    return db.session.scalars(db.select(Discrepancy)).one()


def row_of(about: str) -> Discrepancy:
    db.session.rollback()
    return db.session.scalars(db.select(Discrepancy).filter_by(about=about)).one()


def accept(visitor: Visitor, number: int, reason: str, seen: str = "") -> tuple[int, str]:
    form = {"reason": reason, "seen": seen or row().opened_at.isoformat()}
    answer = visitor.post(f"/ops/reconciliation/discrepancies/{number}/accept", form)
    return answer.status_code, answer.text


def upload(visitor: Visitor, raw: bytes, **changed: str) -> tuple[int, str]:
    form = {"provider": "kpay", "day": yesterday().isoformat(), **changed}
    answer = visitor.post("/ops/reconciliation/files", {**form, "file": (io.BytesIO(raw), "kpay.json")})
    return answer.status_code, answer.text


def nothing_is_booked(shop: Shop) -> bool:
    return not any(shop.count(model) for model in (SettlementLineRow, Discrepancy, SettlementFile, Journal))


def test_the_page_lists_unmatched_lines_with_their_age_in_at_most_four_statements(shop: Shop, finance: Visitor) -> None:
    found()
    shop.wait(days=3)
    visitor = visitor_as(shop, "admin")
    visitor.get("/ops/reconciliation")
    with statements() as sent:
        page = visitor.get("/ops/reconciliation").text
    assert "3 days" in page and "1 unmatched" in page and "kpay" in page.lower()
    assert ">no file</a>" in page, "a day without a file is none without differences"
    assert len([one for one in sent if "FROM users" not in one and "FROM clock_offset" not in one]) <= 4, sent
    assert "Accept this difference" not in visitor.get(f"/ops/reconciliation/discrepancies/{row().id}").text
    shop.sweep()


def test_a_difference_is_accepted_with_a_reason_and_stays_closed_while_its_amounts_are_the_same(
    shop: Shop, finance: Visitor
) -> None:
    number = found()
    assert accept(finance, number, "")[0] == 422 and row().closed_at is None
    assert accept(finance, number, "a fee of the bank")[0] == 303
    assert row().accepted_reason == "a fee of the bank"
    [entry] = [one for one in find().rows if one.act == Act.DISCREPANCY_ACCEPTED]
    assert entry.reason == "a fee of the bank"
    page = finance.get(f"/ops/reconciliation/discrepancies/{number}").text
    assert "finance@example.com" in page and "a fee of the bank" in page
    found()
    assert row().closed_at is not None
    found(theirs=700)
    assert (row().closed_at, row().accepted_reason) == (None, None), "other amounts open it again"
    shop.sweep()


@pytest.mark.parametrize("reason", ["", " \u200b", "a\x00b", "x" * 501])
def test_a_use_case_refuses_a_reason_that_the_audit_log_cannot_keep(shop: Shop, reason: str) -> None:
    """Commands call it without a form."""
    number = found()
    for act in (
        lambda: acceptance.accept(number, by=shop.sam, reason=reason),
        lambda: queues.run_now("mail", by=Actor.operator(), reason=reason),
    ):
        with pytest.raises(BadInput, match="Enter a reason"):
            act()
    assert row().closed_at is None


def test_outdated_amounts_and_a_second_acceptance_are_refused(shop: Shop, finance: Visitor) -> None:
    number = found()
    seen = row().opened_at.isoformat()
    shop.wait(minutes=1)
    found(theirs=700)
    status, text = accept(finance, number, "rounding", seen)
    assert status == 409 and "has changed this discrepancy" in text and "NT$7" in text
    acceptance.accept(number, by=shop.sam, reason="rounding")
    status, text = accept(finance, number, "rounding")
    assert status == 409 and "sam@example.com has already accepted" in text
    with pytest.raises(Refusal, match="There is no such discrepancy"):
        acceptance.accept(number + 1, by=shop.sam, reason="rounding")
    shop.sweep()


def test_an_uploaded_file_is_reconciled_and_may_be_uploaded_again(shop: Shop, finance: Visitor) -> None:
    raw = json.dumps([LINE | {"at": f"{yesterday()}T10:00:00Z"}]).encode()
    for _ in range(2):
        status, text = upload(finance, raw)
        assert status == 303, text
    assert (row().cause, row().theirs) == ("unknown", 50000)
    page = finance.get(f"/ops/reconciliation/kpay/{yesterday()}").text
    assert "line-1" in page and "1 line" in page and "unmatched" in page
    shop.sweep()


@pytest.mark.parametrize(
    ("raw", "changed", "sentence"),
    [
        (b"not a file", {}, "This is no settlement file of KPay"),
        (b"id,type\n1,2\n", {}, "This is no settlement file of KPay"),
        (json.dumps([LINE, LINE | {"net": 1}]).encode(), {}, "row 2: a line that does not add up"),
        (b"[]", {"provider": "nopay"}, "There is no provider nopay."),
        (b"[]", {"day": "soon"}, "needs a day"),
        (b"[]", {"day": "2099-01-01"}, "has not begun"),
        (b"", {"file": ""}, "Choose a file."),
        (b"x" * 600, {}, "The file is larger than"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_a_sentence_and_books_nothing(
    shop: Shop, finance: Visitor, monkeypatch: pytest.MonkeyPatch, raw: bytes, changed: dict[str, str], sentence: str
) -> None:
    monkeypatch.setattr(reconciliation, "LARGEST_FILE", 500)
    form = {"provider": "kpay", "day": yesterday().isoformat(), "file": (io.BytesIO(raw), "x"), **changed}
    answer = finance.post("/ops/reconciliation/files", form)
    assert answer.status_code == 422 and sentence in answer.text and "Nothing was booked." in answer.text
    assert nothing_is_booked(shop)


def test_a_body_above_the_limit_of_files_is_refused_and_other_pages_keep_their_limit(
    shop: Shop, finance: Visitor
) -> None:
    assert upload(finance, b"x" * 100_000)[0] == 422, "more than other pages take"
    assert upload(finance, b"x" * (reconciliation.LARGEST_FILE + 200_000))[0] == 413
    assert finance.post("/ops/payouts", {"reason": "x" * 100_000}).status_code == 413


def test_a_person_who_is_no_longer_in_finance_books_nothing(shop: Shop) -> None:
    [ben] = shop.staff("ben", role=Role.SUPPORT)
    with pytest.raises(Refusal, match="reconciliation.decide"):
        reconcile.reconcile("kpay", yesterday(), b"[]", by=ben)
    assert nothing_is_booked(shop)


def test_the_audit_log_has_the_file_before_anything_is_booked_and_a_right_that_was_lost_ends_the_reading(
    shop: Shop, finance: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of two parts is booked, then the person is moved to support."""
    monkeypatch.setattr(discrepancies, "AT_ONCE", 1)
    process, parts = reconcile._process, list[object]()

    def then_demoted(*arguments: Any) -> None:
        process(*arguments)
        parts.append(arguments)
        with db.engine.begin() as connection:
            connection.execute(db.text("UPDATE users SET roles = '[\"support\"]' WHERE email = 'finance@example.com'"))

    monkeypatch.setattr(reconcile, "_process", then_demoted)
    raw = json.dumps([LINE | {"id": f"line-{n}", "at": f"{yesterday()}T10:00:00Z"} for n in range(2)]).encode()
    status, text = upload(finance, raw)
    assert (status, len(parts)) == (403, 1) and "A part of the file may have been booked" in text
    assert "Nothing was booked" not in text
    [entry] = [one for one in find().rows if one.subject_kind == "settlement_file"]
    assert (entry.act, entry.after) == (Act.FILE_GIVEN, {"lines": 2, "sha256": hashlib.sha256(raw).hexdigest()})
    assert str(entry.actor).startswith("staff:")


def test_discrepancies_are_written_in_parts_so_that_other_writers_need_not_wait(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discrepancies, "AT_ONCE", 3)
    lost = [Found("unknown", f"line-{n}", None, None, 500, "TWD") for n in range(7)]
    with statements() as sent:
        assert discrepancies.note("kpay", yesterday(), lost, set()) == (7, 0)
    inserts = [one for one in sent if one.startswith("INSERT INTO discrepancies")]
    assert len(inserts) == 3 and sent.count("BEGIN IMMEDIATE") in (0, 3)
    seen = row_of("line-0").seen_at
    shop.wait(minutes=1)
    assert discrepancies.note("kpay", yesterday(), lost[:2], set()) == (0, 5)
    assert row_of("line-0").seen_at > seen and row_of("line-6").closed_at


def test_a_file_with_too_many_unknown_lines_is_refused_and_books_nothing(
    shop: Shop, finance: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "MOST_UNMATCHED", 1)
    raw = json.dumps([LINE | {"id": f"line-{n}", "at": f"{yesterday()}T10:00:00Z"} for n in range(2)]).encode()
    status, text = upload(finance, raw)
    assert status == 422 and "probably the file of another shop" in text and "Nothing was booked." in text
    assert nothing_is_booked(shop)


def test_a_flood_of_discrepancies_is_alerted_in_parts_and_resolves_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stuck_work, "AT_ONCE", 2)
    lost = [Found("unknown", f"line-{n}", None, None, 500, "TWD") for n in range(3)]
    discrepancies.note("kpay", yesterday(), lost, set())
    shop.turn(seconds=31)
    assert len(store.open_alerts(rule="RULE_F")) == 2
    discrepancies.note("kpay", yesterday(), lost[1:], set())
    shop.turn(seconds=31)
    assert len(store.open_alerts(rule="RULE_F")) == 3, "the first may only be resolved when all others were read"


def test_no_link_leads_to_days_before_those_that_a_filter_takes(finance: Visitor) -> None:
    assert "Earlier days" in finance.get("/ops/reconciliation?until=2000-01-15").text
    assert "Earlier days" not in finance.get("/ops/reconciliation?until=2000-01-14").text


@pytest.mark.parametrize("path", ["?colour=red", "/kpay/2026-01-01?colour=red", "?until=x", "?after=x", "/kpay/x"])
def test_an_address_that_cannot_be_understood_is_refused(shop: Shop, finance: Visitor, path: str) -> None:
    assert finance.get(f"/ops/reconciliation{path}").status_code == 422
    assert finance.get("/ops/reconciliation/nopay/2026-01-01").status_code == 404
    assert finance.get(f"/ops/reconciliation/discrepancies/{2**70}").status_code == 404


def test_a_search_for_the_id_of_an_unmatched_line_leads_to_the_list_until_it_is_closed(
    shop: Shop, finance: Visitor
) -> None:
    number = found()
    answer = finance.get("/ops/search?q=line-1")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/ops/reconciliation")
    assert "Nothing has the id" in finance.get("/ops/search?q=line-2").text
    assert accept(finance, number, "a fee of the bank")[0] == 303
    assert "Nothing has the id" in finance.get("/ops/search?q=line-1").text
