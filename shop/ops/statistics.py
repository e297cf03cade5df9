"""Statistics: tables and charts of a period, beside the one before, and each table as a CSV file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

from flask import Blueprint, Response, redirect, render_template
from flask.typing import ResponseReturnValue

from shop.accounts.permissions import Permission
from shop.core import csv_cells
from shop.core.errors import BadInput
from shop.core.money import CURRENCIES, MINUS, Money
from shop.http_kit.access import requires
from shop.ops import lists
from shop.ops.formats import words, zone
from shop.ops.navigation import Group, Link
from shop.payments.providers import registry
from shop.statistics import periods, report
from shop.statistics.cells import Cell, Change, Name, Percent, Table, Within
from shop.statistics.periods import Question
from shop.statistics.sums import Sums
from shop.statistics.tables import span, tables

bp = Blueprint("statistics", __name__)
LINKS = (Link("Statistics", "ops.statistics.index", Permission.STATISTICS_READ, Group.MONEY),)
HERE = "ops.statistics.index"
PERIODS = {"today": "Today", "7": "7 days", "30": "30 days", "90": "90 days"}
TABLE = "table"
"""Parameter of the address of a CSV file."""


@bp.get("/statistics")
@requires(Permission.STATISTICS_READ)
def index() -> ResponseReturnValue:
    """Figures of the period in the address; without one, of the last 30 days."""
    given = lists.given()
    question = periods.parse(given, report.today(), registry.all_providers())
    if any(value == "" for values in given.values() for value in values):
        return redirect(lists.address(HERE, question.pairs()), 303)
    found = report.report(question)
    return render_template(
        "ops/statistics.html",
        question=question,
        found=found,
        tables=tables(question, Sums(found.rows)),
        is_new=found.is_new,
        zone=zone().key,
        choices=_choices(question),
        csv=lambda table: lists.address("ops.statistics.download", [(TABLE, table.key), *question.pairs()]),
        lines=_lines,
        shown=shown,
    )


def _lines(table: Table) -> Iterator[tuple[str, Iterable[tuple[str, str, str]]]]:
    """Each row of a table: its heading, and (text, heading, class) of its other cells."""
    headings = [(heading, kind) for heading, kind in table.columns[1:]]
    for row in table.rows:
        first, *others = map(shown, row)
        yield first, [(text, *column) for text, column in zip(others, headings, strict=True)]


@bp.get("/statistics/csv")
@requires(Permission.STATISTICS_READ)
def download() -> ResponseReturnValue:
    """A table as a CSV file, with amounts as decimal numbers of their currency and times in seconds."""
    given = dict(lists.given())
    wanted = given.pop(TABLE, [])
    question = periods.parse(given, report.today(), registry.all_providers())
    found = tables(question, Sums(report.report(question).rows))
    by_key = {table.key: table for table in found}
    if len(wanted) != 1 or wanted[0] not in by_key:
        known = f"Tables are {', '.join(by_key)}." if by_key else "The period has none."
        raise BadInput("bad_filter", f"There is no table {(wanted or [''])[0][:40]!r} in this period. {known}")
    return _file(by_key[wanted[0]], question)


def _file(table: Table, question: Question) -> Response:
    lines = csv_cells.lines(
        [[heading for heading, _ in table.columns], *([plain(cell) for cell in row] for row in table.rows)]
    )
    name = f"{table.key}-{question.first}-{question.last}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(csv_cells.BYTE_ORDER_MARK + lines, mimetype="text/csv", headers=headers)


def _choices(question: Question) -> list[tuple[str, list[tuple[str, str, bool]]]]:
    """(label, (text, address, chosen)) of the periods, currencies and providers."""
    left = [pair for pair in question.pairs() if pair[0] not in ("period", "from", "to")]
    usual = [(text, [("period", name), *left], name == question.period) for name, text in PERIODS.items()]
    found = [("Period", [(text, lists.address(HERE, pairs), chosen) for text, pairs, chosen in usual])]
    providers = {name: registry.label(name) for name in sorted(registry.all_providers())}
    for name, label, values, chosen in (
        ("currency", "Currency", {one: one for one in CURRENCIES}, question.currency),
        ("provider", "Provider", providers, question.provider),
    ):
        others = [pair for pair in question.pairs() if pair[0] != name]
        every = [("All", others, not chosen)]
        every += [(text, [*others, (name, value)], value == chosen) for value, text in values.items()]
        found.append((label, [(text, lists.address(HERE, pairs), is_it) for text, pairs, is_it in every]))
    return found


def shown(cell: Cell) -> str:
    """A cell as text for people."""
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, Money):
        return cell.with_code()
    if isinstance(cell, Percent):
        return "–" if cell.value is None else f"{cell.value:g} %"
    if isinstance(cell, Within):
        return _time(cell.seconds)
    if isinstance(cell, Change):
        return "–" if cell.percent is None else f"{cell.percent:+,.0f} %".replace("+0 ", "0 ").replace("-", MINUS)
    if isinstance(cell, Name):
        return {"provider": registry.label, "words": words}.get(cell.kind, str)(cell.value)
    return str(cell)


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return "over 1 day" if seconds == float("inf") else f"≤ {span(seconds)}"


def plain(cell: Cell) -> object:
    """A cell as a value of a CSV file."""
    if isinstance(cell, Money):
        return cell.decimal()
    if isinstance(cell, Percent):
        return cell.value
    if isinstance(cell, Within):
        return "over 86400" if cell.seconds == float("inf") else cell.seconds
    if isinstance(cell, Change):
        return cell.percent
    if isinstance(cell, Name):
        return cell.value
    return cell.isoformat() if isinstance(cell, date) else cell
