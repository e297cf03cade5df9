"""State of the settlement days of all providers: what matched, what did not, and which files were read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from sqlalchemy import func, or_, select, tuple_

from shop.core import clock
from shop.core.db import db
from shop.core.keyset import Position
from shop.core.money import Money
from shop.ledger.models import Journal
from shop.orders.models import Order
from shop.payments.providers import registry
from shop.payments.records.settlement_models import Discrepancy, SettlementFile, SettlementLineRow
from shop.payments.settlement.discrepancies import CAUSES

DAYS = 14
"""Days of one overview."""
LISTED = 100
"""Discrepancies and lines of one page."""


@dataclass
class Cell:
    """A day of a provider: settled lines, open discrepancies, amounts taken by currency, and the state of its file."""

    matched: int = 0
    unmatched: int = 0
    amounts: list[Money] = field(default_factory=list)
    file: SettlementFile | None = None


Overview = dict[date, dict[str, Cell]]


def newest_day() -> date:
    """The present business day of the provider that is furthest ahead."""
    zones = [provider.capabilities.settles_in for provider in registry.all_providers().values()]
    return max((clock.now().astimezone(zone).date() for zone in zones), default=clock.now().date())


def overview(until: date) -> Overview:
    """The cells of the DAYS days until `until`, the newest first, each with the same providers: those in use, and
    others of this program with rows. Three statements.
    """
    days = [until - timedelta(days=number) for number in range(DAYS)]
    found: Overview = {day: defaultdict(Cell) for day in days}
    for row in db.session.execute(_settled(days[-1], until)):
        cell = found[row.day][row.provider]
        cell.matched += row.lines
        cell.amounts.append(Money(int(row.gross), row.currency))
    for row in db.session.execute(_open_by_day(days[-1], until)):
        found[row.day][row.provider].unmatched = row.number
    for file in db.session.scalars(select(SettlementFile).where(SettlementFile.day.between(days[-1], until))):
        found[file.day][file.provider].file = file
    seen = {name for cells in found.values() for name in cells}
    names = sorted(seen | registry.all_providers().keys())
    return {day: {name: cells[name] for name in names} for day, cells in found.items()}


def _settled(since: date, until: date) -> Any:
    line = SettlementLineRow
    numbers = func.count().label("lines"), func.sum(line.amount).label("gross")
    grouped = (line.provider, line.day, line.currency)
    providers = sorted(registry.classes().keys() | registry.all_providers().keys())  # the index begins with them
    which = line.provider.in_(providers), line.day.between(since, until)
    return select(*grouped, *numbers).where(*which).group_by(*grouped).order_by(*grouped)


def _open_by_day(since: date, until: date) -> Any:
    grouped = (Discrepancy.provider, Discrepancy.day)
    is_open = Discrepancy.closed_at.is_(None)
    counted = select(*grouped, func.count().label("number")).where(is_open, Discrepancy.day.between(since, until))
    return counted.group_by(*grouped)


@dataclass(frozen=True)
class Unmatched:
    """A discrepancy for display, with its order's number."""

    row: Discrepancy
    order_number: str | None

    @property
    def ours(self) -> Money | None:
        return None if self.row.ours is None else Money(self.row.ours, self.row.currency)

    @property
    def theirs(self) -> Money | None:
        return None if self.row.theirs is None else Money(self.row.theirs, self.row.currency)

    @property
    def meaning(self) -> str:
        return CAUSES[self.row.cause]

    @property
    def days(self) -> int:
        """Complete days for which it has been open."""
        return (clock.now() - self.row.opened_at).days


@dataclass(frozen=True)
class UnmatchedPage:
    """A page of open discrepancies, and the position of the next one."""

    items: list[Unmatched]
    after: Position | None


def unmatched(after: Position | None = None) -> UnmatchedPage:
    """Open discrepancies of all days, the oldest first. One statement."""
    query = _discrepancies().where(Discrepancy.closed_at.is_(None))
    if after is not None:
        query = query.where(tuple_(Discrepancy.opened_at, Discrepancy.id) > (after.at, after.id))
    rows = db.session.execute(query.order_by(Discrepancy.opened_at, Discrepancy.id).limit(LISTED + 1)).all()
    items = [Unmatched(*row) for row in rows[:LISTED]]
    last = items[-1].row if len(rows) > LISTED else None
    return UnmatchedPage(items, Position(last.opened_at, last.id) if last else None)


def unmatched_of(provider: str, day: date) -> list[Unmatched]:
    """Open and accepted discrepancies of a day, the open ones first, at most LISTED."""
    shown = or_(Discrepancy.closed_at.is_(None), Discrepancy.accepted_at.is_not(None))
    of_day = _discrepancies().where(Discrepancy.provider == provider, Discrepancy.day == day, shown)
    first = Discrepancy.accepted_at.is_not(None), Discrepancy.opened_at, Discrepancy.id
    return [Unmatched(*row) for row in db.session.execute(of_day.order_by(*first).limit(LISTED))]


def discrepancy(discrepancy_id: int) -> Unmatched | None:
    """A discrepancy, open or closed."""
    row = db.session.execute(_discrepancies().where(Discrepancy.id == discrepancy_id)).one_or_none()
    return None if row is None else Unmatched(*row)


def _discrepancies() -> Any:
    return select(Discrepancy, Order.number).outerjoin(Order, Order.id == Discrepancy.order_id)


def file_of(provider: str, day: date) -> SettlementFile | None:
    """State of the file of a day."""
    return db.session.get(SettlementFile, (provider, day))


def lines(provider: str, day: date, after: str = "") -> Sequence[Any]:
    """Settled lines of a day with the kind of their journal and the number of the order, by line id: those after
    `after`, and one more than LISTED if more follow.
    """
    line = SettlementLineRow
    query = (
        select(line, Journal.kind.label("journal_kind"), Order.number.label("order_number"))
        .join(Journal, Journal.key == line.fact)
        .outerjoin(Order, Order.id == Journal.order_id)
        .where(line.provider == provider, line.day == day, line.line_id > after)
    )
    return db.session.execute(query.order_by(line.line_id).limit(LISTED + 1)).all()
