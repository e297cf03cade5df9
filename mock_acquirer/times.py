"""Times and durations on the wire: RFC 3339 in UTC, and ISO 8601 durations such as PT15M."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

DURATION = re.compile(
    r"P(?:(?P<days>\d{1,5})D)?(?:T(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,7})M)?(?:(?P<seconds>\d{1,9}(?:\.\d{1,6})?)S)?)?"
)
LONGEST = timedelta(days=3660)


def wall_now() -> datetime:
    """The wall time, aware UTC. Signatures and leases use it; everything else uses the run's clock."""
    return datetime.fromtimestamp(time.time(), UTC)


def rfc3339(moment: datetime | None) -> str | None:
    """`2026-01-31T12:00:00.000Z`, or None."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_moment(value: object) -> datetime:
    """An RFC 3339 time with an offset, as aware UTC. Raises ValueError."""
    if not isinstance(value, str) or len(value) > 40 or "T" not in value:
        raise ValueError("not an RFC 3339 time")
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("the time has no offset")
    try:
        return moment.astimezone(UTC)
    except OverflowError as far:
        raise ValueError("the time is out of range") from far


def parse_duration(value: object) -> timedelta:
    """An ISO 8601 duration of days, hours, minutes and seconds, at most ten years. Raises ValueError."""
    match = DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None or not isinstance(value, str) or value.endswith(("P", "T")):
        raise ValueError("not an ISO 8601 duration such as PT15M")
    length = timedelta(**{unit: float(amount) for unit, amount in match.groupdict().items() if amount})
    if length > LONGEST:
        raise ValueError("the duration is longer than ten years")
    return length


def in_words(length: timedelta) -> str:
    """A duration in words: "1 day 15 min", "45 min", "31 s"."""
    seconds = round(length.total_seconds())
    parts = (("day", 86400), ("h", 3600), ("min", 60), ("s", 1))
    words = []
    for unit, size in parts:
        amount, seconds = divmod(seconds, size)
        if amount:
            words.append(f"{amount} {unit}{'s' if unit == 'day' and amount > 1 else ''}")
    return " ".join(words) or "0 s"
