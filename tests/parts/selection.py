"""Selection of tests: `--quick` while writing, the default for each push, `--full` for every combination.

`--full` runs every test. The default leaves out
- the PostgreSQL run of tests whose result the kind of database does not decide (`ONE_DATABASE`),
- the second database of all other tests: each parameter set runs once, a third of `DECIDED_BY_DATABASE` and an eighth
  of the others on PostgreSQL,
- tests marked `full`: those that start many processes, or whose promise a cheaper test proves too,
- all but `MOST_SETS` parameter sets of a test that uses a database, an acquirer or a process, on whichever database,
- all but `n` parameter sets of a test marked `sample(n)`; a hash of their ids decides which ones.

`--quick` leaves out more: tests on PostgreSQL, tests that use an `EXPENSIVE` fixture or are marked `slow`, and of those
that use a database or an acquirer all but a share (`SHARES`).

Neither leaves out a test whose id is given as an argument (`file.py::test`).
"""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Iterable

import pytest

ONE_DATABASE = re.compile(
    r"tests/web/test_(?!cart|checkout|page_statements)"
    r"|tests/live/test_(dev_clock|stream)|tests/ops/|tests/commands/|tests/integrity/test_explain"
    r"|tests/payments/test_(stripe|tpay|paypay)_"
    r"|tests/(payments/test_(reconcile(_\w+)?|disputes)|integrity/test_compare_ledgers)\.py.*\W(paypay|stripe|tpay)\W"
    r"|tests/acquirer/"
)
"""Tests of pages, commands, wire formats and of the mock acquirer."""

DECIDED_BY_DATABASE = re.compile(
    r"tests/(architecture|core|faults|inventory|ledger|orders|payouts|product_search)/|tests/.*(outdated|manual_refunds|eight|at_once|concurrent|race|together|upgrad|settlement_days)"
)
"""Tests of transactions, locks, constraints and migrations."""
ON_POSTGRESQL = (3, 8)
"""A push runs one in so many parameter sets on PostgreSQL: of what the database decides, and of the others."""

EXPENSIVE = frozenset(
    {
        "postgres",
        "own_postgres",
        "own_redis",
        "browser",
        "chromium_with_tabs",
        "demo",
        "process",
        "session_process",
        "pgbouncer",
        "deployment",
    }
)
"""Fixtures that `--quick` does without."""

SHARES = (({"make_world", "make_acquirer", "keep_acquirer"}, 40), ({"database_url", "acquirer_database"}, 16))
"""`--quick` runs 1 in n of the tests that have one of these fixtures."""

COSTLY = EXPENSIVE.union(*(names for names, _ in SHARES))
MOST_SETS = 1
"""Parameter sets of a test with a `COSTLY` fixture that run without `--full`. A test that the mark `sample` says
otherwise for has its own number.
"""

_DATABASE = re.compile(r"sqlite-?|postgresql-?")
_extent = "default"


def is_full() -> bool:
    """True with `--full`: every combination is tried."""
    return _extent == "full"


def sampled(default: int, full: int, quick: int | None = None) -> int:
    """The number of examples or combinations that a test tries with `--full`, with `--quick` and otherwise."""
    return {"full": full, "quick": quick or default}.get(_extent, default)


def pytest_addoption(parser: pytest.Parser) -> None:
    option = parser.getgroup("selection of tests").addoption
    option("--quick", dest="extent", action="store_const", const="quick", default="default", help="what takes no time")
    option("--full", dest="extent", action="store_const", const="full", help="every combination on every database")


def pytest_configure(config: pytest.Config) -> None:
    global _extent
    _extent = config.getoption("extent")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    named = tuple(argument for argument in config.args if "::" in argument)
    wanted = {*select(items, _extent), *(item for item in items if named and item.nodeid.startswith(named))}
    config.hook.pytest_deselected(items=[item for item in items if item not in wanted])
    items[:] = [item for item in items if item in wanted]


def select(items: Iterable[pytest.Item], extent: str) -> list[pytest.Item]:
    """The items that a run of this extent takes."""
    if extent == "full":
        return list(items)
    chosen = _samples(item for item in items if _is_default(item))
    return [item for item in chosen if _is_quick(item)] if extent == "quick" else _on_one_database(chosen)


def _is_default(item: pytest.Item) -> bool:
    if item.get_closest_marker("full"):
        return False
    needs_both = DECIDED_BY_DATABASE.match(item.nodeid.partition("[")[0])
    return bool("postgresql" not in item.nodeid or needs_both or not ONE_DATABASE.match(item.nodeid))


def _samples(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """The items without those that are beyond the sample of their test function."""
    functions = defaultdict(list)
    for item in items:
        functions[item.nodeid.partition("[")[0]].append(item)
    samples = []
    for sets in functions.values():
        marker = sets[0].get_closest_marker("sample")
        samples += sorted(sets, key=_rank)[: marker.args[0]] if marker else _most(sets)
    return samples


def _most(sets: list[pytest.Item]) -> list[pytest.Item]:
    """The items of `MOST_SETS` parameter sets, each on all databases that it has; all if they cost little."""
    if len(sets) <= MOST_SETS or not COSTLY & set(getattr(sets[0], "fixturenames", ())):
        return sets
    by_values = defaultdict(list)
    for item in sets:
        by_values[_DATABASE.sub("", item.nodeid)].append(item)
    kept = sorted(by_values, key=lambda values: zlib.crc32(values.encode()))[:MOST_SETS]
    return [item for values in kept for item in by_values[values]]


def _on_one_database(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """The items, each parameter set on one of its databases."""
    chosen = {item.nodeid: item for item in items}
    for name in [name for name in chosen if "postgresql" in name]:
        twin = name.replace("postgresql", "sqlite")
        decided, other = ON_POSTGRESQL
        every = decided if DECIDED_BY_DATABASE.match(name.partition("[")[0]) else other
        if twin in chosen:
            del chosen[twin if zlib.crc32(name.encode()) % every == 0 else name]
    return list(chosen.values())


def _is_quick(item: pytest.Item) -> bool:
    fixtures = set(getattr(item, "fixturenames", ()))
    if item.get_closest_marker("slow") or EXPENSIVE & fixtures or "postgresql" in item.nodeid:
        return False
    return _rank(item) % next((n for names, n in SHARES if names & fixtures), 1) == 0


def _rank(item: pytest.Item) -> int:
    """A number that depends on the id alone, so that a sample is the same in every process and every run."""
    return zlib.crc32(item.nodeid.encode())
