"""Reconciliation of settlement files with the ledger: settled lines are booked once, and every difference is stored."""

from __future__ import annotations

import json

import pytest

from shop.alerts import store
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.money import Money
from shop.integrity import settlement_day
from shop.ledger import funds
from shop.ledger.models import Journal
from shop.payments.records.models import Refund
from shop.payments.records.settlement_models import Discrepancy, SettlementLineRow
from shop.payments.settlement import reconcile
from tests.integrity.broken import broken
from tests.payments.settlement_days import FEES, lines_of, provider, trading
from tests.payments.trading import Trading
from tests.race_fixtures import Race

__all__ = ["provider", "trading"]
CAUSE_OF = {"missing": "missing_there", "unknown": "unknown", "fee_drift": "fee", "amount_drift": "amount"}


def test_a_day_without_discrepancies_is_booked_with_its_fees_and_clears_the_receivable(
    trading: Trading, provider: str
) -> None:
    order = trading.paid(provider)
    price = trading.capture(order).amount
    trading.day_is_over()
    before = trading.balances()
    run = trading.reconcile(provider)
    after = trading.balances()
    assert (run.lines, run.booked, run.applied, run.opened, trading.discrepancies()) == (1, 1, [], 0, [])
    assert before == {f"receivable:{provider}": price, "sales": -price}
    assert after == {"fees": FEES[provider], "bank": price - FEES[provider], "sales": -price}


