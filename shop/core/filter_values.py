"""Values of filters in addresses: unknown names and values are refused with the list of the known ones. Pure.

A mistyped filter that was ignored would show a longer list than was asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from enum import StrEnum
from typing import TypeVar

from shop.core import text
from shop.core.errors import BadInput

E = TypeVar("E", bound=StrEnum)
LONGEST = 200
_YEARS = range(2000, 2101)


def refuse_unknown(parameters: Iterable[str], names: Sequence[str], noun: str = "filter") -> None:
    """Raise BadInput `unknown_filter`, with the known names, unless all names of parameters are among them."""
    if unknown := sorted(set(parameters) - set(names)):
        listed = {0: f"This page has no {noun}s.", 1: f"The only one is {', '.join(names)}."}
        known_ones = listed.get(len(names), f"{noun.capitalize()}s are {', '.join(names)}.")
        raise BadInput("unknown_filter", f"There is no {noun} {unknown[0][:40]!r}. {known_ones}")


def given(parameters: Mapping[str, Iterable[str]], names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The values of each filter of `names`, without empty and repeated ones. Raises BadInput `unknown_filter`."""
    refuse_unknown(parameters, names)
    return {name: tuple(dict.fromkeys(value for value in parameters.get(name, ()) if value)) for name in names}


def known(name: str, values: Sequence[str], choices: Sequence[str]) -> tuple[str, ...]:
    """The values of a filter. Raises BadInput `bad_filter` for one that is not among the choices."""
    if unknown := [value for value in values if value not in choices]:
        message = f"The filter {name} has no value {unknown[0][:40]!r}. Values are {', '.join(choices)}."
        raise BadInput("bad_filter", message)
    return tuple(values)


def members(name: str, values: Sequence[str], choices: Iterable[E]) -> tuple[E, ...]:
    """As `known`, as members of an enumeration."""
    by_value = {str(one): one for one in choices}
    return tuple(by_value[value] for value in known(name, values, tuple(by_value)))


def ids(name: str, values: Sequence[str]) -> tuple[str, ...]:
    """The values of a filter by id. Raises BadInput `bad_filter` for a text that can be no id."""
    if any(len(value) > LONGEST or text.is_unusable(value) for value in values):
        raise BadInput("bad_filter", f"The filter {name} needs an id of at most {LONGEST} characters.")
    return tuple(value.strip() for value in values)


def single(name: str, values: Sequence[str]) -> str | None:
    """The only value of a filter, or None. Raises BadInput `bad_filter` for several."""
    if len(values) > 1:
        raise BadInput("bad_filter", f"The filter {name} takes one value.")
    return values[0] if values else None


def days(values: Mapping[str, Sequence[str]]) -> tuple[date | None, date | None]:
    """The days of the filters `from` and `to`, such as 2026-12-24. Raises BadInput `bad_filter`."""
    first, last = _day("from", values["from"]), _day("to", values["to"])
    if first and last and first > last:
        raise BadInput("bad_filter", "The first day (from) is after the last one (to).")
    return first, last


def pairs(filters: Mapping[str, object]) -> list[tuple[str, str]]:
    """Parameters of an address, in the order of `filters`. A filter has a value, a tuple of values, or None."""
    found: list[tuple[str, str]] = []
    for name, value in filters.items():
        several = value if isinstance(value, tuple) else () if value is None else (value,)
        found += [(name, str(one)) for one in several]
    return found


def day(name: str, typed: str) -> date:
    """The day in the format 2026-12-24. Raises BadInput with the filter's `name`."""
    try:
        found = date.fromisoformat(typed)
    except ValueError:
        found = date.min
    if found.year not in _YEARS:
        raise BadInput("bad_filter", f"The filter {name} needs a day, such as 2026-12-24.")
    return found


def _day(name: str, values: Sequence[str]) -> date | None:
    typed = single(name, values)
    return day(name, typed) if typed else None
