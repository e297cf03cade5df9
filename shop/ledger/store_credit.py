"""Store credit: give, hold for an order, use, return. One conditional UPDATE decides each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update

from shop.core.actor import Actor
from shop.core.db import changed, db, insert, table
from shop.core.money import Money
from shop.ledger import book, chart
from shop.ledger.hold_states import HoldState
from shop.ledger.models import CreditHold, Journal, LedgerEntry, StoreCredit
from shop.ledger.refusals import NotEnoughCredit


@dataclass(frozen=True)
class Movement:
    """A change of a customer's store credit, positive for an increase. `order_id` is the order it concerns, if any."""

    at: datetime
    kind: str
    money: Money
    order_id: int | None


def available(user_id: int | None, currency: str) -> Money:
    """The amount that the customer can spend now; zero for guests."""
    free = None
    if user_id is not None:
        free = db.session.scalar(
            select(StoreCredit.balance - StoreCredit.held).where(
                StoreCredit.user_id == user_id, StoreCredit.currency == currency
            )
        )
    return Money(free or 0, currency)


def balances(user_id: int) -> list[Money]:
    """The customer's balance in each currency, held or not."""
    rows = db.session.scalars(select(StoreCredit).where(StoreCredit.user_id == user_id).order_by(StoreCredit.currency))
    return [Money(row.balance, row.currency) for row in rows if row.balance]


def movements(user_id: int, limit: int = 100) -> Sequence[Movement]:
    """The changes of the customer's store credit, newest first."""
    rows = db.session.execute(
        select(Journal.at, Journal.kind, Journal.order_id, LedgerEntry.amount, LedgerEntry.currency)
        .join(LedgerEntry, LedgerEntry.journal_key == Journal.key)
        .where(LedgerEntry.account == chart.store_credit(user_id))
        .order_by(Journal.at.desc(), Journal.key.desc())
        .limit(limit)
    )
    return [Movement(row.at, row.kind, Money(-row.amount, row.currency), row.order_id) for row in rows]


def give(
    user_id: int,
    money: Money,
    *,
    key: str,
    kind: str,
    debit: str,
    order_id: int | None = None,
    by: Actor | None = None,
) -> None:
    """Credit a customer, debiting the account `debit`, in the caller's transaction. `key` is the journal's idempotency
    key, `by` its actor.
    """
    raise_balance(user_id, money)
    book.transfer(key, kind, money, debit=debit, credit=chart.store_credit(user_id), order_id=order_id, by=by)


def raise_balance(user_id: int, money: Money) -> None:
    """Raise a customer's balance by `money`, in the transaction that posts it to the customer's account."""
    db.session.execute(
        insert(StoreCredit)
        .values(user_id=user_id, currency=money.currency, balance=money.amount, held=0)
        .on_conflict_do_update(
            index_elements=["user_id", "currency"], set_={"balance": StoreCredit.balance + money.amount}
        )
    )


def hold(order_id: int, user_id: int, money: Money) -> None:
    """Hold `money` for an order, in the caller's transaction. Raises NotEnoughCredit, after which the transaction must
    be rolled back.
    """
    if not _debit(user_id, money):
        raise NotEnoughCredit(available(user_id, money.currency))
    values = {"order_id": order_id, "user_id": user_id, "currency": money.currency, "amount": money.amount}
    db.session.execute(table(CreditHold).insert(), values)


def release(order_id: int) -> None:
    """Release the store credit that is held for an order. No effect if there is none."""
    held = _turn(order_id, HoldState.HELD, HoldState.RELEASED)
    if held:
        _change(held, held=StoreCredit.held - held.amount)


def locked(user_id: int) -> list[StoreCredit]:
    """The customer's store credit in each currency, with its rows locked in the caller's transaction."""
    rows = select(StoreCredit).where(StoreCredit.user_id == user_id).order_by(StoreCredit.currency).with_for_update()
    return list(db.session.scalars(rows.execution_options(populate_existing=True)))


def give_up(credit: StoreCredit, *, by: Actor) -> None:
    """Book a customer's whole balance in one currency, which is `locked` and not held, as given up by the customer."""
    money = Money(credit.balance, credit.currency)
    key = f"credit_given_up:{credit.user_id}:{credit.currency}"
    account = chart.store_credit(credit.user_id)
    book.transfer(key, "credit_given_up", money, debit=account, credit=chart.FORFEITED_CREDIT, by=by)
    theirs = update(StoreCredit).where(StoreCredit.user_id == credit.user_id, StoreCredit.currency == credit.currency)
    db.session.execute(theirs.values(balance=StoreCredit.balance - money.amount))


def revoke(order_id: int, money: Money, expected: int | None = None) -> bool:
    """Reserve `money` of the credit that paid an order for a refund. False if less remains, or if the remainder differs
    from `expected`.
    """
    left = CreditHold.amount - CreditHold.refunded_amount
    guard = update(CreditHold).where(
        CreditHold.order_id == order_id,
        CreditHold.state == HoldState.USED,
        CreditHold.currency == money.currency,
        left >= money.amount,
    )
    if expected is not None:
        guard = guard.where(left == expected)
    return bool(changed(guard.values(refunded_amount=CreditHold.refunded_amount + money.amount)))


def leave(order_id: int, money: Money) -> None:
    """Undo `revoke` for a cancelled refund."""
    db.session.execute(
        update(CreditHold)
        .where(CreditHold.order_id == order_id)
        .values(refunded_amount=CreditHold.refunded_amount - money.amount)
    )


def _debit(user_id: int, money: Money) -> bool:
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


def _turn(order_id: int, source: HoldState, target: HoldState) -> CreditHold | None:
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
