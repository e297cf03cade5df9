"""Periods and filters of statistics in an address."""

from __future__ import annotations

from datetime import date
from urllib.parse import parse_qs

import pytest

from shop.core.errors import BadInput
from shop.statistics.periods import Question, parse

TODAY = date(2026, 12, 1)


def parsed(query: str) -> Question:
    return parse(parse_qs(query, keep_blank_values=True), TODAY, ["kpay", "stripe"])


@pytest.mark.parametrize(
    ("query", "first", "last", "before"),
    [
        ("", "2026-11-02", "2026-12-01", ("2026-10-03", "2026-11-01")),
        ("period=today", "2026-12-01", "2026-12-01", ("2026-11-30", "2026-11-30")),
        ("period=7", "2026-11-25", "2026-12-01", ("2026-11-18", "2026-11-24")),
        ("period=90", "2026-09-03", "2026-12-01", ("2026-06-05", "2026-09-02")),
        ("from=2026-02-27&to=2026-03-01", "2026-02-27", "2026-03-01", ("2026-02-24", "2026-02-26")),
        ("from=2026-11-30&to=", "2026-11-30", "2026-12-01", ("2026-11-28", "2026-11-29")),
        ("from=2027-01-01", "2027-01-01", "2027-01-01", ("2026-12-31", "2026-12-31")),
    ],
)
def test_a_period_has_its_days_and_as_many_before(query: str, first: str, last: str, before: tuple[str, str]) -> None:
    found = parsed(query)
    assert (f"{found.first}", f"{found.last}") == (first, last)
    assert tuple(map(str, found.before)) == before


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("period=year", "Values are today, 7, 30, 90."),
        ("period=7&period=30", "takes one value"),
        ("colour=red", "Filters are period, from, to, currency, provider."),
        ("currency=EUR", "Values are TWD, JPY, USD."),
        ("provider=nopay", "Values are kpay, stripe."),
        ("currency=TWD&currency=JPY", "takes one value"),
        ("from=yesterday", "needs a day, such as 2026-12-24"),
        ("to=2026-12-01", "needs a first day (from)"),
        ("from=2026-12-02&to=2026-12-01", "is after the last one"),
        ("from=2026-01-01&period=7", "not both"),
        ("from=2025-01-01&to=2026-01-02", "at most 366 days"),
    ],
)
def test_what_is_not_known_is_refused_with_what_is(query: str, sentence: str) -> None:
    with pytest.raises(BadInput) as refused:
        parsed(query)
    assert sentence in refused.value.message


@pytest.mark.parametrize("query", ["period=7&currency=TWD", "from=2026-02-27&to=2026-03-01&provider=kpay", "period=30"])
def test_a_question_is_the_address_that_it_came_from(query: str) -> None:
    found = parsed(query)
    assert "&".join(f"{name}={value}" for name, value in found.pairs()) == query
