"""Keyset pages: the position of a row in a list that is sorted by time and id, and its text form in addresses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shop.core.errors import BadInput

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TEXT = re.compile(r"([0-9]{1,17})-([0-9]{1,18})")


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
