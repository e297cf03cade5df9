"""State of a settlement day: amounts paid out to us, fees, and open discrepancies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import func, select

from shop.core.db import db
from shop.core.money import Money
from shop.ledger import book, chart
from shop.orders.models import Order
from shop.payments.providers import registry
from shop.payments.records.settlement_models import Discrepancy, SettlementLineRow
from shop.payments.settlement.discrepancies import CAUSES


@dataclass(frozen=True)
class Sum:
    """The lines of a day in one currency: their number, gross amount and fees."""

    lines: int
    gross: Money
    fees: Money

    @property
    def handed_over(self) -> Money:
        """The amount paid out to us."""
        return self.gross + self.fees * -1


@dataclass(frozen=True)
class Total(Sum):
    """The same with `owed`, the current balance of the receivable over all days."""

    owed: Money


@dataclass(frozen=True)
class Difference:
    """An open discrepancy for display; `ours` and `theirs` are None on a side without an amount."""

    cause: str
    about: str
    order_number: str | None
    ours: Money | None
    theirs: Money | None

    @property
    def description(self) -> str:
        """Description in one line."""
        sides = [f"{who} {money.with_code()}" for who, money in (("ours", self.ours), ("theirs", self.theirs)) if money]
        order = f", order {self.order_number}" if self.order_number else ""
        return f"{self.cause.replace('_', ' ')}: {CAUSES[self.cause]} ({self.about}{order}: {', '.join(sides)})"


@dataclass(frozen=True)
class Day:
    """A provider's business day according to the files received so far."""

    provider: str
    day: date
    totals: list[Total]
    differences: list[Difference]

    def as_json(self) -> dict[str, Any]:
        """Amounts in minor units."""
        return {
            "provider": self.provider,
            "day": self.day.isoformat(),
            "totals": [
                {
                    "currency": total.gross.currency,
                    "lines": total.lines,
                    "gross": total.gross.amount,
                    "fees": total.fees.amount,
                    "handed_over": total.handed_over.amount,
                    "owed": total.owed.amount,
                }
                for total in self.totals
            ],
            "discrepancies": [
                {
                    "cause": one.cause,
                    "about": one.about,
                    "order": one.order_number,
                    "ours": one.ours and one.ours.amount,
                    "theirs": one.theirs and one.theirs.amount,
                    "currency": (one.ours or one.theirs or Money(0, "TWD")).currency,
                }
                for one in self.differences
            ],
        }

    def as_lines(self) -> Iterator[str]:
        """Lines of text for display."""
        label, open_ones = registry.label(self.provider), len(self.differences)
        many = f"{open_ones} discrepanc{'y' if open_ones == 1 else 'ies'}"
        yield f"{label}, {self.day}: {many if open_ones else 'agrees'}"
        for total in self.totals:
            yield (
                f"  {_lines(total.lines)}, {total.gross.with_code()} taken, {total.fees.with_code()} kept as fees, "
                f"{total.handed_over.with_code()} handed over; {total.owed.with_code()} still owed in all"
            )
        for one in self.differences:
            yield f"  {one.description}"


def _lines(number: int) -> str:
    return f"{number} line{'' if number == 1 else 's'}"


def of_day(provider: str, day: date) -> Day:
    """Current state of a provider's business day."""
    account = chart.receivable(provider)
    totals = [
        Total(one.lines, one.gross, one.fees, book.balance(account, one.gross.currency)) for one in sums(provider, day)
    ]
    found = db.session.execute(
        select(Discrepancy, Order.number)
        .outerjoin(Order, Order.id == Discrepancy.order_id)
        .where(Discrepancy.provider == provider, Discrepancy.day == day, Discrepancy.closed_at.is_(None))
        .order_by(Discrepancy.cause, Discrepancy.about)
    ).all()
    differences = [_difference(row, number) for row, number in found]
    db.session.rollback()
    return Day(provider, day, totals, differences)


def sums(provider: str, day: date) -> list[Sum]:
    """The settled lines of a day, by currency. One statement."""
    rows = db.session.execute(
        select(
            SettlementLineRow.currency,
            func.count().label("lines"),
            func.sum(SettlementLineRow.amount).label("gross"),
            func.sum(SettlementLineRow.fee).label("fees"),
        )
        .where(SettlementLineRow.provider == provider, SettlementLineRow.day == day)
        .group_by(SettlementLineRow.currency)
        .order_by(SettlementLineRow.currency)
    )
    return [Sum(row.lines, Money(int(row.gross), row.currency), Money(int(row.fees), row.currency)) for row in rows]


def _difference(row: Discrepancy, number: str | None) -> Difference:
    ours, theirs = (None if side is None else Money(side, row.currency) for side in (row.ours, row.theirs))
    return Difference(row.cause, row.about, number, ours, theirs)
