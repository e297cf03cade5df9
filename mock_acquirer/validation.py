"""Validation of single input values, with messages that name the nearest known value.

A check returns the value of JSON or TOML that it is given, or raises ValueError with the end of a sentence that begins
with
the name of the key.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mock_acquirer.times import parse_duration, parse_moment

Check = Callable[[Any], Any]
LONGEST_TEXT = 2000


def nearest(word: object, known: Iterable[str]) -> str:
    """` Did you mean 'name'?`, or an empty string when no known value is similar."""
    found = difflib.get_close_matches(str(word)[:100].lower(), list(known), n=1, cutoff=0.5)
    return f" Did you mean {found[0]!r}?" if found else ""


def unknown(key: object, known: Iterable[str], where: str) -> str:
    """Error sentence about a key that `where` does not have."""
    names = list(known)
    has = f"Known keys: {', '.join(names)}." if names else "It has no keys."
    return f"{where} has no key {str(key)[:60]!r}.{nearest(key, names)} {has}"


def one_of(*choices: str) -> Check:
    def check(value: Any) -> str:
        word = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
        if word not in choices:
            raise ValueError(not_among(value, choices))
        return word

    return check


def not_among(value: Any, choices: Iterable[str], hint: str = "") -> str:
    """End of the error sentence about a value that is none of the choices."""
    known = list(choices)
    wrong = f"cannot be {value[:60]!r}" if isinstance(value, str) else "is invalid"
    return f"{wrong}.{hint or nearest(value, known)} It must be one of {', '.join(known)}"


def whole(least: int, most: int) -> Check:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return value

    return check


def share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and 0 <= value <= 1):
        raise ValueError("must be a number from 0 to 1")
    return float(value)


def yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def words(value: Any) -> str:
    """Check for printable text."""
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_TEXT or not value.isprintable():
        raise ValueError(f"must be printable text of 1 to {LONGEST_TEXT} characters")
    return value


def duration(value: Any) -> str:
    try:
        parse_duration(value)
    except ValueError as wrong:
        raise ValueError("must be an ISO 8601 duration such as PT30S") from wrong
    return str(value)


def duration_up_to(longest: str) -> Check:
    def check(value: Any) -> str:
        if parse_duration(duration(value)) > parse_duration(longest):
            raise ValueError(f"must be at most {longest}")
        return str(value)

    return check


def moment(value: Any) -> str:
    try:
        parse_moment(value)
    except (ValueError, OverflowError) as wrong:
        raise ValueError("must be an RFC 3339 time such as 2026-01-31T12:00:00Z") from wrong
    return str(value)


def list_of(check: Check) -> Check:
    """Check for a list whose values all pass `check`."""

    def check_all(value: Any) -> list[Any]:
        if not isinstance(value, list) or len(value) > 100:
            raise ValueError("must be a list")
        return [check(one) for one in value]

    return check_all


def counts_of(check: Check) -> Check:
    """Check for a table of whole numbers whose names all pass `check`."""

    def check_all(value: Any) -> dict[str, int]:
        if not isinstance(value, dict):
            raise ValueError('must be a table of numbers such as {"payment.captured": 1}')
        return {check(name): whole(0, 1_000_000)(number) for name, number in value.items()}

    return check_all


def sentence(name: str, wrong: ValueError) -> str:
    """Error sentence about the value of the key `name`."""
    return f"{name} {wrong}".rstrip(".") + "."


Fields = Mapping[str, Check]
