"""Days of facts, classes of times, percentiles, shares: the pure part of statistics."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.core.event_types import EventKind
from shop.statistics.decide import EVENTS, LIMITS, Fact, Figure, Sum, count, limit, share
from shop.statistics.times import percentile, range_of

TAIPEI = ZoneInfo("Asia/Taipei")
BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def placed(*times: str, zone: ZoneInfo) -> dict[date, int]:
    """Orders placed by day."""
    figures = count([Fact(at(text), EventKind.ORDER_PLACED, "", "TWD", 5) for text in times], zone)
    return {day: sums.number for (day, _), sums in figures.items()}


def test_a_day_begins_at_midnight_in_the_zone_of_the_shop() -> None:
    found = placed("2026-11-30T15:59:59.999999", "2026-11-30T16:00:00", zone=TAIPEI)
    assert found == {date(2026, 11, 30): 1, date(2026, 12, 1): 1}


def test_a_day_has_23_or_25_hours_when_the_clocks_change() -> None:
    spring = [f"2026-03-{day}T{hour:02}:30" for day in (28, 29) for hour in range(24)]
    autumn = [f"2026-10-{day}T{hour:02}:30" for day in (24, 25) for hour in range(24)]
    assert placed(*spring, zone=BERLIN)[date(2026, 3, 29)] == 23
    assert placed(*autumn, zone=BERLIN)[date(2026, 10, 25)] == 25


def test_the_same_figure_of_two_currencies_is_two_sums() -> None:
    facts = [Fact(at("2026-01-01T00:00"), EventKind.REFUND_DONE, "", currency, 5) for currency in ("TWD", "JPY", "TWD")]
    day = date(2026, 1, 1)
    assert count(facts, TAIPEI) == {
        (day, Figure("refund", "done", "TWD")): Sum(2, 10),
        (day, Figure("refund", "done", "JPY")): Sum(1, 5),
    }


def test_an_order_that_is_paid_again_after_a_failed_refund_was_paid_once() -> None:
    reasons = ("captured", "refund_done", "refund_failed_later")
    facts = [Fact(at("2026-01-01T00:00"), EventKind.ORDER_MOVED, because, "TWD", 5) for because in reasons]
    assert [*count(facts, TAIPEI).values()] == [Sum(1, 5)]


def test_the_order_and_the_division_of_facts_do_not_matter() -> None:
    facts = [Fact(at(f"2026-01-01T00:{minute:02}"), EventKind.ORDER_PLACED, "", "TWD", minute) for minute in range(60)]
    [whole] = count(facts, TAIPEI).values()
    halves = [next(iter(count(part, TAIPEI).values())) for part in (facts[::2], facts[1::2])]
    assert halves[0].plus(halves[1]) == whole == Sum(60, sum(range(60)))


@given(st.sampled_from([*EVENTS, EventKind.ALERT_RAISED]))
def test_every_event_that_is_read_is_counted(kind: EventKind) -> None:
    state = "captured" if kind == EventKind.ORDER_MOVED else "code"
    assert count([Fact(at("2026-01-01T00:00"), kind, state, "TWD", 1)], TAIPEI)


@pytest.mark.parametrize(
    ("seconds", "upper"),
    [(-3, "0.25"), (0, "0.25"), (0.25, "0.25"), (0.26, "0.5"), (7.5, "7.5"), (86400, "86400"), (86401, "inf")],
)
def test_a_time_is_in_the_class_whose_limit_it_does_not_exceed(seconds: float, upper: str) -> None:
    assert limit(timedelta(seconds=seconds)) == upper


def test_a_class_begins_where_the_one_below_ends() -> None:
    assert [range_of(one) for one in (LIMITS[0], 1, LIMITS[-1])] == [(0.0, 0.25), (0.5, 1), (86400, float("inf"))]


@given(st.lists(st.floats(0, 1e6), min_size=1), st.sampled_from([50, 95, 99]))
def test_a_percentile_is_the_limit_of_the_class_of_the_nearest_rank(times: list[float], percent: int) -> None:
    classes: dict[float, int] = dict.fromkeys(LIMITS, 0)
    for time in times:
        classes[float(limit(timedelta(seconds=time)))] += 1
    exact = sorted(times)[max(0, -(-len(times) * percent // 100) - 1)]
    assert percentile(classes, percent) == float(limit(timedelta(seconds=exact)))


def test_without_times_there_is_no_percentile_and_of_nothing_no_share() -> None:
    assert percentile({1.0: 0}, 50) is None
    assert share(0, 0) is None


@pytest.mark.parametrize(
    ("part", "whole", "percent"), [(1, 3, 33.3), (999_999, 1_000_000, 99.9), (7, 7, 100.0), (0, 9, 0)]
)
def test_a_share_is_rounded_down_so_that_only_all_is_a_hundred_percent(part: int, whole: int, percent: float) -> None:
    assert share(part, whole) == percent
