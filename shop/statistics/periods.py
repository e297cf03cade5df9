"""Periods and filters of statistics, as parameters of an address. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from shop.core import filter_values
from shop.core.errors import BadInput
from shop.core.money import CURRENCIES

PERIODS = {"today": 1, "7": 7, "30": 30, "90": 90}
"""Days of the periods that end today, by their names."""
USUAL = "30"
LONGEST = 366
"""Days of a period."""
NAMES = ("period", "from", "to", "currency", "provider")


@dataclass(frozen=True)
class Question:
    """The days from `first` to `last`, both included, of the shop's zone. `period` is the name of a usual period. An
    empty currency or provider stands for all.
    """

    first: date
    last: date
    period: str = ""
    currency: str = ""
    provider: str = ""

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def before(self) -> tuple[date, date]:
        """First and last day of the period before, which is as long."""
        return self.first - timedelta(days=self.days), self.first - timedelta(days=1)

    def pairs(self) -> list[tuple[str, str]]:
        """The question as parameters of an address."""
        named: dict[str, object] = {"period": self.period} if self.period else {"from": self.first, "to": self.last}
        return filter_values.pairs(named | {"currency": self.currency or None, "provider": self.provider or None})


def parse(given: Mapping[str, Iterable[str]], today: date, providers: Collection[str]) -> Question:
    """The question in the parameters of an address; without a period, that of the last 30 days.

    Raises BadInput `unknown_filter` and `bad_filter`, which list what is known.
    """
    values = filter_values.given(given, NAMES)
    currency = filter_values.single("currency", filter_values.known("currency", values["currency"], CURRENCIES))
    known = filter_values.known("provider", values["provider"], sorted(providers))
    period, first, last = _days(values, today)
    return Question(first, last, period, currency or "", filter_values.single("provider", known) or "")


def _days(values: Mapping[str, tuple[str, ...]], today: date) -> tuple[str, date, date]:
    """Name of the period, or an empty one, its first and its last day."""
    period = filter_values.single("period", filter_values.known("period", values["period"], tuple(PERIODS)))
    first, last = filter_values.days(values)
    if first is None and last is None:
        period = period or USUAL
        return period, today - timedelta(days=PERIODS[period] - 1), today
    if period:
        raise BadInput("bad_filter", "Choose a period, or the days from and to, not both.")
    if first is None:
        raise BadInput("bad_filter", "The filter to needs a first day (from), such as 2026-12-24.")
    last = last or max(first, today)
    if (last - first).days >= LONGEST:
        raise BadInput("bad_filter", f"A period has at most {LONGEST} days. Choose a later first day (from).")
    return "", first, last
