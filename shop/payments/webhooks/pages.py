"""Keyset pages of the webhook inbox, the newest first, in both directions: stored and refused webhooks together.

Statements are kept by all on which they depend: to make one takes longer than most of the queries.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Subquery,
    and_,
    bindparam,
    func,
    join,
    literal,
    select,
    tuple_,
    union_all,
)

from shop.core import keyset
from shop.core.db import db
from shop.core.keyset import ON_A_PAGE, Page, Place, Position
from shop.orders.models import Order
from shop.payments.providers import registry
from shop.payments.providers.types import Outcome, Trust
from shop.payments.records.models import Payment, RefusedWebhook, WebhookEventRow
from shop.payments.webhooks import conditions, content
from shop.payments.webhooks import filters as filters_of
from shop.payments.webhooks.filters import Filters, State

COUNTED, CHECKED = 10_000, 1000
"""Webhooks are counted up to this number; up to CHECKED where their rows, which hold the bodies, are read one by one:
with several filters, and for the applied ones, which are most.
"""
_KEPT = 128
"""Statements that are kept."""
STORED, REFUSED = 0, 1


@dataclass(frozen=True)
class Row:
    """A webhook in the list. A refused one has no trust, payment or attempts; `reason` says why it was refused.

    `payment` is the payment id that a stored one names, and `order_number` the order of that payment, if it exists.
    `summary` is what it reports; it is empty for a refused one, whose content is not trusted.
    """

    position: Position
    provider: str
    outcome: Outcome | None
    state: State
    reason: str = ""
    trust: Trust | None = None
    summary: str = ""
    event_id: str = ""
    payment: str | None = None
    order_number: str | None = None
    repeats: int = 0
    attempts: int = 0
    next_attempt: datetime | None = None
    error: str | None = None
    not_ours: str | None = None
    took_ms: int | None = None

    @property
    def key(self) -> str:
        """The id in addresses: that of a stored webhook is a number, that of a refused one `refused-` and a number."""
        return f"refused-{self.position.id}" if self.position.kind == REFUSED else str(self.position.id)

    @property
    def received_at(self) -> datetime:
        return self.position.at


def find(filters: Filters, zone: ZoneInfo, place: Place = keyset.FIRST, *, limit: int = ON_A_PAGE) -> Page[Row]:
    """A page of the webhooks that match. One statement."""
    if not _kinds(filters):
        return Page([])
    beyond = place.beyond
    query = _page(filters, zone, place.is_backwards, beyond.kind if beyond else None, limit + 1, _known())
    position = {"beyond_at": beyond.at, "beyond_id": beyond.id} if beyond else {}
    found = db.session.execute(query, position).mappings().all()
    return keyset.page([_row(dict(one)) for one in found], place, limit)


def most_counted(filters: Filters) -> int:
    """The number up to which webhooks with these filters are counted."""
    are_indexed = len({name for name, _ in filters_of.pairs(filters)}) < 2 and Outcome.APPLIED not in filters.outcomes
    return COUNTED if are_indexed else CHECKED


def count(filters: Filters, zone: ZoneInfo) -> int:
    """The number of webhooks that match, counted up to `most_counted` + 1. One statement."""
    if not _kinds(filters):
        return 0
    most = most_counted(filters) + 1
    return min(sum(db.session.execute(_counted(filters, zone, most, _known())).one()), most)


def _known() -> tuple[object, ...]:
    """The database, the providers, and the number of bodies that are searched: conditions depend on them."""
    return db.engine.dialect.name, conditions.SEARCHED, *registry.all_providers()


@lru_cache(maxsize=_KEPT)
def _counted(filters: Filters, zone: ZoneInfo, most: int, _known: tuple[object, ...]) -> Select[Any]:
    parts = []
    for kind in _kinds(filters):
        row = _table(kind)
        matching = select(row.id).where(*_conditions(kind, filters, zone)).limit(most)
        if Outcome.APPLIED in filters.outcomes:  # along the index by time: the oldest rows may be others
            matching = matching.order_by(row.received_at.desc(), row.id.desc())
        parts.append(matching.subquery())
    return select(*(select(func.count()).select_from(part).scalar_subquery() for part in parts))


@lru_cache(maxsize=_KEPT)
def _page(
    filters: Filters, zone: ZoneInfo, backwards: bool, beyond: int | None, limit: int, _known: tuple[object, ...]
) -> Select[Any]:
    """Select the rows of a page. `beyond` is the kind of the position at which the search begins."""
    parts = [_part(kind, filters, zone, backwards, beyond, limit) for kind in _kinds(filters)]
    matching = union_all(*(select(part) for part in parts)).subquery("matching")
    return _with_columns(matching, backwards, limit)


def _kinds(filters: Filters) -> list[int]:
    included = {STORED: filters.include_stored, REFUSED: filters.include_refused}
    return [kind for kind, is_included in included.items() if is_included]


def _table(kind: int) -> Any:
    return RefusedWebhook if kind == REFUSED else WebhookEventRow


def _conditions(kind: int, filters: Filters, zone: ZoneInfo) -> list[ColumnElement[bool]]:
    return conditions.of_refused(filters, zone) if kind == REFUSED else conditions.of_stored(filters, zone)


def _part(kind: int, filters: Filters, zone: ZoneInfo, backwards: bool, beyond: int | None, limit: int) -> Subquery:
    """Position of the first `limit` webhooks of one kind from the position on, in the direction of the search."""
    row = _table(kind)
    which = _conditions(kind, filters, zone)
    if beyond is not None:
        which.append(_beyond(row, kind, beyond, backwards))
    columns = (literal(kind, literal_execute=True).label("kind"), row.id.label("id"), row.received_at.label("at"))
    order = (row.received_at, row.id) if backwards else (row.received_at.desc(), row.id.desc())
    return select(*columns).where(*which).order_by(*order).limit(limit).subquery()


def _beyond(row: Any, kind: int, beyond: int, backwards: bool) -> Any:
    """The position of the row is before or after the one of the kind `beyond`, in the order of time, kind and id."""
    at = bindparam("beyond_at", type_=row.received_at.type)
    if kind == beyond:
        mine, theirs = tuple_(row.received_at, row.id), tuple_(at, bindparam("beyond_id", type_=BigInteger()))
        bound = row.received_at >= at if backwards else row.received_at <= at  # for indexes without the id
        return and_(bound, mine > theirs if backwards else mine < theirs)
    if backwards:
        return row.received_at >= at if kind > beyond else row.received_at > at
    return row.received_at <= at if kind < beyond else row.received_at < at


def _with_columns(matching: Subquery, backwards: bool, limit: int) -> Select[Any]:
    """The rows of a page with what the list shows of each."""
    place = (matching.c.at, matching.c.kind, matching.c.id)
    order = place if backwards else [column.desc() for column in place]
    is_stored = and_(matching.c.kind == STORED, WebhookEventRow.id == matching.c.id)
    is_refused = and_(matching.c.kind == REFUSED, RefusedWebhook.id == matching.c.id)
    its_payment = and_(Payment.id == WebhookEventRow.reference, Payment.provider == WebhookEventRow.provider)
    found = join(matching, WebhookEventRow, is_stored, isouter=True).outerjoin(RefusedWebhook, is_refused)
    found = found.outerjoin(Payment, its_payment).outerjoin(Order, Order.id == Payment.order_id)
    return _shown().add_columns(*place).select_from(found).order_by(*order).limit(limit)


@cache
def _shown() -> Select[Any]:
    """The columns of the list. Made once, because that takes longer than the query."""
    stored = ("trust", "headers", "body", "dedupe_key", "reference", "repeats", "tries", "due_at", "done_at", "error")
    return select(
        func.coalesce(WebhookEventRow.provider, RefusedWebhook.provider).label("provider"),
        WebhookEventRow.outcome,
        RefusedWebhook.outcome.label("refused_outcome"),
        RefusedWebhook.reason,
        *(getattr(WebhookEventRow, name) for name in stored),
        WebhookEventRow.not_ours,
        WebhookEventRow.took_ms,
        Order.number,
    )


def _row(found: dict[str, Any]) -> Row:
    position = Position(found["at"], found["id"], found["kind"])
    if position.kind == REFUSED:
        reason = found["reason"] or ""
        return Row(position, found["provider"], found["refused_outcome"], State.REFUSED, reason)
    return Row(
        position,
        found["provider"],
        found["outcome"],
        state_of(found["done_at"], found["error"]),
        trust=found["trust"],
        summary=content.summary(found["provider"], found["headers"], found["body"]),
        event_id=found["dedupe_key"],
        payment=found["reference"],
        order_number=found["number"],
        repeats=found["repeats"],
        attempts=found["tries"],
        next_attempt=found["due_at"],
        error=found["error"],
        not_ours=found["not_ours"],
        took_ms=found["took_ms"],
    )


def state_of(done_at: datetime | None, error: str | None) -> State:
    """The state of a stored webhook."""
    if done_at is not None:
        return State.DONE
    return State.FAILING if error else State.WAITING
