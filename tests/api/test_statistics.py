"""GET /stats: the figures of a period for programs with the scope statistics.read."""

from __future__ import annotations

import pytest

from shop.accounts.permissions import Permission, Role
from tests.api.conftest import signed_in, with_key
from tests.shop_fixtures import PEN, Shop


def test_a_program_reads_the_figures_of_a_period_with_those_of_the_one_before(shop: Shop) -> None:
    shop.paid_order((PEN, 1))
    shop.turn(days=1)
    for _ in range(2):
        shop.paid_order((PEN, 1))
    shop.sweep()
    answer = with_key(shop, Permission.STATISTICS_READ).get("/stats?period=today&currency=TWD&provider=fakepay")
    assert answer.status_code == 200, answer.text
    body = answer.json or {}
    assert body["is_current"] and body["from"] == body["to"] and body["time_zone"] == "UTC"
    [paid] = [one for one in body["figures"] if (one["subject"], one["state"]) == ("order", "paid")]
    assert [paid[name] for name in ("number", "amount", "number_before", "amount_before")] == [2, 18000, 1, 9000]
    assert {one["provider"]: one["captures"] for one in body["times"]} == {"": 2, "fakepay": 2}


def test_before_the_first_roll_up_there_are_no_figures_and_no_time_of_them(shop: Shop) -> None:
    body = signed_in(shop, Role.ADMIN).get("/stats").json or {}
    assert (body["figures"], body["times"], body["complete_until"], body["is_current"]) == ([], [], None, False)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("period=year", "today, 7, 30, 90"),
        ("provider=nopay", "fakepay"),
        ("colour=red", "not known"),
        ("from=2026-01-02&to=2026-01-01", "after the last one"),
        ("to=2026-01-01", "first day (from)"),
        ("from=2020-01-01", "366 days"),
    ],
)
def test_an_unknown_value_is_refused_with_the_known_ones(shop: Shop, query: str, words: str) -> None:
    answer = with_key(shop, Permission.STATISTICS_READ).get(f"/stats?{query}")
    assert answer.status_code == 422 and words in answer.text


def test_a_program_without_the_scope_and_support_read_no_figures(shop: Shop) -> None:
    assert with_key(shop, Permission.ORDER_READ).get("/stats").status_code == 403
    assert signed_in(shop, Role.SUPPORT).get("/stats").status_code == 403
