"""Roll-ups and the newest facts together are what a recount of all rows finds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from shop.core import clock
from shop.core.db import Base, db
from shop.core.money import Money
from shop.payments.refunds import requests
from shop.statistics import decide, facts, report, rollup
from shop.statistics.models import DayFigure
from shop.statistics.periods import Question
from shop.statistics.report import Report
from tests.jobs.test_invariants import scans
from tests.shop_fixtures import PEN, Shop
from tests.statistics.facts import Facts, all_rows, recount


def days(first: int, last: int) -> Question:
    """The days from so many days ago."""
    today = report.today()
    return Question(today - timedelta(days=first), today - timedelta(days=last))


def summed(found: Report, *, before: bool = False) -> dict[tuple[Any, ...], tuple[int, int]]:
    """The sums of the period, or of the one before."""
    sums: dict[tuple[Any, ...], tuple[int, int]] = {}
    for row in found.rows:
        if row.is_before == before:
            number, amount = sums.get(tuple(row.figure), (0, 0))
            sums[tuple(row.figure)] = (number + row.sums.number, amount + row.sums.amount)
    return sums


def check(app: Flask) -> None:
    """Roll-ups and live facts, read, put into the cache and from it, are the same as a recount."""
    zone, every = ZoneInfo(app.config["SHOP_TIME_ZONE"]), all_rows()
    for question in (days(0, 0), days(2, 0), days(4, 3)):
        expected = recount(every, question.first, question.last, zone)
        for found in (report.read(question), report.report(question), report.report(question)):
            assert found.is_current
            assert summed(found) == expected
            assert summed(found, before=True) == recount(every, *question.before, zone)
            charted = [row for row in found.rows if row.day]
            assert all(tuple(row.figure[:2]) in report.CHARTED for row in charted)
            for day in {row.day for row in charted if row.day}:
                of_day = recount(every, day, day, zone)
                found_of_day = summed(Report(question, tuple(row for row in charted if row.day == day), None, True))
                assert found_of_day == {key: of_day[key] for key in of_day if key[:2] in report.CHARTED}


def roll_up(app: Flask) -> None:
    """As the clock process does until nothing is due."""
    while rollup.due():
        rollup.add_due()


@pytest.mark.parametrize("zone", ["Asia/Taipei"])
def test_roll_ups_and_live_facts_are_what_a_recount_finds(
    app: Flask, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        app.config["SHOP_TIME_ZONE"] = zone
        monkeypatch.setattr(rollup, "MANY", 37)
        Facts(seed=11).write(300)
        roll_up(app)
        check(app)


@pytest.mark.full
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("zone", ["Asia/Taipei", "America/New_York"])
def test_they_are_after_ten_thousand_events(app: Flask, zone: str) -> None:
    with app.app_context():
        app.config["SHOP_TIME_ZONE"] = zone
        Facts(seed=12).write(10_000)
        roll_up(app)
        check(app)
        clock.advance(timedelta(minutes=9))
        roll_up(app)
        check(app)


def test_eight_processes_at_once_count_each_fact_once(
    app: Flask, race: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollup, "MANY", 20)
    monkeypatch.setattr(rollup, "TURN", 60)
    with app.app_context():
        Facts(seed=13).write(120)
        results = race(lambda _: rollup.add_due())
        assert results == [None] * 8
        check(app)


def test_a_day_that_is_over_does_not_change_when_its_order_is_refunded_later(shop: Shop) -> None:
    order = shop.paid_order((PEN, 1))
    shop.turn(days=1)
    yesterday = days(1, 1)
    before = summed(report.read(yesterday))
    assert before["order", "paid", "TWD", "fakepay", ""] == (1, 9000)
    assert before["source", "webhook", "TWD", "fakepay", ""] == (1, 9000)
    shop.turn(days=1)
    requests.request(shop.capture(order), Money(9000, "TWD"), reason="", by=shop.sam)
    shop.sweep()
    assert summed(report.read(days(2, 2))) == before
    assert summed(report.read(days(0, 0)))["refund", "done", "TWD", "fakepay", ""] == (1, 9000)


def test_another_zone_of_the_shop_or_version_of_the_figures_makes_all_roll_ups_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.paid_order((PEN, 1))
    shop.turn(hours=1)
    first = rows()
    assert first
    for change in (
        lambda: shop.app.config.update(SHOP_TIME_ZONE="Pacific/Kiritimati"),
        lambda: [monkeypatch.setattr(module, "VERSION", 99) for module in (rollup, report)],
    ):
        change()
        found = report.read(days(0, 0))
        assert (found.rows, found.complete_until) == ((), None), "roll-ups of other days are not used"
        shop.sweep()
        assert [row[2:] for row in rows()] == [row[2:] for row in first]
        assert report.read(days(0, 0)).is_current


def rows() -> list[tuple[Any, ...]]:
    """All roll-ups, sorted, with the day at the beginning."""
    table = Base.metadata.tables[DayFigure.__tablename__]
    found = [tuple(row) for row in db.session.execute(table.select().order_by(*table.primary_key))]
    db.session.rollback()
    return found


def test_while_the_clock_process_is_behind_the_report_states_until_when_it_is_complete(shop: Shop) -> None:
    shop.sweep()
    at = clock.now()
    shop.wait(hours=2)
    shop.order()
    found = report.read(days(1, 0))
    assert not found.is_current and found.complete_until
    assert found.complete_until - at < timedelta(minutes=16)
    assert not [row for row in found.rows if row.figure.subject == "order"]
    shop.sweep()
    assert report.read(days(1, 0)).is_current


def test_a_result_is_read_again_when_the_day_is_over_and_without_redis(shop: Shop) -> None:
    shop.paid_order((PEN, 1))
    shop.sweep()
    today = days(0, 0)
    assert summed(report.report(today))["order", "paid", "TWD", "fakepay", ""] == (1, 9000)
    shop.paid_order((PEN, 1))
    assert summed(report.report(today))["order", "paid", "TWD", "fakepay", ""] == (1, 9000), "from Redis"
    shop.turn(days=1)
    assert summed(report.report(today))["order", "paid", "TWD", "fakepay", ""] == (2, 18000)
    shop.app.config["REDIS_URL"] = ""
    shop.app.extensions["settled_redis"].client = None
    assert summed(report.report(today))["order", "paid", "TWD", "fakepay", ""] == (2, 18000)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_facts_and_roll_ups_are_read_along_indexes(shop: Shop) -> None:
    shop.paid_order()
    shop.sweep()
    requested, from_end_to_end = scans(lambda: (report.read(days(30, 0)), facts.step(clock.now(), clock.now(), 5)))
    assert requested >= 3
    assert from_end_to_end == set()


def test_a_filter_leaves_its_currency_and_provider(shop: Shop) -> None:
    shop.paid_order((PEN, 1))
    shop.order((PEN, 1), currency="JPY", provider="otherpay")
    shop.sweep()
    question = days(0, 0)
    filtered = report.report(Question(question.first, question.last, currency="JPY", provider="otherpay"))
    assert {row.figure[2:4] for row in filtered.rows} == {("JPY", "otherpay")}
    assert decide.Figure("order", "placed", "JPY", "otherpay") in {row.figure for row in filtered.rows}
