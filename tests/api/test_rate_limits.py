"""Calls that a process counts in advance: never more than the limit, and few less."""

from __future__ import annotations

import pytest

from shop.api import rate_limits
from tests.shop_fixtures import Shop


def test_processes_that_count_in_advance_let_no_more_calls_through_than_the_limit(shop: Shop) -> None:
    most, counts = 300, [rate_limits._Counted() for _ in range(3)]
    found = []
    for number in range(2 * most):
        shop.app.extensions["settled_api_calls"] = counts[number % len(counts)]
        found.append(rate_limits._use("default", most, "user 7"))
    passed = [use for use in found if use.is_allowed]
    in_advance = most // rate_limits.WINDOW
    assert most - (len(counts) - 1) * (in_advance - 1) <= len(passed) <= most
    assert found[0].left == most - 1 and found[-1].left == 0
    assert all(0 < use.seconds <= rate_limits.WINDOW for use in found)


def test_a_process_that_counts_alone_lets_exactly_the_limit_through(shop: Shop) -> None:
    for most in (7, 60, 301):
        uses = [rate_limits._use("default", most, f"user {most}") for _ in range(most + 2)]
        assert [use.is_allowed for use in uses] == [True] * most + [False] * 2
        assert [use.left for use in uses] == [*range(most - 1, -1, -1), 0, 0]


def test_callers_for_whom_a_process_counts_in_advance_are_limited(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "MOST_CALLERS", 2)
    book = shop.app.extensions["settled_api_calls"] = rate_limits._Counted()
    for number in range(4):
        assert rate_limits._use("default", 600, f"user {number}").is_allowed
    assert [caller for _, caller in book.pages] == ["user 2", "user 3"]