def test_a_refund_is_settled_against_the_day_and_its_fee_stays(trading: Trading, provider: str) -> None:
    order = trading.paid(provider)
    price = trading.capture(order).amount
    refund = trading.refund(order, price // 4 // 100 * 100)
    trading.day_is_over()
    trading.shop.sweep()
    run = trading.reconcile(provider)
    assert (run.lines, run.booked, trading.discrepancies()) == (2, 2, [])
    back = db.session.get_one(Refund, refund).amount
    assert trading.balances() == {
        "fees": FEES[provider],
        "bank": price - back - FEES[provider],
        "sales": -price,
        "refunds": back,
    }


def test_every_kind_of_discrepancy_is_found_and_closed_by_a_correct_file(trading: Trading, provider: str) -> None:
    for _ in range(4):
        trading.paid(provider)
    trading.day_is_over()
    raw, message = trading.bent(provider, discrepancies=4)
    wrong = trading.reconcile(provider, raw)
    assert trading.discrepancies() == sorted(CAUSE_OF[one["kind"]] for one in json.loads(message))
    assert (wrong.opened, wrong.booked) == (4, 3), "one is missing, and what is unknown is not booked"
    right = trading.reconcile(provider)
    assert (right.opened, right.closed, trading.discrepancies()) == (0, 4, [])
    assert right.booked == 3, "the missing one, and two that are corrected"
    price = trading.price_of(provider)
    fees = 4 * FEES[provider]
    assert trading.balances() == {"fees": fees, "bank": 4 * price - fees, "sales": -4 * price}


def test_a_discrepancy_shows_our_amount_and_theirs(trading: Trading) -> None:
    trading.paid("kpay")
    trading.day_is_over()
    lines = json.loads(trading.file("kpay"))
    lines[0] |= {"amount": 119999, "fee": 3370, "net": 116629}
    trading.reconcile("kpay", json.dumps(lines).encode())
    stands = settlement_day.of_day("kpay", trading.day)
    amount, fee = stands.differences
    assert (amount.cause, amount.ours, amount.theirs) == ("amount", trading.shop.price(), amount.theirs)
    assert amount.theirs and amount.theirs.amount == 119999
    assert fee.ours and fee.theirs and (fee.cause, fee.ours.amount, fee.theirs.amount) == ("fee", 3360, 3370)
    assert "NT$1,200" in amount.description and "NT$1,199.99" in amount.description
    (total,) = stands.totals
    assert (total.handed_over.amount, total.owed.amount) == (116629, 1), "the difference is still owed"


@pytest.mark.whole_sweep
def test_a_change_of_an_open_discrepancy_is_published_again(trading: Trading) -> None:
    order = trading.paid("kpay")
    trading.day_is_over()
    (line,) = lines_of(trading, "kpay")
    opened = []
    for amount in (119999, 119999, 50000):
        bent = line | {"amount": amount, "net": amount - 3360}
        trading.shop.wait(minutes=1)
        opened.append(trading.reconcile("kpay", json.dumps([bent]).encode()).opened)
    assert opened == [1, 0, 1]
    assert trading.events(order).count("settlement.disagrees") == 2
    assert trading.shop.count(Discrepancy) == 1
    trading.shop.turn(seconds=31)
    assert [alert.observed["amount"] for alert in store.open_alerts(rule="RULE_F")] == [50000]


def test_a_line_in_another_currency_shows_our_amount_in_our_currency(trading: Trading) -> None:
    trading.paid("kpay")
    trading.day_is_over()
    (line,) = lines_of(trading, "kpay")
    for currency in ("TWD", "USD"):
        bent = line | {"amount": 119999, "net": 119999 - 3360, "currency": currency}
        trading.reconcile("kpay", json.dumps([bent]).encode())
    (amount,) = settlement_day.of_day("kpay", trading.day).differences
    assert (amount.cause, amount.ours, amount.theirs) == ("amount", trading.shop.price(), None)


def test_a_capture_that_only_the_file_reports_pays_its_order(trading: Trading, provider: str) -> None:
    order = trading.order(provider)
    trading.pay(order)
    run = trading.reconcile(provider)
    assert trading.shop.state(order) == "PAID"
    assert len(run.applied) == run.booked == 1
    assert trading.discrepancies() == []
    assert trading.capture(order).source == "settlement file"


def test_a_refund_that_only_the_file_knows_to_be_done_is_done(trading: Trading) -> None:
    order = trading.paid("tpay")
    trading.refund(order, 20000)
    trading.pass_until(f"{trading.day}T12:30:00Z")  # after their cut-off at 20:00
    assert trading.shop.state(order) == "PAID", "nobody has asked since"
    run = trading.reconcile("tpay")
    assert (trading.shop.state(order), len(run.applied)) == ("PARTIALLY_REFUNDED", 1)


def test_a_refund_that_fails_later_is_known_from_the_file_of_that_day(trading: Trading) -> None:
    order = trading.paid("kpay", card="4000000000005126")
    trading.refund(order)
    assert trading.shop.state(order) == "REFUNDED"
    trading.day_is_over()
    failed = [line for line in lines_of(trading, "kpay") if line["type"] == "refund_failed"]
    assert failed, "the acquirer tells of it in this file"
    run = trading.reconcile("kpay")
    assert trading.shop.state(order) == "PAID"
    assert run.applied == [f"refund:{failed[0]['refund_reference']}:failed"]
    assert trading.discrepancies() == []


def test_a_refund_that_is_not_ours_is_booked_as_an_outside_refund(trading: Trading) -> None:
    order = trading.paid("kpay")
    payment = trading.shop.payment(order)
    trading.day_is_over()
    (line,) = lines_of(trading, "kpay")
    theirs = line | {
        "id": "refund_x",
        "type": "refund",
        "refund": "re_x",
        "refund_reference": "NOT-OURS",
        "amount": -500,
        "fee": 0,
        "net": -500,
    }
    run = trading.reconcile("kpay", json.dumps([line, theirs]).encode())
    assert (run.booked, run.applied, trading.discrepancies()) == (2, ["refund:kpay:re_x"], [])
    (refund,) = trading.shop.refunds(order)
    assert (refund.kind, refund.state, refund.payment_id, refund.amount) == ("outside", "DONE", payment.id, 500)
    assert trading.shop.state(order) == "PARTIALLY_REFUNDED"


@pytest.mark.parametrize("kind", ["capture", "refund", "dispute"])
def test_an_unidentified_line_is_left_to_staff_and_the_rest_is_booked(trading: Trading, kind: str) -> None:
    trading.paid("kpay")
    trading.day_is_over()
    (line,) = lines_of(trading, "kpay")
    sign = 1 if kind == "capture" else -1
    about_nothing = {"id": "x", "type": kind, "capture": None, "refund_reference": None, "dispute": None}
    about_nothing |= {"refund": None, "amount": sign * line["amount"], "net": sign * line["amount"] - line["fee"]}
    run = trading.reconcile("kpay", json.dumps([line | about_nothing, line]).encode())
    assert (run.booked, run.applied, trading.discrepancies()) == (1, [], ["missing_here"])


def test_today_is_compared_as_far_as_its_file_goes(trading: Trading) -> None:
    trading.paid("kpay")
    early = trading.file("kpay")
    trading.pass_until(f"{trading.day}T04:00:00Z")
    trading.paid("kpay")
    run = trading.reconcile("kpay", early)
    assert (run.booked, trading.discrepancies()) == (1, []), "what is younger than the file is not missing in it"


def test_a_chargeback_that_only_the_file_reports_is_booked_and_won_back(trading: Trading) -> None:
    order = trading.paid("tpay")
    trading.acquirer.act(trading.shop.payment(order).id, "dispute")
    run = trading.reconcile("tpay")
    assert len(run.applied) == 1
    assert trading.balances() == {"fees": 3300, "bank": -3300, "sales": -120000, "disputes": 120000}
    assert (trading.shop.state(order), trading.discrepancies()) == ("PAID", [])


def test_a_chargeback_line_before_the_line_of_its_unknown_capture_is_applied_after_it(trading: Trading) -> None:
    order = trading.order("tpay")
    trading.pay(order)
    trading.acquirer.act(trading.shop.payment(order).id, "dispute")
    head, *rows = trading.file("tpay").splitlines(keepends=True)
    run = trading.reconcile("tpay", head + b"".join(reversed(rows)))
    assert (len(run.applied), run.booked, trading.discrepancies()) == (2, 2, [])
    assert trading.shop.state(order) == "PAID"


def test_eight_at_once_book_every_line_once(trading: Trading, race: Race) -> None:
    for _ in range(3):
        trading.paid("kpay")
    trading.day_is_over()
    raw = trading.file("kpay", discrepancies=2)
    results = race(lambda _: reconcile.reconcile("kpay", trading.day, raw, by=Actor.operator()))
    assert not [one for one in results if isinstance(one, Exception)], results
    assert sum(one.booked for one in results) == trading.shop.count(SettlementLineRow) == 2
    assert sum(one.opened for one in results) == trading.shop.count(Discrepancy) == 2
    db.session.rollback()
    assert db.session.scalar(db.select(db.func.count()).where(Journal.kind == "settled")) == 2


CORRUPTIONS = (
    ("UPDATE settlement_lines SET fee = fee + 1", "UPDATE settlement_lines SET fee = fee - 1"),
    ("UPDATE settlement_lines SET amount = amount + 1", "UPDATE settlement_lines SET amount = amount - 1"),
    *(
        (
            f"UPDATE ledger_entries SET amount = amount + 1 WHERE account = '{account}'",
            f"UPDATE ledger_entries SET amount = amount - 1 WHERE account = '{account}'",
        )
        for account in ("fees", "bank", "disputes")
    ),
    ("UPDATE disputes SET state = 'WON'", "UPDATE disputes SET state = 'OPEN'"),
)
"""Corruptions of settled lines and disputes, and their repair."""


def test_every_corruption_of_settlements_and_disputes_is_found(trading: Trading) -> None:
    order = trading.paid("tpay")
    trading.acquirer.act(trading.shop.payment(order).id, "dispute")
    trading.reconcile("tpay")
    trading.shop.is_sound()
    for corruption, truth in CORRUPTIONS:
        assert db.session.execute(db.text(corruption)).rowcount, "the data was not changed"  # type: ignore[attr-defined]
        db.session.commit()
        assert "3 settlement" in broken(), corruption
        db.session.execute(db.text(truth))
        db.session.commit()


def test_what_was_settled_can_be_paid_out(trading: Trading) -> None:
    trading.refund(trading.paid("kpay"), 20000)
    trading.day_is_over()
    trading.reconcile("kpay")
    assert funds.available("TWD") == Money(120000 - 20000 - 3360, "TWD")
