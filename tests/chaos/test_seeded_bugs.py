"""Seeded bugs: the generated histories have to find each of them, and soon."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import Phase
from sqlalchemy.exc import IntegrityError

from tests.chaos.history import FULL_HALF, run_histories
from tests.chaos.seeded_bugs import (
    MORE,
    SEEDED,
    expiry_reads_first_and_writes_later,
    shares_of_a_refund_forget_those_before,
)
from tests.chaos.world import World, world

HISTORIES = 25
"""Histories of a round. Rounds with other seeds find a rare bug sooner than one long round does: Hypothesis varies what
it has tried before.
"""
ROUNDS = 2 * FULL_HALF // HISTORIES
"""Rounds within which each bug has to be found, by a condition or by a constraint of the database."""
RARE = (expiry_reads_first_and_writes_later, shares_of_a_refund_forget_those_before)
"""Bugs that take a minute to find."""
BUGS = [pytest.param(one, marks=pytest.mark.full if one in RARE else (), id=one.__name__) for one in (*SEEDED, *MORE)]


@pytest.fixture(scope="module")
def lent() -> Iterator[World]:
    with world() as made:
        yield made


@pytest.mark.slow
@pytest.mark.sample(2)
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mistake", BUGS)
def test_a_seeded_bug_is_found(
    lent: World, mistake: Callable[[pytest.MonkeyPatch, World], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mistake(monkeypatch, lent)
    with pytest.raises(Exception) as found:
        for seed in range(ROUNDS):
            run_histories(lent, HISTORIES, seed=seed, database=None, phases=[Phase.generate])
    broken = found.value.exceptions if isinstance(found.value, ExceptionGroup) else (found.value,)
    assert all(isinstance(one, AssertionError | IntegrityError) for one in broken), broken
