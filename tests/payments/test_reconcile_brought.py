"""Files that a person brings, and absences that staff have accepted."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from shop.core.db import db
from shop.core.money import Money
from shop.ledger import funds
from shop.payments.records.models import Refund
from shop.payments.records.settlement_models import Discrepancy
from shop.payments.settlement import acceptance, reconcile
from tests.payments.settlement_days import lines_of, trading
from tests.payments.trading import Trading

__all__ = ["trading"]


def bring(trading: Trading, raw: bytes) -> reconcile.Reconciliation:
    return reconcile.reconcile("kpay", trading.day, raw, by=trading.shop.sam)


def test_a_file_that_a_person_brings_pays_no_order_and_the_acquirer_is_queried(trading: Trading) -> None:
    order = trading.order("kpay")
    payment = trading.shop.payment(order)
    line = {"id": "by-hand", "type": "capture", "reference": payment.id, "capture": "cap_by_hand", "refund": None}
    line |= {"amount": 120000, "fee": 3360, "net": 116640, "currency": "TWD", "at": f"{trading.day}T03:30:00Z"}
    polled_at = payment.polled_at
    run = bring(trading, json.dumps([line | {"refund_reference": None, "dispute": None}]).encode())
    assert (run.booked, run.applied, run.waiting, trading.discrepancies()) == (0, [], 1, ["missing_here"])
    trading.shop.wait(seconds=3)
    trading.shop.sweep()
    assert trading.shop.payment(order).polled_at != polled_at, "the acquirer was asked"
    assert (trading.shop.state(order), trading.balances(), funds.available("TWD").amount) == ("WAITING_PAYMENT", {}, 0)


def test_a_capture_in_a_file_that_a_person_brings_is_booked_when_the_acquirer_has_confirmed_it(
    trading: Trading,
) -> None:
    order = trading.order("kpay")
    trading.pay(order)
    raw = trading.file("kpay")
    assert bring(trading, raw).waiting == 1
    trading.shop.wait(seconds=3)
    trading.shop.sweep()
    assert (trading.shop.state(order), trading.discrepancies()) == ("PAID", ["missing_here"])
    again = bring(trading, raw)
    assert (again.booked, again.waiting, again.closed, trading.discrepancies()) == (1, 0, 1, [])


@pytest.mark.parametrize(
    ("changed", "causes"),
    [
        ({"amount": 9_000_000, "net": 9_000_000 - 3360}, ["amount"]),
        ({"fee": -500_000, "net": 620_000}, ["fee"]),
        ({"currency": "USD"}, ["amount"]),
    ],
)
def test_a_line_of_more_than_we_know_of_is_not_booked_from_a_file_that_a_person_brings(
    trading: Trading, changed: dict[str, object], causes: list[str]
) -> None:
    trading.paid("kpay")
    trading.day_is_over()
    (line,) = lines_of(trading, "kpay")
    bent = json.dumps([line | changed]).encode()
    run = bring(trading, bent)
    assert (run.booked, run.waiting, trading.discrepancies()) == (0, 1, causes)
    assert (funds.available("TWD").amount, "bank" in trading.balances()) == (0, False)
    assert trading.reconcile("kpay", bent).booked == 1, "in a file of the acquirer the money is in the bank"


def test_a_won_dispute_and_a_failed_refund_bring_no_money_by_the_word_of_a_person(trading: Trading) -> None:
    refund = trading.refund(trading.paid("kpay"), 20000)
    trading.day_is_over()
    capture, done = lines_of(trading, "kpay")
    failed = done | {"id": "f", "type": "refund_failed", "amount": 20000, "fee": 0, "net": 20000}
    won = capture | {"id": "w", "type": "dispute_won", "dispute": "dp_1"}
    run = bring(trading, json.dumps([capture, done, failed, won]).encode())
    assert (run.booked, run.waiting, run.applied) == (2, 2, [])
    assert db.session.get_one(Refund, refund, populate_existing=True).state == "DONE"
    assert funds.available("TWD") == Money(120000 - 20000 - 3360, "TWD")


def test_a_refund_and_a_dispute_take_no_money_by_the_word_of_a_person(trading: Trading) -> None:
    order = trading.paid("kpay")
    trading.day_is_over()
    (capture,) = lines_of(trading, "kpay")
    taken = {"amount": -20000, "fee": 0, "net": -20000}
    refund = capture | taken | {"id": "r", "type": "refund", "refund": "re_by_hand"}
    dispute = capture | taken | {"id": "d", "type": "dispute", "dispute": "dp_by_hand"}
    polled_at = trading.shop.payment(order).polled_at
    run = bring(trading, json.dumps([capture, refund, dispute]).encode())
    assert (run.booked, run.waiting, run.applied) == (1, 2, [])
    assert trading.discrepancies() == ["missing_here", "missing_here"]
    trading.shop.wait(seconds=3)
    trading.shop.sweep()
    assert trading.shop.payment(order).polled_at != polled_at, "the acquirer was asked"
    assert (trading.shop.state(order), funds.available("TWD")) == ("PAID", Money(120000 - 3360, "TWD"))


def test_a_refund_of_more_than_ours_is_not_booked_from_a_file_that_a_person_brings(trading: Trading) -> None:
    trading.refund(trading.paid("kpay"), 20000)
    trading.day_is_over()
    capture, done = lines_of(trading, "kpay")
    run = bring(trading, json.dumps([capture, done | {"amount": -50000, "net": -50000}]).encode())
    assert (run.booked, run.waiting, trading.discrepancies()) == (1, 1, ["amount"])


# --- absences that staff have accepted ---


def test_a_line_whose_absence_was_accepted_may_come_in_the_file_of_another_day(trading: Trading) -> None:
    trading.paid("kpay")
    trading.day_is_over()
    there, next_day = trading.file("kpay"), trading.day + timedelta(days=1)
    for raw in (there, b"[]"):
        trading.reconcile("kpay", raw)
    acceptance.accept(db.session.scalars(db.select(Discrepancy.id)).one(), by=trading.shop.sam, reason="the next file")
    moved = trading.reconcile("kpay", there, next_day)
    assert (moved.booked, trading.discrepancies()) == (1, [])
    trading.reconcile("kpay", there)
    assert trading.discrepancies() == ["twice"], "now both days have it"


def test_an_accepted_absence_is_over_when_the_line_is_back(trading: Trading) -> None:
    trading.paid("kpay")
    trading.day_is_over()
    there = trading.file("kpay")
    for raw in (there, b"[]"):
        trading.reconcile("kpay", raw)
    acceptance.accept(db.session.scalars(db.select(Discrepancy.id)).one(), by=trading.shop.sam, reason="the next file")
    trading.reconcile("kpay", there)
    trading.reconcile("kpay", there, trading.day + timedelta(days=1))
    assert trading.discrepancies() == ["twice"]
    trading.reconcile("kpay", b"[]", trading.day + timedelta(days=1))
    trading.reconcile("kpay", b"[]")
    assert trading.discrepancies() == ["missing_there"]
