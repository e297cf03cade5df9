"""Days that staff type as filters, and their first moment in the shop's zone."""

from __future__ import annotations

from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from shop.core.errors import BadInput

_YEARS = range(2000, 2101)


def parse(typed: str, name: str) -> date:
    """The day in the format 2026-12-24. Raises BadInput with the filter's `name`."""
    try:
        day = date.fromisoformat(typed)
    except ValueError:
        day = date.min
    if day.year not in _YEARS:
        raise BadInput("bad_filter", f"The filter {name} needs a day, such as 2026-12-24.")
    return day


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of a day in `zone`."""
    return datetime.combine(day, time(), zone)
