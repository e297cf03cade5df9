"""Discrepancies between settlement files and the ledger: one row per difference, open until it is resolved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import TypeVar

from sqlalchemy import ColumnElement, and_, or_, select, tuple_, update

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
AT_ONCE = 200
"""Rows of one transaction."""


T = TypeVar("T")


@dataclass(frozen=True)
class Found:
    """A difference; its first two fields identify it within the day."""

    cause: str
    about: str
    order_id: int | None
    ours: int | None
    theirs: int | None
    currency: str


def parts(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """The rows in parts of one transaction each."""
    return (rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE))


def note(
    provider: str, day: date, found: list[Found], settled: set[str], *, may: Callable[[], None] = lambda: None
) -> tuple[int, int]:
    """Record the discrepancies of a day and close those that are gone; return how many were opened and closed.

    `settled` are the journals that the file has lines about: a discrepancy that reports one as missing, on any day, is
    closed. Each part of AT_ONCE rows is a transaction, so that other writers wait for none of them; `may` is called in
    each. Safe to repeat after a part of it.
    """
    present = {(one.cause, one.about): one for one in found}
    by_order = sorted(present.values(), key=lambda one: (one.order_id or 0, one.cause, one.about))
    opened = sum(_open(provider, day, part, may) for part in parts(by_order))
    gone = [number for number, key in _open_of(provider, day) if key not in present]
    closed = sum(_close(Discrepancy.id.in_(part), may) for part in parts(gone))
    arrived = sorted(settled - {about for cause, about in present if cause == "missing_there"})
    closed += sum(_arrive(part, may) for part in parts(arrived))
    return opened, closed


def _open_of(provider: str, day: date) -> list[tuple[int, tuple[str, str]]]:
    """Ids and keys of the open discrepancies of a day."""
    columns = (Discrepancy.id, Discrepancy.cause, Discrepancy.about)
    rows = db.session.execute(select(*columns).filter_by(provider=provider, day=day, closed_at=None)).all()
    db.session.rollback()
    return [(row.id, (row.cause, row.about)) for row in rows]


@transactional
def _close(which: ColumnElement[bool], may: Callable[[], None]) -> int:
    may()
    return changed(update(Discrepancy).where(Discrepancy.closed_at.is_(None), which).values(closed_at=clock.now()))


@transactional
def _arrive(facts: Sequence[str], may: Callable[[], None]) -> int:
    """Close what reported these journals as missing. One that was accepted is over too: missing again, it is new."""
    missing = and_(Discrepancy.cause == "missing_there", Discrepancy.about.in_(facts))
    closed = _close(missing, may)
    db.session.execute(update(Discrepancy).where(missing, Discrepancy.accepted_at.is_not(None)).values(_NOT_ACCEPTED))
    return closed


@transactional
def _open(provider: str, day: date, found: Sequence[Found], may: Callable[[], None]) -> int:
    """Open discrepancies; return how many were opened now or have other amounts. An accepted one stays closed while its
    amounts are the same.
    """
    may()
    at = clock.now()
    of_day = {"provider": provider, "day": day}
    rows = [of_day | asdict(one) | {"opened_at": at, "seen_at": at} for one in found]
    new = insert(Discrepancy).values(rows)
    observed = {name: new.excluded[name] for name in ("order_id", "seen_at", "ours", "theirs", "currency")}
    others = (getattr(Discrepancy, name).is_distinct_from(observed[name]) for name in ("ours", "theirs", "currency"))
    is_over = and_(Discrepancy.closed_at.is_not(None), Discrepancy.accepted_at.is_(None))
    made = new.on_conflict_do_update(
        index_elements=["provider", "day", "cause", "about"],
        set_={**observed, "opened_at": new.excluded.opened_at, "closed_at": None, **_NOT_ACCEPTED},
        where=or_(is_over, *others),
    ).returning(Discrepancy.cause, Discrepancy.about)
    opened = {(row.cause, row.about) for row in db.session.execute(made)}
    for one in found:
        if (one.cause, one.about) in opened:
            _record_event(provider, day, one)
    known = [(one.cause, one.about) for one in found if (one.cause, one.about) not in opened]
    if known:
        same = (Discrepancy.provider == provider, Discrepancy.day == day)
        key = tuple_(Discrepancy.cause, Discrepancy.about)
        db.session.execute(update(Discrepancy).where(*same, key.in_(known)).values(seen_at=at))
    return len(opened)


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
