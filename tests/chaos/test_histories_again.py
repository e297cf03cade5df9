"""Generated histories, second half of `tests/chaos/test_histories.py`."""

from __future__ import annotations

import pytest

from tests.chaos.history import HALF, run_histories
from tests.chaos.world import world


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_after_other_histories_too_every_state_is_final_and_every_sum_is_right() -> None:
    with world() as lent:
        run_histories(lent, HALF)
