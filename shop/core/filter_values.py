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


def given(parameters: Mapping[str, Iterable[str]], names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The values of each filter of `names`, without empty and repeated ones. Raises BadInput `unknown_filter`."""
    if unknown := [name for name in parameters if name not in names]:
        raise BadInput("unknown_filter", f"There is no filter {unknown[0][:40]!r}. Filters are {', '.join(names)}.")
    return {name: tuple(dict.fromkeys(value for value in parameters.get(name, ()) if value)) for name in names}


def known(name: str, values: Sequence[str], choices: Sequence[str]) -> tuple[str, ...]:
    """The values of a filter. Raises BadInput `bad_filter` for one that is not among the choices."""
    if unknown := [value for value in values if value not in choices]:
        message = f"The filter {name} has no value {unknown[0][:40]!r}. Values are {', '.join(choices)}."
        raise BadInput("bad_filter", message)
    return tuple(values)


def members(name: str, values: Sequence[str], choices: Sequence[E]) -> tuple[E, ...]:
    """As `known`, as members of an enumeration."""
    chosen = known(name, values, choices)
    return tuple(one for one in choices if one in chosen)


def ids(name: str, values: Sequence[str]) -> tuple[str, ...]:
    """The values of a filter by id. Raises BadInput `bad_filter` for a text that can be no id."""
    if any(len(value) > LONGEST or text.is_unusable(value) for value in values):
        raise BadInput("bad_filter", f"The filter {name} needs an id of at most {LONGEST} characters.")
    return tuple(value.strip() for value in values)


def day(name: str, values: Sequence[str]) -> date | None:
    """The single day of a filter, such as 2026-12-24. Raises BadInput `bad_filter`."""
    if len(values) > 1:
        raise BadInput("bad_filter", f"The filter {name} takes one value.")
    try:
        found = date.fromisoformat(values[0]) if values else None
    except ValueError:
        found = date.min
    if found and found.year not in _YEARS:
        raise BadInput("bad_filter", f"The filter {name} needs a day, such as 2026-12-24.")
    return found
