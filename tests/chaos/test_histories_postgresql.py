"""Generated histories on PostgreSQL; `python -m bench.histories --database postgresql` runs any number."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import Phase

from tests.chaos.fast_databases import PostgresDatabase
from tests.chaos.history import run_histories
from tests.chaos.seeded_bugs import the_ledger_is_posted_twice
from tests.chaos.world import World
from tests.parts.postgres import PostgresServer
from tests.parts.selection import sampled

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def lent(postgres: PostgresServer) -> Iterator[World]:
    with World(PostgresDatabase(postgres)).opened() as made:
        yield made


@pytest.mark.full
def test_after_any_history_on_postgresql_too_every_state_is_final_and_every_sum_is_right(lent: World) -> None:
    run_histories(lent, sampled(5, 300))


@pytest.mark.full
def test_a_seeded_bug_is_found_on_postgresql_too(lent: World, monkeypatch: pytest.MonkeyPatch) -> None:
    the_ledger_is_posted_twice(monkeypatch, lent)
    with pytest.raises(AssertionError, match="6 ledger"):
        for seed in range(20):
            phases = [Phase.generate]
            run_histories(lent, 25, seed=seed, database=None, phases=phases, report_multiple_bugs=False)
