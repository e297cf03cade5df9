"""Stored values as staff read them."""

from __future__ import annotations

from typing import Any

import pytest

from shop.core.money import Money
from shop.explain import facts
from tests.shop_fixtures import Shop

NT345 = Money(34500, "TWD").with_code()


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ({"amount": 34500, "currency": "TWD"}, [("amount", NT345)]),
        ({"money": {"amount": 34500, "currency": "TWD"}}, [("money", NT345)]),
        ({"ours": 34500, "theirs": None, "currency": "TWD"}, [("ours", NT345)]),
        ({"amount": 34500}, [("amount", "34500")]),
        ({"captureId": "c1", "heardAt": "2026-12-01T00:00:52.607438+00:00"}, [("capture id", "c1")]),
        ({"needs_two": True, "reason": None}, [("needs two", "yes")]),
    ],
)
def test_values_become_words_and_money(shop: Shop, stored: dict[str, Any], shown: list[tuple[str, str]]) -> None:
    found = facts.readable(stored)
    assert set(shown) <= set(found)
    assert not any(sign in text for _, text in found for sign in "{[") and not any("At" in name for name, _ in found)


def test_a_time_has_its_zone_and_a_provider_its_label(shop: Shop) -> None:
    stored = {"heardAt": "2026-12-01T00:00:52.607438+00:00", "provider": "fakepay"}
    assert facts.readable(stored) == (("received at", "2026-12-01 00:00:52 UTC"), ("provider", "Fakepay"))


def test_nested_values_are_listed_by_name(shop: Shop) -> None:
    refunds = [{"id": "R1", "money": {"amount": 34500, "currency": "TWD"}}, {"id": "R2", "needs_two": False}]
    assert facts.readable({"refunds": refunds}) == (("refunds", f"id: R1, money: {NT345}; id: R2, needs two: no"),)
