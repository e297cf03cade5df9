"""The other half of `tests/chaos/test_machine.py`."""

from __future__ import annotations

import pytest

from tests.chaos.life import HALF, live
from tests.chaos.world import world


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_in_other_lives_too_everything_heals_and_every_sum_is_right() -> None:
    with world() as lent:
        live(lent, HALF)
