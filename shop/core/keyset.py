"""Keyset pages of lists that are sorted by time and id: the position of a row, the place of a page, and their text
forms in addresses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar

from shop.core.errors import BadInput

ON_A_PAGE = 25
"""Rows of a page of every list of the console (docs/decisions/0054)."""
PARAMETERS = ("after", "before", "page")
"""Parameters that choose a page: the position after which it begins or before which it ends, or `page=last`."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TEXT = re.compile(r"([0-9]{1,17})-(?:([0-9])-)?([0-9]{1,18})")
_NAMED = re.compile(r"([0-9]{1,17})-()([0-9A-Z]{20})")


@dataclass(frozen=True)
class Position:
    """Position of a row. `kind` is its table, in a list of several tables that is sorted by time, kind and id. The id
    is a number, or a text in lists that are `named` (see `ids`).
    """

    at: datetime
    id: Any
    kind: int = 0

    def __str__(self) -> str:
        kind = f"{self.kind}-" if self.kind else ""
        return f"{(self.at - _EPOCH) // timedelta(microseconds=1)}-{kind}{self.id}"

    @classmethod
    def parse(cls, text: str, *, named: bool = False) -> Position:
        """Read the text form. Raises BadInput."""
        found = (_NAMED if named else _TEXT).fullmatch(text)
        if found is None:
            raise BadInput("bad_position", "This address of a page is not complete. Go to the first page.")
        at = _EPOCH + timedelta(microseconds=int(found[1]))
        return cls(at, found[3] if named else int(found[3]), int(found[2] or 0))


@dataclass(frozen=True)
class Place:
    """Place of a page in the list: after a position, before one, or with `from_end` the last page; else the first."""

    after: Position | None = None
    before: Position | None = None
    from_end: bool = False

    @property
    def is_backwards(self) -> bool:
        """True if the rows are searched from the end of the page to its beginning."""
        return self.before is not None or self.from_end

    @property
    def beyond(self) -> Position | None:
        """The position at which the search begins."""
        return self.before or self.after

    @classmethod
    def parse(cls, parameters: Mapping[str, str], *, named: bool = False) -> Place:
        """The place that the PARAMETERS of an address name; other parameters are ignored. `named` as for positions.
        Raises BadInput.
        """
        given = {name: parameters[name] for name in PARAMETERS if name in parameters}
        if len(given) > 1 or given.get("page", "last") != "last":
            raise BadInput("bad_position", "An address has one of after, before and page=last.")
        positions = {name: Position.parse(value, named=named) for name, value in given.items() if name != "page"}
        return cls(positions.get("after"), positions.get("before"), from_end="page" in given)


FIRST = Place()


class Positioned(Protocol):
    """A row that knows its position."""

    @property
    def position(self) -> Position: ...


Row = TypeVar("Row", bound=Positioned)


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Rows, newest first. `newer` and `older` are the positions before and after which the neighbouring pages end and
    begin; None where there is none.
    """

    rows: list[Row]
    newer: Position | None = None
    older: Position | None = None


def page(found: Sequence[Row], place: Place, limit: int) -> Page[Row]:
    """The page of `limit` rows at a place. `found` are up to `limit + 1` rows in the direction of the search."""
    rows, has_more = list(found[:limit]), len(found) > limit
    if place.is_backwards:
        rows.reverse()
        newer_exist, older_exist = has_more, place.before is not None
    else:
        newer_exist, older_exist = place.after is not None, has_more
    newer = rows[0].position if rows and newer_exist else None
    return Page(rows, newer, rows[-1].position if rows and older_exist else None)
