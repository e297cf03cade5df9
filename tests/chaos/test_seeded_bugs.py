"""Seeded bugs: the generated histories have to find each of them, and soon."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import Phase
from sqlalchemy.exc import IntegrityError

from tests.chaos.history import FULL_HALF, run_histories
from tests.chaos.seeded_bugs import MORE, SEEDED
from tests.chaos.world import World, world

ENOUGH = 2 * FULL_HALF
"""Histories within which each bug has to be found, the number of a full run: by a condition, or by a constraint of the
database.
"""

SEED = 3
SEEDS = {
    "amounts_are_not_compared": 0,
    "expiry_reads_first_and_writes_later": 6,
    "revived_without_holding_again": 0,
    "a_transfer_that_bounced_came_back_to_the_acquirer": 1,
    "a_chargeback_takes_no_money": 1,
    "our_own_refund_is_taken_for_one_made_outside": 1,
}
"""Seeds whose histories find the bug within about 25: `SEED`, for some bugs others."""


@pytest.fixture(scope="module")
def lent() -> Iterator[World]:
    with world() as made:
        yield made


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mistake", [*SEEDED, *MORE], ids=lambda mistake: mistake.__name__)
def test_a_seeded_bug_is_found(
    lent: World, mistake: Callable[[pytest.MonkeyPatch, World], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mistake(monkeypatch, lent)
    with pytest.raises(Exception) as found:
        run_histories(lent, ENOUGH, seed=SEEDS.get(mistake.__name__, SEED), database=None, phases=[Phase.generate])
    broken = found.value.exceptions if isinstance(found.value, ExceptionGroup) else (found.value,)
    assert all(isinstance(one, AssertionError | IntegrityError) for one in broken), broken
