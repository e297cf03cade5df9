"""Settlement files that are repeated, corrected, for another day, or refused."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta

import pytest

from shop.core import clock
from shop.core.actor import Actor
from shop.core.errors import Away, BadInput, Refusal
from shop.integrity import settlement_day
from shop.payments.records.settlement_models import Discrepancy, SettlementLineRow
from shop.payments.settlement import reconcile
from tests.payments.settlement_days import FEES, PROVIDERS, lines_of, provider, trading
from tests.payments.trading import Trading
from tests.shop_fixtures import Shop

__all__ = ["provider", "trading"]


def test_running_it_again_books_nothing_and_opens_nothing_twice(trading: Trading, provider: str) -> None:
    for _ in range(4):
        trading.paid(provider)
    trading.day_is_over()
    bent = trading.file(provider, discrepancies=4)
    first, once = trading.reconcile(provider, bent), trading.balances()
    again, twice = trading.reconcile(provider, bent), trading.balances()
    assert first.booked and first.opened == 4
    assert (again.booked, again.opened, again.closed, again.applied) == (0, 0, 0, [])
    assert once == twice
    assert trading.shop.count(Discrepancy) == 4


def test_a_line_in_a_later_file_closes_the_missing_discrepancy(trading: Trading) -> None:
    trading.paid("kpay")
    trading.day_is_over()
    right = trading.file("kpay")
    trading.reconcile("kpay", b"[]")
    assert trading.discrepancies() == ["missing_there"]
    later = trading.reconcile("kpay", right, trading.day + timedelta(days=1))
    assert (later.booked, later.closed, trading.discrepancies()) == (1, 1, [])


def test_a_line_that_a_second_file_of_the_day_lacks_is_missing(trading: Trading) -> None:
    trading.paid("kpay")
    trading.day_is_over()
    trading.reconcile("kpay")
    trading.reconcile("kpay", b"[]")
    assert trading.discrepancies() == ["missing_there"]
    trading.reconcile("kpay")
    assert trading.discrepancies() == []


def test_a_line_that_is_there_twice_is_booked_once(trading: Trading) -> None:
    trading.paid("kpay")
    trading.day_is_over()
    (line,) = lines_of(trading, "kpay")
    other = line | {"id": "capture_by_another_name"}
    run = trading.reconcile("kpay", json.dumps([line, line, other]).encode())
    assert (run.booked, trading.discrepancies()) == (1, ["twice", "twice"])
    assert trading.balances()["bank"] == 120000 - 3360


def test_the_same_line_in_the_file_of_another_day_is_booked_once(trading: Trading) -> None:
    trading.paid("kpay")
    trading.day_is_over()
    trading.reconcile("kpay")
    again = trading.reconcile("kpay", trading.file("kpay"), trading.day + timedelta(days=1))
    assert (again.booked, trading.discrepancies()) == (0, ["twice"])


def test_a_corrected_file_may_change_the_id_of_a_line(trading: Trading) -> None:
    trading.paid("kpay")
    trading.day_is_over()
    (line,) = lines_of(trading, "kpay")
    trading.reconcile("kpay", json.dumps([line | {"id": "wrong", "amount": 100, "fee": 0, "net": 100}]).encode())
    assert [trading.reconcile("kpay").booked for _ in range(2)] == [1, 0]
    assert trading.discrepancies() == []
    assert trading.balances() == {"fees": 3360, "bank": 120000 - 3360, "sales": -120000}


def test_a_line_that_corrected_files_move_to_another_day_moves(trading: Trading) -> None:
    trading.paid("kpay")
    trading.day_is_over()
    there, next_day = trading.file("kpay"), trading.day + timedelta(days=1)
    trading.reconcile("kpay", there)
    trading.reconcile("kpay", b"[]")
    before = trading.balances()
    moved = trading.reconcile("kpay", there, next_day)
    assert (moved.booked, moved.closed, trading.discrepancies(), trading.balances()) == (1, 1, [], before)
    for day, raw in ((trading.day, b"[]"), (next_day, there)) * 2:
        again = trading.reconcile("kpay", raw, day)
        assert (again.booked, again.opened, again.closed) == (0, 0, 0)
    trading.reconcile("kpay", there)
    assert trading.discrepancies() == ["twice"], "now both days have it"


def test_a_file_given_for_the_wrong_day_is_corrected_by_the_right_files(trading: Trading, provider: str) -> None:
    trading.paid(provider)
    trading.day_is_over()
    today = trading.day + timedelta(days=1)
    trading.paid(provider)
    trading.pass_until(f"{today + timedelta(days=1)}T03:00:00Z")
    trading.reconcile(provider, trading.file(provider), today)
    for day in (today, trading.day, today):
        trading.reconcile(provider, day=day)
    assert trading.discrepancies() == []
    assert [settlement_day.of_day(provider, day).totals[0].lines for day in (trading.day, today)] == [1, 1]
    assert trading.balances()["fees"] == 2 * FEES[provider]


def test_a_file_that_cannot_be_read_changes_nothing(shop: Shop) -> None:
    today = clock.now().date()
    for name in PROVIDERS:
        for raw in (b"", b"{}", b"hello", b"\xff\xfe", b'[{"id":1}]', b"id,type\r\n1,capture\r\n"):
            with pytest.raises(BadInput, match="no settlement file"):
                reconcile.reconcile(name, today, raw, by=Actor.operator())
    assert (shop.count(SettlementLineRow), shop.count(Discrepancy)) == (0, 0)


def test_the_file_of_another_day_is_refused_and_changes_nothing(trading: Trading, provider: str) -> None:
    trading.paid(provider)
    trading.pass_until(f"{trading.day + timedelta(days=6)}T03:00:00Z")
    raw = trading.file(provider)
    for days, output in ((-1, f"is of {trading.day}"), (5, f"is of {trading.day}"), (30, "has not begun")):
        with pytest.raises(BadInput, match=output):
            trading.reconcile(provider, raw, trading.day + timedelta(days=days))
    assert (trading.shop.count(SettlementLineRow), trading.shop.count(Discrepancy)) == (0, 0)
    assert trading.reconcile(provider, raw).booked == 1


def test_two_different_lines_with_one_id_are_refused_and_change_nothing(trading: Trading) -> None:
    trading.refund(trading.paid("kpay"), 20000)
    trading.day_is_over()
    lines = [line | {"id": "same"} for line in lines_of(trading, "kpay")]
    with pytest.raises(BadInput, match="called same and are about different things"):
        trading.reconcile("kpay", json.dumps(lines).encode())
    assert (trading.shop.count(SettlementLineRow), trading.reconcile("kpay").booked) == (0, 2)


def test_a_day_that_has_not_begun_and_a_provider_that_is_none_are_refused(shop: Shop) -> None:
    with pytest.raises(BadInput, match="has not begun"):
        reconcile.fetch("kpay", clock.now().date() + timedelta(days=2))
    with pytest.raises(BadInput, match="no provider"):
        reconcile.fetch("nopay", clock.now().date())


def test_an_acquirer_that_does_not_answer_is_away(shop: Shop) -> None:
    """The tests' shop has an address without a listener."""
    for name in PROVIDERS:
        shop.app.config[f"{name.upper()}_MOCKED"] = True
        with pytest.raises(Away, match="did not give its file"):
            reconcile.fetch(name, clock.now().date() - timedelta(days=1))


@pytest.mark.parametrize("name", ["paypay", "tpay"])
def test_without_an_api_for_settlement_files_staff_have_to_supply_them(shop: Shop, name: str) -> None:
    with pytest.raises(Refusal, match="has no call"):
        reconcile.fetch(name, clock.wall().date() - timedelta(days=2))


def test_kpays_csv_has_the_same_lines_as_its_json(trading: Trading) -> None:
    trading.refund(trading.paid("kpay"), 5000)
    kpay = reconcile._provider("kpay")
    as_csv = trading.file("kpay", format="csv")
    assert kpay.read_settlement(as_csv) == kpay.read_settlement(trading.file("kpay"))
    assert len(list(csv.reader(io.StringIO(as_csv.decode())))) == 3
