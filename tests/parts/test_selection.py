"""Which tests a run leaves out: nothing with `--full`, nothing that was named, and always the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.parts import selection

PAGE = "tests/web/test_pages.py::test_a_page"


class Item:
    """A collected test as far as the selection looks at it."""

    def __init__(self, nodeid: str, *markers: pytest.Mark, fixturenames: Sequence[str] = ()) -> None:
        self.nodeid, self.markers, self.fixturenames = nodeid, markers, fixturenames

    def get_closest_marker(self, name: str) -> pytest.Mark | None:
        return next((marker for marker in self.markers if marker.name == name), None)


def selected(extent: str, *items: Item) -> list[str]:
    return [item.nodeid for item in selection.select(items, extent)]  # type: ignore[arg-type]


def marked(name: str, *values: Any) -> pytest.Mark:
    return getattr(pytest.mark, name)(*values).mark  # type: ignore[no-any-return]


def sets(test: str, *markers: pytest.Mark, size: int = 1) -> list[Item]:
    """A test with this many parameter sets, on both databases."""
    kinds = ("sqlite", "postgresql")
    return [Item(f"tests/{test}[{kind}-{number}]", *markers) for number in range(size) for kind in kinds]


def test_pages_run_on_sqlite_and_a_third_of_what_a_database_decides_on_postgresql() -> None:
    pages = [item for number in range(50) for item in sets(f"web/test_pages.py::test_{number}")]
    orders = [item for number in range(100) for item in sets(f"orders/test_x.py::test_{number}")]
    assert len(selected("full", *pages, *orders)) == 300
    assert selected("default", *pages) == [item.nodeid for item in pages[::2]]
    chosen = selected("default", *orders)
    assert len({item.partition("[")[0] for item in chosen}) == len(chosen) == 100
    assert 20 < sum("postgresql" in item for item in chosen) < 48
    assert selected("quick", *orders) == [item.nodeid for item in orders[::2]]


def test_races_of_the_acquirer_run_on_postgresql_too() -> None:
    race, form = "test_of_eight_calls_one_opens", "test_a_form_is_refused"
    items = [Item(f"tests/acquirer/stripe/test_sessions.py::{test}[postgresql]") for test in (race, form)]
    assert selected("default", *items) == [items[0].nodeid]


def test_of_a_matrix_a_fixed_sample_runs_and_with_full_all_of_it() -> None:
    sets = [Item(f"{PAGE}[{number}]", marked("sample", 4)) for number in range(20)]
    assert len(selected("full", *sets)) == 20
    sample = selected("default", *sets)
    assert len(sample) == 4
    assert sorted(selected("default", *reversed(sets))) == sorted(sample), "whatever the order"
    both = [Item(f"tests/chaos/test_x.py::test_y[{kind}]", marked("sample", 1)) for kind in ("sqlite", "postgresql")]
    assert len(selected("default", *both)) == 1


def test_each_parameter_set_runs_once_and_an_eighth_of_them_on_postgresql() -> None:
    chosen = selected("default", *sets("payments/test_x.py::test_y", size=200))
    assert 12 < sum("postgresql" in item for item in chosen) < 40
    assert len({item.partition("-")[2] for item in chosen}) == len(chosen) == 200


def test_quick_takes_the_sqlite_run_of_what_runs_on_postgresql_otherwise() -> None:
    both = [item for number in range(20) for item in sets(f"payments/test_x.py::test_{number}")]
    assert selected("quick", *both) == [item.nodeid for item in both[::2]]


def test_what_is_marked_full_runs_with_full_only() -> None:
    item = Item(PAGE, marked("full"))
    assert [len(selected(extent, item)) for extent in ("quick", "default", "full")] == [0, 0, 1]


@pytest.mark.parametrize(
    "item",
    [Item(PAGE, marked("slow")), Item(PAGE, fixturenames=["browser"]), Item(PAGE, fixturenames=["own_postgres"])],
    ids=["slow", "browser", "postgres"],
)
def test_quick_leaves_out_what_takes_long(item: Item) -> None:
    assert [len(selected(extent, item)) for extent in ("quick", "default", "full")] == [0, 1, 1]


def test_of_a_test_that_costs_much_a_few_parameter_sets_run() -> None:
    def test(name: str, *fixtures: str) -> list[Item]:
        kinds = ("sqlite", "postgresql")
        return [Item(f"{name}[{kind}-{number}]", fixturenames=fixtures) for number in range(20) for kind in kinds]

    costly, pure = test("tests/orders/test_x.py::test_y", "database_url"), test("tests/core/test_x.py::test_y")
    assert (len(selected("full", *costly)), len(selected("default", *pure))) == (40, 20)
    sample = selected("default", *costly)
    assert sorted(selected("default", *reversed(costly))) == sorted(sample), "whatever the order"
    assert len({name.partition("-")[2] for name in sample}) == selection.MOST_SETS == len(sample)
