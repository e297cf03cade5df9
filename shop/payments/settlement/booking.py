"""Booking of settlement lines of journals that the ledger has: each once, and the difference when a file changes it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import or_, select, update

from shop.core import clock
from shop.core.db import changed, db, insert
from shop.core.money import Money
from shop.ledger import book as ledger
from shop.ledger import chart, funds
from shop.payments.providers.interface import SettlementLine
from shop.payments.records.settlement_models import Discrepancy, SettlementLineRow


@dataclass(frozen=True)
class Fact:
    """One of our journals, which changed the receivable by `money`."""

    key: str
    order_id: int | None
    money: Money


def book(provider: str, day: date, lines: list[tuple[SettlementLine, Fact]]) -> dict[str, bool | None]:
    """For each line, by its journal: True if it was booked now, as new or changed; None when the journal is settled on
    another day, whose newest file has it too. The unique indexes decide.
    """
    made, at = _insert(provider, day, lines), clock.now()
    others = {fact.key for line, fact in lines if line.id not in made}
    known = {
        row.fact: row
        for row in db.session.scalars(
            select(SettlementLineRow).where(SettlementLineRow.provider == provider, SettlementLineRow.fact.in_(others)),
            execution_options={"populate_existing": True},
        )
    }
    free = _left_behind(provider, others)
    booked: dict[str, bool | None] = {}
    for line, fact in lines:
        row = known.get(fact.key)
        if line.id in made:
            _post(f"settled:{provider}:{line.id}", _sides(provider, line.money, line.fee), fact.order_id)
            booked[fact.key] = True
        elif row is None or (row.day != day and (row.day, row.fact) not in free):
            booked[fact.key] = None
        else:
            booked[fact.key] = _correct(row, day, line, fact, at)
    return booked


def _left_behind(provider: str, facts: Iterable[str]) -> set[tuple[date, str]]:
    """Days, and the journals that they settled by a file of which a newer one no longer has them, accepted or not:
    another day may settle those.
    """
    missing = select(Discrepancy.day, Discrepancy.about).where(
        Discrepancy.provider == provider,
        Discrepancy.cause == "missing_there",
        or_(Discrepancy.closed_at.is_(None), Discrepancy.accepted_at.is_not(None)),
        Discrepancy.about.in_(facts),
    )
    return {(row.day, row.about) for row in db.session.execute(missing)}


def _insert(provider: str, day: date, lines: list[tuple[SettlementLine, Fact]]) -> set[str]:
    """Insert new lines and return their ids."""
    at = clock.now()
    rows = [
        {
            "provider": provider,
            "line_id": line.id,
            "day": day,
            "kind": line.kind,
            "fact": fact.key,
            "amount": line.money.amount,
            "fee": line.fee.amount,
            "currency": line.money.currency,
            "at": line.at,
            "booked_at": at,
            "version": 0,
        }
        for line, fact in lines
    ]
    if not rows:
        return set()
    made = insert(SettlementLineRow).values(rows).on_conflict_do_nothing().returning(SettlementLineRow.line_id)
    return set(db.session.scalars(made))


def _correct(row: SettlementLineRow, day: date, line: SettlementLine, fact: Fact, at: datetime) -> bool:
    """Book the difference when the line has changed or now belongs to another day; return True if so.

    The row keeps the line's first id, which is part of the keys of its journals.
    """
    before = Money(row.amount, row.currency), Money(row.fee, row.currency)
    if (row.day, *before) == (day, line.money, line.fee):
        return False
    version = row.version + 1
    corrected = changed(
        update(SettlementLineRow)
        .where(SettlementLineRow.fact == row.fact, SettlementLineRow.version == row.version)
        .values(
            version=version,
            booked_at=at,
            day=day,
            amount=line.money.amount,
            fee=line.fee.amount,
            currency=line.money.currency,
        )
    )
    if corrected and before != (line.money, line.fee):
        undone = [(account, money * -1) for account, money in _sides(row.provider, *before)]
        sides = undone + _sides(row.provider, line.money, line.fee)
        _post(f"settled:{row.provider}:{row.line_id}:{version}", sides, fact.order_id)
    return bool(corrected)


def _sides(provider: str, money: Money, fee: Money) -> list[tuple[str, Money]]:
    """Journal of a settled line: debit bank and fees, credit the acquirer's receivable."""
    sides = [(chart.BANK, money + fee * -1), (chart.FEES, fee), (chart.receivable(provider), money * -1)]
    return [(account, part) for account, part in sides if part.amount]


def _post(key: str, sides: list[tuple[str, Money]], order_id: int | None) -> None:
    if sides:
        ledger.post(key, "settled", sides, order_id=order_id)
    for account, money in sides:
        if account == chart.BANK:
            funds.received(money)
