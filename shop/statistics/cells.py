"""Tables of statistics and the values in them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from shop.core.money import Money
from shop.statistics.charts import Columns, Shares


@dataclass(frozen=True)
class Percent:
    """A share in percent, None of nothing."""

    value: float | None


@dataclass(frozen=True)
class Within:
    """A time of at most so many seconds, None without times, infinite above the largest limit."""

    seconds: float | None


@dataclass(frozen=True)
class Change:
    """The change of a number in percent, None if the number before was zero."""

    percent: float | None


@dataclass(frozen=True)
class Name:
    """A stored name that is shown in words, such as a state. `kind` is the vocabulary: words, provider or code."""

    value: str
    kind: str = "words"


Cell = int | date | str | Money | Percent | Within | Change | Name
Column = tuple[str, str]
"""Heading and class of a column; `amount` is that of numbers."""


@dataclass(frozen=True)
class Table:
    """A table with its sentence and its charts. `key` is its name in addresses and in the API."""

    key: str
    title: str
    sentence: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    charts: tuple[Columns, ...] = ()
    shares: Shares | None = None
