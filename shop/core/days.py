"""First moments of days in the shop's zone."""

from __future__ import annotations

from datetime import date, datetime, time
from zoneinfo import ZoneInfo


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of a day in `zone`."""
    return datetime.combine(day, time(), zone)
