"""Sums of the rows of a report, by parts of their figures. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from shop.statistics.decide import NONE, Figure, Sum
from shop.statistics.rows import Row

Key = tuple[str, ...]
"""Values of the parts of a figure by which is grouped."""


class Counted(dict[Key, Sum]):
    """Sums by key; that of another key is zero."""

    def __missing__(self, key: Key) -> Sum:
        return NONE


class Sums:
    """The sums of a period (`now`) and of the one before, by figure, and those of days.

    Amounts are added only where the currency is among the parts by which is grouped.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        self._now: dict[Figure, Sum] = defaultdict(lambda: NONE)
        self._before: dict[Figure, Sum] = defaultdict(lambda: NONE)
        self._days: dict[tuple[date, str, str, str], Sum] = defaultdict(lambda: NONE)
        for day, is_before, figure, sums in rows:
            into = self._before if is_before else self._now
            into[figure] = into[figure].plus(sums)
            if day is not None:
                key = (day, figure.subject, figure.state, figure.currency)
                self._days[key] = self._days[key].plus(sums)

    def grouped(self, subject: str, *parts: str) -> tuple[Counted, Counted]:
        """The sums of a subject in the period and in the one before, by these parts of the figure."""
        return _grouped(self._now, subject, parts), _grouped(self._before, subject, parts)

    def figures(self) -> list[tuple[Figure, Sum, Sum]]:
        """Every figure with its sums in the period and in the one before, sorted."""
        every = sorted({*self._now, *self._before})
        return [(figure, self._now.get(figure, NONE), self._before.get(figure, NONE)) for figure in every]

    def of_day(self, day: date, subject: str, state: str, currency: str) -> Sum:
        """The sum of a charted figure on a day."""
        return self._days.get((day, subject, state, currency), NONE)

    def currencies(self) -> list[str]:
        """Currencies in the period or in the one before, sorted."""
        return sorted({figure.currency for figure in (*self._now, *self._before)} - {""})


def _grouped(found: Mapping[Figure, Sum], subject: str, parts: Sequence[str]) -> Counted:
    has_amounts = "currency" in parts
    grouped = Counted()
    for figure, sums in found.items():
        if figure.subject == subject:
            key = tuple(getattr(figure, part) for part in parts)
            grouped[key] = grouped[key].plus(sums if has_amounts else Sum(sums.number))
    return grouped
