"""What customers have with us: given, held for an order, used, given back. One conditional UPDATE decides each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update

from shop.core.db import changed, db, insert
from shop.core.errors import Refusal
from shop.core.money import Money
from shop.ledger import book, chart
from shop.ledger.models import CreditHold, Journal, LedgerEntry, StoreCredit


class NotEnoughCredit(Refusal):
    """Less store credit is free than was to be used. `details["available"]` is what is, in minor units."""

    def __init__(self, available: Money) -> None:
        message = f"Only {available.format()} of your store credit can be used."
        super().__init__("not_enough_credit", message, available=available.amount)


@dataclass(frozen=True)
class Movement:
    """One change of a customer's store credit, positive when it grew. `order_id` is what it was about, if anything."""

    at: datetime
    kind: str
    money: Money
    order_id: int | None


def available(user_id: int | None, currency: str) -> Money:
    """What the customer can spend now; nothing for guests."""
    free = None
    if user_id is not None:
        free = db.session.scalar(
            select(StoreCredit.balance - StoreCredit.held).where(
                StoreCredit.user_id == user_id, StoreCredit.currency == currency
            )
        )
    return Money(free or 0, currency)


def balances(user_id: int) -> list[Money]:
    """What the customer has in each currency, held or not."""
    rows = db.session.scalars(select(StoreCredit).where(StoreCredit.user_id == user_id).order_by(StoreCredit.currency))
    return [Money(row.balance, row.currency) for row in rows if row.balance]


def movements(user_id: int, limit: int = 100) -> Sequence[Movement]:
    """How the customer's store credit has changed, newest first."""
    rows = db.session.execute(
        select(Journal.at, Journal.kind, Journal.order_id, LedgerEntry.amount, LedgerEntry.currency)
        .join(LedgerEntry, LedgerEntry.journal_key == Journal.key)
        .where(LedgerEntry.account == chart.store_credit(user_id))
        .order_by(Journal.at.desc(), Journal.key.desc())
        .limit(limit)
    )
    return [Movement(row.at, row.kind, Money(-row.amount, row.currency), row.order_id) for row in rows]


def give(user_id: int, money: Money, *, key: str, kind: str, debit: str, order_id: int | None = None) -> None:
    """Credit a customer, from the account `debit`. Part of the caller's unit; `key` names the fact for ever."""
    db.session.execute(
        insert(StoreCredit)
        .values(user_id=user_id, currency=money.currency, balance=money.amount, held=0)
        .on_conflict_do_update(
            index_elements=["user_id", "currency"], set_={"balance": StoreCredit.balance + money.amount}
        )
    )
    book.transfer(key, kind, money, debit=debit, credit=chart.store_credit(user_id), order_id=order_id)


def hold(order_id: int, user_id: int, money: Money) -> None:
    """Keep `money` for an order, in the caller's unit. Raises NotEnoughCredit, and then nothing may be committed."""
    if not _take(user_id, money):
        raise NotEnoughCredit(available(user_id, money.currency))
    db.session.add(CreditHold(order_id=order_id, user_id=user_id, currency=money.currency, amount=money.amount))
    db.session.flush()


def release(order_id: int) -> None:
    """Let go of what an order holds. Harmless when it holds nothing."""
    held = _turn(order_id, "HELD", "RELEASED")
    if held:
        _change(held, held=StoreCredit.held - held.amount)


def use(order_id: int) -> None:
    """What an order holds is spent, because it was paid. Harmless the second time."""
    held = _turn(order_id, "HELD", "USED")
    if held:
        _change(held, held=StoreCredit.held - held.amount, balance=StoreCredit.balance - held.amount)
        book.transfer(
            f"credit_used:{order_id}",
            "credit_used",
            Money(held.amount, held.currency),
            debit=chart.store_credit(held.user_id),
            credit=chart.SALES,
            order_id=order_id,
        )


def hold_again(order_id: int) -> bool:
    """Hold again what was released. False when it has been spent meanwhile; True when there was nothing to hold."""
    with db.session.begin_nested() as savepoint:
        freed = _turn(order_id, "RELEASED", "HELD")
        if freed and not _take(freed.user_id, Money(freed.amount, freed.currency)):
            savepoint.rollback()
            return False
    return True


def take_back(order_id: int, money: Money, expected: int | None = None) -> bool:
    """Set `money` of the credit that paid an order aside for a refund, which then gives it. False when less is left,
    or something else than `expected`.
    """
    left = CreditHold.amount - CreditHold.refunded_amount
    guard = update(CreditHold).where(
        CreditHold.order_id == order_id,
        CreditHold.state == "USED",
        CreditHold.currency == money.currency,
        left >= money.amount,
    )
    if expected is not None:
        guard = guard.where(left == expected)
    return bool(changed(guard.values(refunded_amount=CreditHold.refunded_amount + money.amount)))


def leave(order_id: int, money: Money) -> None:
    """Undo `take_back`: the refund that it was for was called off."""
    db.session.execute(
        update(CreditHold)
        .where(CreditHold.order_id == order_id)
        .values(refunded_amount=CreditHold.refunded_amount - money.amount)
    )


def left_to_take_back(order_id: int) -> int:
    """Minor units of the store credit that paid an order and has not come back."""
    left = select(CreditHold.amount - CreditHold.refunded_amount)
    return db.session.scalar(left.where(CreditHold.order_id == order_id, CreditHold.state == "USED")) or 0


def _take(user_id: int, money: Money) -> bool:
    return bool(
        changed(
            update(StoreCredit)
            .where(
                StoreCredit.user_id == user_id,
                StoreCredit.currency == money.currency,
                StoreCredit.balance - StoreCredit.held >= money.amount,
            )
            .values(held=StoreCredit.held + money.amount)
        )
    )


def _turn(order_id: int, source: str, target: str) -> CreditHold | None:
    return db.session.scalar(
        update(CreditHold)
        .where(CreditHold.order_id == order_id, CreditHold.state == source)
        .values(state=target)
        .returning(CreditHold)
        .execution_options(populate_existing=True)
    )


def _change(hold: CreditHold, **values: object) -> None:
    db.session.execute(
        update(StoreCredit)
        .where(StoreCredit.user_id == hold.user_id, StoreCredit.currency == hold.currency)
        .values(**values)
    )
