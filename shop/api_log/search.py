"""Search of the log of API calls: filters and keyset pages in both directions, the newest first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import literal, select, tuple_

from shop.api_log.models import ApiCall
from shop.core import keyset
from shop.core.db import db
from shop.core.keyset import FIRST, ON_A_PAGE, Page, Place, Position


@dataclass(frozen=True)
class Filters:
    """Conditions that all have to hold; an empty one does not count. `status` is a status, or a class of statuses such
    as 4 for all from 400 to 499. `since` is the first moment, `until` the first one after the range.
    """

    method: str = ""
    route: str = ""
    status: int | None = None
    user_id: int | None = None
    key_id: int | None = None
    request_id: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Call:
    """A call, as the page shows it."""

    call: ApiCall

    @property
    def position(self) -> Position:
        return Position(self.call.at, self.call.id)


def find(filters: Filters = Filters(), place: Place = FIRST, *, limit: int = ON_A_PAGE) -> Page[Call]:
    """A page of the calls that match. One statement."""
    sorting = [column if place.is_backwards else column.desc() for column in (ApiCall.at, ApiCall.id)]
    query = select(ApiCall).where(*_conditions(filters, place)).order_by(*sorting).limit(limit + 1)
    return keyset.page([Call(row) for row in db.session.scalars(query)], place, limit)


def _conditions(filters: Filters, place: Place) -> list[Any]:
    of, status = ApiCall, filters.status
    of_status = None
    if status is not None:
        of_status = of.status.between(status * 100, status * 100 + 99) if status < 10 else of.status == status
    found = [
        of.method == filters.method if filters.method else None,
        of.route == filters.route if filters.route else None,
        of_status,
        of.user_id == filters.user_id if filters.user_id is not None else None,
        of.key_id == filters.key_id if filters.key_id is not None else None,
        of.request_id == filters.request_id if filters.request_id else None,
        of.at >= filters.since if filters.since else None,
        of.at < filters.until if filters.until else None,
        tuple_(of.at, of.id) < _tuple(place.after) if place.after else None,
        tuple_(of.at, of.id) > _tuple(place.before) if place.before else None,
    ]
    return [condition for condition in found if condition is not None]


def _tuple(position: Position) -> Any:
    return tuple_(literal(position.at, ApiCall.at.type), position.id)
