"""Endpoints, deliveries and events for the pages of staff and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Row, ScalarSelect, Select, func, literal, select, tuple_

from shop.core import keyset
from shop.core.db import db
from shop.core.keyset import ON_A_PAGE, Page, Place, Position
from shop.outgoing_webhooks.endpoints import IS_PRESENT, MOST
from shop.outgoing_webhooks.kinds import TEST, DeliveryState
from shop.outgoing_webhooks.models import DeliveryAttempt, OutgoingEvent, WebhookDelivery, WebhookEndpoint

COUNTED = 10_000
"""Deliveries of each state are counted up to this number."""
ATTEMPTS = 100
"""Newest attempts of a delivery that are listed."""


@dataclass(frozen=True)
class Listed:
    """An endpoint with the number of its queued and failed deliveries, each at most COUNTED + 1."""

    endpoint: WebhookEndpoint
    queued: int
    failed: int


@dataclass(frozen=True)
class DeliveryRow:
    """A delivery with the id and the type of its event."""

    delivery: WebhookDelivery
    event_id: str
    type: str
    occurred_at: datetime

    @property
    def position(self) -> Position:
        return Position(self.occurred_at, self.delivery.id)


def all_endpoints() -> list[Listed]:
    """The present endpoints, oldest first. One statement."""
    counts = [_count(state) for state in (DeliveryState.QUEUED, DeliveryState.FAILED)]
    query = select(WebhookEndpoint, *counts).where(IS_PRESENT).order_by(WebhookEndpoint.id).limit(MOST)
    return [_listed(row) for row in db.session.execute(query)]


def endpoint(endpoint_id: str) -> Listed | None:
    """One present endpoint. One statement."""
    counts = [_count(state) for state in (DeliveryState.QUEUED, DeliveryState.FAILED)]
    this = select(WebhookEndpoint, *counts).where(WebhookEndpoint.id == endpoint_id, IS_PRESENT)
    row = db.session.execute(this).one_or_none()
    return _listed(row) if row else None


def deliveries(
    endpoint_id: str, *, state: DeliveryState | None = None, place: Place = keyset.FIRST, limit: int = ON_A_PAGE
) -> Page[DeliveryRow]:
    """A page of the deliveries to an endpoint, newest first, by their numbers. One statement."""
    of, query = WebhookDelivery, _deliveries().where(WebhookDelivery.endpoint_id == endpoint_id)
    query = query.where(of.state == state) if state else query
    query = query.where(of.id < literal(place.after.id, BigInteger)) if place.after else query
    query = query.where(of.id > literal(place.before.id, BigInteger)) if place.before else query
    rows = db.session.execute(query.order_by(of.id if place.is_backwards else of.id.desc()).limit(limit + 1))
    return keyset.page([_row(row) for row in rows], place, limit)


def page_of_deliveries(
    endpoint_id: str, state: DeliveryState | None, *, offset: int, before: int | None, limit: int
) -> tuple[list[DeliveryRow], int]:
    """A page of deliveries for programs, newest first: those after `offset`, or with numbers less than `before`; one
    more than `limit` if others follow. Also their number, at most COUNTED + 1.
    """
    which = [WebhookDelivery.endpoint_id == endpoint_id, *([WebhookDelivery.state == state] if state else [])]
    some = select(WebhookDelivery.id).where(*which).limit(COUNTED + 1).subquery()
    total = db.session.scalar(select(func.count()).select_from(some)) or 0
    query = _deliveries().where(*which).order_by(WebhookDelivery.id.desc())
    query = query.offset(offset) if before is None else query.where(_older(before))
    return [_row(row) for row in db.session.execute(query.limit(limit + 1))], total


def delivery(endpoint_id: str, delivery_id: int) -> DeliveryRow | None:
    """One delivery to an endpoint."""
    this = (WebhookDelivery.endpoint_id == endpoint_id, WebhookDelivery.id == delivery_id)
    row = db.session.execute(_deliveries().where(*this)).one_or_none()
    return _row(row) if row else None


def attempts(delivery_id: int) -> list[DeliveryAttempt]:
    """The newest attempts at a delivery, newest first."""
    mine = select(DeliveryAttempt).where(DeliveryAttempt.delivery_id == delivery_id)
    return list(db.session.scalars(mine.order_by(DeliveryAttempt.id.desc()).limit(ATTEMPTS)))


def body(event: int) -> str:
    """The body of an event by our number of it."""
    return db.session.scalars(select(OutgoingEvent.body).where(OutgoingEvent.id == event)).one()


def events(
    since: datetime, *, type_: str = "", after: tuple[datetime, int] | None = None, limit: int = 100
) -> list[OutgoingEvent]:
    """Events since a time, oldest first, without test events; of one type, if given. `after` is time and number of the
    last one of the page before.
    """
    query = select(OutgoingEvent).where(OutgoingEvent.occurred_at >= since, OutgoingEvent.type != TEST)
    query = query.where(OutgoingEvent.type == type_) if type_ else query
    if after is not None:
        query = query.where(tuple_(OutgoingEvent.occurred_at, OutgoingEvent.id) > tuple_(*after))
    return list(db.session.scalars(query.order_by(OutgoingEvent.occurred_at, OutgoingEvent.id).limit(limit)))


def _older(before: int) -> ColumnElement[bool]:
    """The condition for deliveries with smaller numbers. A made-up one may be larger than those of the database."""
    return WebhookDelivery.id < literal(before, BigInteger)


def _listed(row: Sequence[Any]) -> Listed:
    return Listed(row[0], row[1], row[2])


def _row(row: Row[WebhookDelivery, str, str, datetime]) -> DeliveryRow:
    return DeliveryRow(row[0], row[1], row[2], row[3])


def _deliveries() -> Select[WebhookDelivery, str, str, datetime]:
    columns = (WebhookDelivery, OutgoingEvent.event_id, OutgoingEvent.type, OutgoingEvent.occurred_at)
    return select(*columns).join(OutgoingEvent, OutgoingEvent.id == WebhookDelivery.event_id)


def _count(state: DeliveryState) -> ScalarSelect[int]:
    mine = select(WebhookDelivery.id).where(
        WebhookDelivery.endpoint_id == WebhookEndpoint.id, WebhookDelivery.state == state
    )
    some = mine.limit(COUNTED + 1).correlate(WebhookEndpoint).subquery()
    return select(func.count()).select_from(some).scalar_subquery()
