"""Tests of the tests: with a mistake planted in the shop, its life has to come to grief, and soon."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import Phase
from sqlalchemy.exc import IntegrityError

from tests.chaos.life import HALF, live
from tests.chaos.mistakes import MORE, SEEDED
from tests.chaos.world import World, world

ENOUGH = 2 * HALF
"""Lives within which each mistake has to show, those of one push: as a broken promise, or to the database, which has
checks of its own.
"""

SEED = 3
"""Lives in which each mistake shows long before that."""


@pytest.fixture(scope="module")
def lent() -> Iterator[World]:
    with world() as made:
        yield made


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mistake", [*SEEDED, *MORE], ids=lambda mistake: mistake.__name__)
def test_a_mistake_that_is_planted_is_found(
    lent: World, mistake: Callable[[pytest.MonkeyPatch, World], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mistake(monkeypatch, lent)
    with pytest.raises(Exception) as found:
        live(lent, ENOUGH, seed=SEED, database=None, phases=[Phase.generate])
    broken = found.value.exceptions if isinstance(found.value, ExceptionGroup) else (found.value,)
    assert all(isinstance(one, AssertionError | IntegrityError) for one in broken), broken
