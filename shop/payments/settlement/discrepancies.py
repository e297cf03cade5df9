"""Discrepancies between settlement files and the ledger: one row per difference, open until it is resolved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import and_, or_, select, update

from shop.core import clock
from shop.core.actor import Actor
from shop.core.db import changed, db, insert, transactional
from shop.core.event_types import SettlementDisagrees
from shop.orders import events
from shop.payments.records.settlement_models import Discrepancy
from shop.payments.records.types import Source

CAUSES = {
    "missing_there": "we have booked it, and the files do not have it",
    "missing_here": "the file has it for a payment of ours, and we have not booked it",
    "amount": "the file has another amount or currency than we have",
    "fee": "the acquirer kept another fee than the contract says",
    "unknown": "the file has it, and it is about nothing of ours",
    "twice": "the file has it a second time",
}
"""Causes of discrepancies, with descriptions."""
_NOT_ACCEPTED = dict.fromkeys(("accepted_at", "accepted_by", "accepted_reason"))
_AT_ONCE = 200


@dataclass(frozen=True)
class Found:
    """A difference; its first two fields identify it within the day."""

    cause: str
    about: str
    order_id: int | None
    ours: int | None
    theirs: int | None
    currency: str


def note(provider: str, day: date, found: list[Found], settled: set[str]) -> tuple[int, int]:
    """Record the discrepancies of a day and close those that are gone; return how many were opened and closed.

    `settled` are the journals that the file has lines about: a discrepancy that reports one as missing, on any day, is
    closed.
    """
    return _note(provider, day, {(one.cause, one.about): one for one in found}, settled)


@transactional
def _note(provider: str, day: date, found: dict[tuple[str, str], Found], settled: set[str]) -> tuple[int, int]:
    at, opened, kept = clock.now(), 0, set[int]()
    arrived = sorted(settled - {about for cause, about in found if cause == "missing_there"})
    closing = update(Discrepancy).where(Discrepancy.closed_at.is_(None)).values(closed_at=at)
    for one in sorted(found.values(), key=lambda one: (one.order_id or 0, one.cause, one.about)):
        number, is_new = _open(provider, day, one, at)
        opened += is_new
        kept.add(number)
    of_the_day = select(Discrepancy.id).filter_by(provider=provider, day=day, closed_at=None)
    over = [number for number in db.session.scalars(of_the_day) if number not in kept]
    closed = changed(closing.where(Discrepancy.id.in_(over)))
    for start in range(0, len(arrived), _AT_ONCE):
        here = Discrepancy.about.in_(arrived[start : start + _AT_ONCE])
        closed += changed(closing.where(Discrepancy.cause == "missing_there", here))
    return opened, closed


def _open(provider: str, day: date, one: Found, at: datetime) -> tuple[int, bool]:
    """The id of a discrepancy's row, and True if it was opened now or its amounts have changed. An accepted one stays
    closed while its amounts are the same.
    """
    named = {"provider": provider, "day": day, "cause": one.cause, "about": one.about}
    numbers = {"ours": one.ours, "theirs": one.theirs, "currency": one.currency}
    observed = {"order_id": one.order_id, "seen_at": at, **numbers}
    others = (getattr(Discrepancy, name).is_distinct_from(number) for name, number in numbers.items())
    is_over = and_(Discrepancy.closed_at.is_not(None), Discrepancy.accepted_at.is_(None))
    made = (
        insert(Discrepancy)
        .values(opened_at=at, **named, **observed)
        .on_conflict_do_update(
            index_elements=list(named),
            set_={**observed, "opened_at": at, "closed_at": None, **_NOT_ACCEPTED},
            where=or_(is_over, *others),
        )
        .returning(Discrepancy.id)
    )
    number = db.session.execute(made).scalar()
    if number is not None:
        _record_event(provider, day, one)
        return number, True
    row = db.session.scalars(select(Discrepancy).filter_by(**named)).one()
    row.seen_at = at
    return row.id, False


def _record_event(provider: str, day: date, one: Found) -> None:
    if one.order_id is not None:
        disagrees = SettlementDisagrees(
            provider=provider,
            day=day.isoformat(),
            cause=one.cause,
            about=one.about,
            ours=one.ours,
            theirs=one.theirs,
            currency=one.currency,
        )
        events.record(one.order_id, disagrees, actor=Actor.of_source(Source.SETTLEMENT_FILE))
