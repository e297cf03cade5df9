"""The shop's life, again and again: half of what is lived for each push. The other half lies in another file, so that
two workers live at once; `python -m bench.histories` lives as often as one likes.
"""

from __future__ import annotations

import pytest

from tests.chaos.life import HALF, live
from tests.chaos.world import world


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_whatever_happens_in_whatever_order_everything_heals_and_every_sum_is_right() -> None:
    with world() as lent:
        live(lent, HALF)
