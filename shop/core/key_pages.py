"""Pages of lists that are sorted by a text, such as an id or an SKU, in both directions; see `keyset` for times."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Select

from shop.core.errors import BadInput
from shop.core.keyset import PARAMETERS

_LONGEST = 64
Row = TypeVar("Row")


@dataclass(frozen=True)
class Place:
    """Place of a page: after a key, before one, or with `from_end` the last page; else the first."""

    after: str = ""
    before: str = ""
    from_end: bool = False

    @property
    def is_backwards(self) -> bool:
        """True if the rows are searched from the end of the page to its beginning."""
        return bool(self.before) or self.from_end

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> Place:
        """The place that the PARAMETERS of an address name; other parameters are ignored. Raises BadInput."""
        given = {name: parameters[name][:_LONGEST] for name in PARAMETERS if name in parameters}
        if len(given) > 1 or given.get("page", "last") != "last":
            raise BadInput("bad_position", "An address has one of after, before and page=last.")
        return cls(given.get("after", ""), given.get("before", ""), from_end="page" in given)


FIRST = Place()


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Rows in the order of the list. `previous` and `next` are the keys before and after which the neighbouring pages
    end and begin; empty where there is none.
    """

    rows: list[Row]
    previous: str = ""
    next: str = ""


def at(query: Select[Any], key: Any, place: Place, limit: int, *, descending: bool = False) -> Select[Any]:
    """The query for up to `limit + 1` rows at a place, in the direction of the search; `key` is the unique column."""
    if place.after:
        query = query.where(key < place.after if descending else key > place.after)
    if place.before:
        query = query.where(key > place.before if descending else key < place.before)
    return query.order_by(key.desc() if descending != place.is_backwards else key).limit(limit + 1)


def page(found: Sequence[Row], place: Place, limit: int, key: Callable[[Row], str]) -> Page[Row]:
    """The page of `limit` rows. `found` are those of a query as `at` makes it."""
    rows, has_more = list(found[:limit]), len(found) > limit
    if place.is_backwards:
        rows.reverse()
    has_previous = has_more if place.is_backwards else bool(place.after)
    has_next = bool(place.before) if place.is_backwards else has_more
    return Page(rows, key(rows[0]) if rows and has_previous else "", key(rows[-1]) if rows and has_next else "")
