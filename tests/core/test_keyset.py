"""Positions of rows in lists."""

from __future__ import annotations

import pytest

from shop.core.errors import BadInput
from shop.core.keyset import Position


@pytest.mark.parametrize("text", ["", "1", "x-1", "-1-1", "1-", "1-1-1-1", "9" * 18 + "-1", "1-" + "9" * 19, "１-1"])
def test_positions_are_read_back_and_others_are_refused(text: str) -> None:
    with pytest.raises(BadInput):
        Position.parse(text)
    for far in (Position.parse("9" * 17 + "-1"), Position.parse("9" * 17 + "-1-" + "9" * 18)):
        assert Position.parse(str(far)) == far
