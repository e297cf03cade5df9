"""Obstacles to the deletion of an account."""

from __future__ import annotations

import pytest

from shop.core.money import Money
from shop.privacy.decide import Credit, Obstacle, Snapshot, obstacle

NOTHING = Credit(Money(0, "TWD"), Money(0, "TWD"))
LEFT = Credit(Money(500, "TWD"), Money(0, "TWD"))
HELD = Credit(Money(500, "JPY"), Money(500, "JPY"))


@pytest.mark.parametrize(
    ("is_last_admin", "credit", "gives_up", "found"),
    [
        (False, [], False, None),
        (False, [NOTHING], False, None),
        (False, [LEFT], False, Obstacle.CREDIT_LEFT),
        (False, [LEFT], True, None),
        (False, [LEFT, HELD], True, Obstacle.CREDIT_HELD),
        (False, [NOTHING, HELD], False, Obstacle.CREDIT_HELD),
        (True, [], True, Obstacle.LAST_ADMIN),
    ],
)
def test_an_account_is_kept_for_store_credit_and_for_the_last_admin(
    is_last_admin: bool, credit: list[Credit], gives_up: bool, found: Obstacle | None
) -> None:
    assert obstacle(Snapshot(is_last_admin, credit), gives_up_credit=gives_up) == found
