"""Row of a report. Pure."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from shop.statistics.decide import Figure, Sum


class Row(NamedTuple):
    """A figure of the period, or of the one before. `day` is given for figures of the period that are charted."""

    day: date | None
    is_before: bool
    figure: Figure
    sums: Sum
