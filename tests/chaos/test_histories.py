"""Generated histories, first half. The second half is in another file, so that two workers
run them at once; `python -m bench.histories` runs any number.
"""

from __future__ import annotations

import pytest

from tests.chaos.history import HALF, run_histories
from tests.chaos.world import world


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_after_any_history_every_state_is_final_and_every_sum_is_right() -> None:
    with world() as lent:
        run_histories(lent, HALF)
