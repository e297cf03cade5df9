"""Documents on both databases: issued once for each cause, numbered without gaps, repaired, immutable."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shop.core import clock, outbox
from shop.core.db import db, transaction
from shop.core.money import Money
from shop.documents import erase, issue, missing, pdf
from shop.documents.models import Document, DocumentFile, DocumentLine, DocumentYear
from shop.documents.words import Words
from shop.jobs import effects, retention
from shop.payments.updates.apply import accept
from shop.setting_kinds import TimeZone
from shop.settings import SETTINGS, BadSetting, read
from tests.documents.conftest import documents, refund, stated
from tests.documents.test_pdf import text_of
from tests.race_fixtures import Race
from tests.shop_fixtures import KETTLE, PEN, Shop


def test_a_paid_order_has_a_receipt_with_its_lines_and_tax(priced: Shop) -> None:
    order = priced.paid_order((KETTLE, 1), (PEN, 2), delivery="express", code="TEN")
    priced.sweep()
    [receipt] = documents(order)
    assert (receipt.kind, receipt.total_amount, receipt.tax_amount) == ("receipt", 136200, 6500)
    assert receipt.number == f"{clock.now().year}-000001"
    rows = db.session.scalars(db.select(DocumentLine).order_by(DocumentLine.position))
    assert [(row.kind, row.quantity * row.unit_amount, row.is_included) for row in rows] == [
        ("item", 120000, False),
        ("item", 18000, False),
        ("discount", -13800, False),
        ("delivery", 12000, False),
        ("tax", 6500, True),
    ]
    assert receipt.seller["name"] == "Settled Demo Shop"
    assert receipt.customer["email"] == "ada@example.com"


def test_an_unpaid_order_has_no_receipt(shop: Shop) -> None:
    order = shop.order((PEN, 1))
    shop.sweep()
    issue.bring_up_to_date(order.id)
    assert documents(order) == []
    assert shop.count(DocumentYear) == 0


def test_refunds_have_credit_notes_that_sum_to_the_receipt(priced: Shop) -> None:
    order = priced.paid_order((KETTLE, 1), country="US")
    for amount in (33300, 33300, 65400):
        refund(priced, order, amount)
    assert stated(order) == [
        ("receipt", 132000, 12000),
        ("credit_note", 33300, 3000),
        ("credit_note", 33300, 3000),
        ("credit_note", 65400, 6000),
    ]
    numbers = [one.number for one in documents(order)]
    assert [one.refers_to for one in documents(order)] == [None, *[numbers[0]] * 3]


def test_a_refund_that_fails_later_cancels_its_credit_note(priced: Shop) -> None:
    order = priced.paid_order((KETTLE, 1))
    failed = refund(priced, order, 40000)
    priced.acquirer.refund_becomes(failed, "REJECTED")
    priced.turn(days=1, minutes=1)
    refund(priced, order, 120000)
    assert stated(order) == [
        ("receipt", 120000, 5700),
        ("credit_note", 40000, 1900),
        ("cancellation", 40000, 1900),
        ("credit_note", 120000, 5700),
    ]
    receipt, note, cancelled, _ = documents(order)
    assert (note.refers_to, cancelled.refers_to) == (receipt.number, note.number)


def test_money_that_pays_no_order_has_no_document(shop: Shop) -> None:
    order = shop.paid_order((PEN, 1))
    shop.acquirer.capture(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order))
    shop.turn(minutes=1)
    assert shop.captures(order) == ["pays_order", "duplicate"]
    assert [one.state for one in shop.refunds(order)] == ["DONE"]
    assert stated(order) == [("receipt", 9000, 0)]


def test_an_accepted_other_amount_is_a_line_of_the_receipt(priced: Shop) -> None:
    order = priced.order((KETTLE, 1))
    priced.acquirer.capture(priced.payment(order).id, money=Money(121000, "TWD"))
    priced.deliver_webhook(priced.payment(order))
    accept(priced.capture(order), by=priced.sam)
    priced.sweep()
    assert stated(order) == [("receipt", 121000, 5700)]
    line = db.session.scalars(db.select(DocumentLine).where(DocumentLine.kind == "difference")).one()
    assert line.unit_amount == 1000


def test_store_credit_that_pays_everything_gives_a_receipt(shop: Shop) -> None:
    customer = shop.customer(credit=9000)
    order = shop.order((PEN, 1), customer=customer, credit=9000)
    shop.sweep()
    assert stated(order) == [("receipt", 9000, 0)]


def test_numbers_have_no_gaps_and_no_repetitions_when_many_are_issued_at_once(shop: Shop, race: Race) -> None:
    orders = [shop.paid_order((PEN, 1)).id for _ in range(4)]
    outcomes = race(lambda number: issue.bring_up_to_date(orders[number % 4]))
    assert outcomes == [None] * 8
    db.session.rollback()
    assert sorted(db.session.scalars(db.select(Document.sequence))) == [1, 2, 3, 4]
    shop.sweep()
    assert shop.count(Document) == 4


def test_a_failure_takes_no_number(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = shop.paid_order((PEN, 1)), shop.paid_order((PEN, 1))
    with monkeypatch.context() as patched:
        patched.setattr(issue, "_customer", lambda order: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            issue.bring_up_to_date(first.id)
    issue.bring_up_to_date(second.id)
    assert documents(second)[0].sequence == 1


def test_the_relay_locks_the_numbers_for_one_order_at_a_time(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    committed: list[int] = []
    lock = issue._lock

    def watched(year: int) -> int:
        with db.engine.connect() as other:
            committed.append(other.scalar(db.select(db.func.count()).select_from(Document)) or 0)
        return lock(year)

    for _ in range(2):
        shop.paid_order((PEN, 1))
    monkeypatch.setattr(issue, "_lock", watched)
    outbox.relay(effects.follow, effects.follow_alone)
    assert committed == [0, 1]


def test_an_event_whose_document_was_not_issued_is_retried(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    order = shop.paid_order((PEN, 1))
    with monkeypatch.context() as patched:
        patched.setattr(issue, "_customer", lambda order: 1 / 0)
        outbox.relay(effects.follow, effects.follow_alone)
    assert documents(order) == []
    shop.turn(seconds=6)
    assert stated(order) == [("receipt", 9000, 0)]


def test_the_year_is_that_of_the_shops_zone(shop: Shop) -> None:
    shop.app.config["SHOP_TIME_ZONE"] = TimeZone("Asia/Taipei")
    now = clock.now()
    new_year = datetime(now.year + 1, 1, 1, tzinfo=UTC)
    order = shop.order((PEN, 1))
    clock.advance(new_year - timedelta(hours=7) - now)
    other = shop.paid_order((PEN, 1))
    issue.bring_up_to_date(other.id)
    [receipt] = documents(other)
    assert receipt.number == f"{now.year + 1}-000001"
    assert receipt.issued_on.isoformat() == f"{now.year + 1}-01-01"
    shop.sweep()
    assert documents(order) == []


def test_who_waits_for_the_numbers_over_new_year_takes_one_of_the_new_year(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now()
    clock.advance(datetime(now.year + 1, 1, 1, tzinfo=UTC) - timedelta(minutes=2) - now)
    shop.app.config["SHOP_TIME_ZONE"] = TimeZone("UTC")
    first, second = shop.paid_order((PEN, 1)), shop.paid_order((PEN, 1))
    issue.bring_up_to_date(first.id)
    lock, before, waited = issue._lock, clock.now(), list[int]()

    def slow(year: int) -> int:
        waited.append(year)
        return lock(year)

    with monkeypatch.context() as patched:
        patched.setattr(issue, "_lock", slow)
        patched.setattr(clock, "now", lambda: before + timedelta(minutes=5) * bool(waited))
        issue.bring_up_to_date(second.id)
    [receipt] = documents(second)
    assert receipt.number == f"{now.year + 1}-000001"
    assert (receipt.issued_on.isoformat(), receipt.issued_at.year) == (f"{now.year + 1}-01-01", now.year + 1)
    assert waited == [now.year, now.year + 1]


def test_documents_that_another_process_issues_under_the_other_years_lock_are_not_issued_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = shop.paid_order((PEN, 1))
    before = issue._demanded(order.id)
    issue.bring_up_to_date(order.id)
    found = issue._demanded
    outdated = iter([before, before])
    monkeypatch.setattr(issue, "_demanded", lambda order_id: next(outdated, None) or found(order_id))
    issue.bring_up_to_date(order.id)
    assert stated(order) == [("receipt", 9000, 0)]
    db.session.rollback()
    assert db.session.scalars(db.select(DocumentYear.last)).one() == 1


def test_an_unknown_time_zone_is_refused() -> None:
    with pytest.raises(BadSetting, match="SHOP_TIME_ZONE"):
        read(SETTINGS, {"SHOP_TIME_ZONE": "Asia/Atlantis"})


def test_a_lost_receipt_is_found_and_issued_by_the_clock(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missing, "PAUSE", 0.0)
    order = shop.paid_order((PEN, 1))
    with transaction():
        db.session.execute(db.text("UPDATE outbox SET due_at = NULL, published_at = created_at"))
    shop.turn(seconds=30)
    assert documents(order) == []
    shop.turn(seconds=120)
    assert [kind for kind, _, _ in stated(order)] == ["receipt"]


def test_the_first_pass_of_the_repair_reads_all_orders_and_later_ones_the_newest(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(missing, "PAUSE", 0.0)
    monkeypatch.setattr(missing, "WINDOW", 1)
    orders = [shop.paid_order((PEN, 1)).id for _ in range(3)]
    clock.advance(missing.RECENT + timedelta(days=1))
    newest = shop.paid_order((PEN, 1)).id
    clock.advance(missing.SLACK * 2)
    found = [missing.due() for _ in range(10)]
    first, later = [[newest], *([order] for order in reversed(orders)), []], [[newest], [orders[-1]]]
    assert found[:9] == first + later * 2
    monkeypatch.setattr(missing, "PAUSE", 3600.0)
    missing.due()
    assert missing.due() == [], "the pass has ended"
    shop.sweep()


def test_a_change_of_the_order_or_the_seller_changes_no_document(shop: Shop) -> None:
    order = shop.paid_order((PEN, 1))
    shop.sweep()
    shop.app.config["SELLER_NAME"] = "Another Ltd"
    with transaction():
        db.session.execute(db.text("UPDATE order_lines SET name = 'Changed'"))
    shop.sweep()
    issue.bring_up_to_date(order.id)
    [receipt] = documents(order)
    assert receipt.seller["name"] == "Settled Demo Shop"
    assert db.session.scalars(db.select(DocumentLine.name)).one() == "Pen"


@pytest.mark.whole_sweep
def test_a_document_that_is_issued_after_the_erasure_names_no_customer(shop: Shop) -> None:
    order = shop.paid_order((PEN, 1))
    clock.advance(timedelta(days=731))
    retention.sweep()
    issue.bring_up_to_date(order.id)
    [receipt] = documents(order)
    assert receipt.customer == {}
    assert "(erased)" not in text_of(pdf.of(receipt))
    shop.sweep()


def test_a_pdf_that_was_made_during_the_erasure_is_not_kept(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    order = shop.paid_order((PEN, 1))
    shop.sweep()
    typeset = pdf.typeset

    def slow(shown: Words) -> bytes:
        made = typeset(shown)
        with transaction():
            erase.customers([order.id])
        return made

    with monkeypatch.context() as patched:
        patched.setattr(pdf, "typeset", slow)
        pdf.of(documents(order)[0])
    assert shop.count(DocumentFile) == 0
    assert order.email not in text_of(pdf.of(documents(order)[0]))
    assert shop.count(DocumentFile) == 1


@pytest.mark.whole_sweep
def test_the_data_of_a_guest_is_erased_from_documents_and_amounts_stay(shop: Shop) -> None:
    order = shop.paid_order((PEN, 1))
    shop.sweep()
    pdf.of(documents(order)[0])
    assert shop.count(DocumentFile) == 1
    shop.turn(days=731)
    retention.sweep()
    [receipt] = documents(order)
    assert receipt.customer == {}
    assert receipt.total_amount == 9000
    assert shop.count(DocumentFile) == 0
