"""ISO 8601 durations."""

from __future__ import annotations

import re
from datetime import timedelta

LONGEST = timedelta(days=3660)
_DURATION = re.compile(
    r"P(?=[\dT])(?:(?P<weeks>\d{1,4})W|(?:(?P<days>\d{1,5})D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,8})M)?(?:(?P<seconds>\d{1,9}(?:\.\d{1,6})?)S)?)?)",
    re.ASCII,
)


def parse(text: str) -> timedelta:
    """Parse a duration such as `PT35M`, `P1DT2H` or `P2W`. Months and years have no fixed length and are refused.

    Raises ValueError for anything else and for more than ten years.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("A duration looks like PT35M, PT1H30M, P1DT2H or P2W.")
    length = timedelta(**{unit: float(value) for unit, value in match.groupdict().items() if value})
    if length > LONGEST:
        raise ValueError("A duration cannot be longer than ten years.")
    return length
