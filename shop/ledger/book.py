"""Writing journals, and reading balances."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import func, select

from shop.core import clock
from shop.core.db import db
from shop.core.later import add_last
from shop.core.money import Money
from shop.ledger.models import Journal, LedgerEntry


class Unbalanced(ValueError):
    """The sides of a journal do not sum to zero in every currency."""


def post(key: str, kind: str, entries: list[tuple[str, Money]], *, order_id: int | None = None) -> None:
    """Write one journal in the current unit. A positive amount debits its account, a negative one credits it.

    `key` names the fact for ever: a second journal under it is refused by the database. Raises Unbalanced.
    """
    sums: defaultdict[str, int] = defaultdict(int)
    for _, money in entries:
        sums[money.currency] += money.amount
    if not entries or any(sums.values()):
        raise Unbalanced(f"{key}: {dict(sums)}")
    add_last(Journal, key=key, kind=kind, order_id=order_id, at=clock.now())
    for line, (account, money) in enumerate(entries):
        add_last(LedgerEntry, journal_key=key, line=line, account=account, currency=money.currency, amount=money.amount)


def transfer(key: str, kind: str, money: Money, *, debit: str, credit: str, order_id: int | None = None) -> None:
    """A journal of two sides."""
    post(key, kind, [(debit, money), (credit, money * -1)], order_id=order_id)


def balance(account: str, currency: str) -> Money:
    """What stands in an account, debits less credits."""
    total = db.session.scalar(
        select(func.coalesce(func.sum(LedgerEntry.amount), 0)).where(
            LedgerEntry.account == account, LedgerEntry.currency == currency
        )
    )
    return Money(int(total or 0), currency)
