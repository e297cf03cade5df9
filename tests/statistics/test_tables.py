"""Tables of statistics: every figure is in one, currencies are kept apart, success and changes."""

from __future__ import annotations

from datetime import date

from shop.core.money import Money
from shop.statistics.cells import Cell, Change, Percent, Table, Within
from shop.statistics.charts import columns
from shop.statistics.decide import Figure, Sum
from shop.statistics.periods import Question
from shop.statistics.rows import Row
from shop.statistics.sums import Sums
from shop.statistics.tables import MOST_CODES, change, span, success, tables

FIRST, LAST = date(2026, 12, 1), date(2026, 12, 2)
WEEK = Question(FIRST, LAST)


def made(*rows: tuple[tuple[str, ...], int, int], before: bool = False) -> dict[str, Table]:
    """The tables of figures, by their names."""
    found = [Row(None if before else FIRST, before, Figure(*figure), Sum(*sums)) for figure, *sums in rows]
    return {table.key: table for table in tables(WEEK, Sums(found))}


def first(table: Table) -> dict[str, Cell]:
    """The cells of the first row by heading."""
    return dict(zip((heading for heading, _ in table.columns), table.rows[0], strict=True))


def test_money_of_two_currencies_is_never_added() -> None:
    found = made(
        (("order", "paid", "TWD", "kpay"), 1, 500),
        (("order", "paid", "JPY", "kpay"), 2, 70),
        (("order", "paid", "JPY", "stripe"), 1, 30),
        (("capture", "pays_order", "TWD", "kpay", "card"), 1, 500),
        (("capture", "pays_order", "JPY", "kpay", "card"), 2, 70),
    )
    for key, amounts in (
        ("orders", {Money(500, "TWD"), Money(100, "JPY")}),
        ("days", {Money(500, "TWD"), Money(100, "JPY")}),
        ("money", {Money(500, "TWD"), Money(70, "JPY")}),
        ("methods", {Money(500, "TWD"), Money(70, "JPY")}),
    ):
        shown = {cell for row in found[key].rows for cell in row if isinstance(cell, Money) and cell.amount}
        assert shown == amounts, key


def test_success_is_the_share_of_ended_payments_that_were_captured() -> None:
    found = made(
        (("payment", "initiated", "TWD", "kpay"), 9, 0),
        (("payment", "failed", "TWD", "kpay"), 1, 0),
        (("payment", "expired", "JPY", "kpay"), 1, 0),
        (("capture", "pays_order", "TWD", "kpay", "card"), 5, 0),
        (("capture", "mismatch", "TWD", "kpay", ""), 1, 0),
        (("capture", "duplicate", "TWD", "kpay", "card"), 3, 0),
        (("capture", "late", "TWD", "kpay", "card"), 3, 0),
    )
    row = first(found["providers"])
    assert (row["Initiated"], row["Captured"], row["Success"]) == (9, 6, Percent(75.0))
    assert row["Success before"] == Percent(None)
    assert success({}) is None


def test_a_change_is_in_percent_of_the_number_before_and_unknown_without_one() -> None:
    assert [change(3, 2), change(1, 4), change(0, 4), change(4, 0)] == [
        Change(50),
        Change(-75),
        Change(-100),
        Change(None),
    ]
    row = first(made((("order", "placed", "TWD", ""), 4, 8), before=True)["orders"])
    assert (row["Orders"], row["Before"], row["Amount before"], row["Change"]) == (0, 4, Money(8, "TWD"), Change(-100))


def test_percentiles_are_those_of_all_providers_together_and_of_each() -> None:
    found = made(
        (("time", "1", "TWD", "kpay"), 98, 0),
        (("time", "60", "JPY", "stripe"), 1, 0),
        (("time", "inf", "TWD", "kpay"), 1, 0),
    )
    row = first(found["times"])
    assert [row[name] for name in ("Captures", "p50", "p95", "p99")] == [100, Within(1), Within(1), Within(60)]
    assert sum(row[1] for row in found["classes"].rows if isinstance(row[1], int)) == 100


def test_codes_above_the_limit_are_one_row() -> None:
    found = made(*((("decline", f"code{number:03}", "TWD", "kpay"), 1, 0) for number in range(MOST_CODES + 5)))
    rows = found["declines"].rows
    assert len(rows) == MOST_CODES + 1 and rows[-1][:2] == ("all others", 5)


def test_a_table_without_figures_is_left_out() -> None:
    assert made() == {}
    assert set(made((("alert", "RULE_A"), 1, 0))) == {"alerts"}


def test_a_chart_of_bars_has_the_highest_at_full_height_and_shows_small_ones() -> None:
    chart = columns("", [("", 1000, 500), ("", 1, 0), ("", 0, 0)], ("", "", ""), ("", ""))
    assert [(bar.height, bar.inner) for bar in chart.bars] == [(100.0, 50.0), (1.0, 0.0), (0.0, 0.0)]


def test_lengths_of_time_are_in_words() -> None:
    assert [span(one) for one in (0.25, 7.5, 45, 60, 90, 300, 3600, 86400)] == [
        *("0.25 s", "7.5 s", "45 s", "1 min", "90 s", "5 min", "1 h", "24 h")
    ]
