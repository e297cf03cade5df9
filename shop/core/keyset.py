"""Keyset pages of lists that are sorted by time and id, the newest row first: positions, their text form in addresses,
and the pages before and after one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from shop.core.errors import BadInput

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TEXT = re.compile(r"([0-9]{1,17})-([0-9]{1,18})")
R = TypeVar("R")


@dataclass(frozen=True)
class Position:
    """Position of a row."""

    at: datetime
    id: int

    def __str__(self) -> str:
        return f"{(self.at - _EPOCH) // timedelta(microseconds=1)}-{self.id}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """Read the text form. Raises BadInput."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise BadInput("bad_position", "This address of a page is not complete. Go to the first page.")
        return cls(_EPOCH + timedelta(microseconds=int(found[1])), int(found[2]))


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

    def cut(self, found: Sequence[R], limit: int) -> tuple[list[R], bool, bool]:
        """The rows of a page, out of at most `limit` + 1 that were found in the direction of the search; true if there
        are newer rows, and true if there are older ones.
        """
        rows, has_more = list(found[:limit]), len(found) > limit
        if self.is_backwards:
            return rows[::-1], has_more, self.before is not None
        return rows, self.after is not None, has_more


FIRST = Place()
