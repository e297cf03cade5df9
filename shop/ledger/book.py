"""Write journals and read balances."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy import func, insert, select

from shop.core import clock
from shop.core.actor import Actor
from shop.core.db import db, table
from shop.core.money import Money
from shop.ledger.models import Journal, LedgerEntry

_NEW_JOURNAL, _NEW_ENTRY = insert(table(Journal)).inline(), insert(table(LedgerEntry)).inline()


class Unbalanced(ValueError):
    """The entries of a journal do not sum to zero in every currency."""


def post(
    key: str, kind: str, entries: list[tuple[str, Money]], *, order_id: int | None = None, by: Actor | None = None
) -> None:
    """Write one journal in the current transaction. A positive amount debits its account, a negative one credits it.

    `key` is the idempotency key: the database refuses a second journal with it. Raises Unbalanced.
    """
    check_balanced(key, entries)
    journal = {"key": key, "kind": kind, "order_id": order_id, "actor": by, "at": clock.now()}
    db.session.execute(_NEW_JOURNAL, [journal])
    rows = [
        {"journal_key": key, "line": line, "account": account, "currency": money.currency, "amount": money.amount}
        for line, (account, money) in enumerate(entries)
    ]
    db.session.execute(_NEW_ENTRY, rows)


def check_balanced(key: str, entries: Iterable[tuple[str, Money]]) -> None:
    """Raise Unbalanced unless the entries of a journal sum to zero in every currency, and there are any."""
    sums: defaultdict[str, int] = defaultdict(int)
    for _, money in entries:
        sums[money.currency] += money.amount
    if not sums or any(sums.values()):
        raise Unbalanced(f"{key}: {dict(sums)}")


def transfer(
    key: str,
    kind: str,
    money: Money,
    *,
    debit: str,
    credit: str,
    order_id: int | None = None,
    by: Actor | None = None,
) -> None:
    """Write a journal with two entries."""
    post(key, kind, [(debit, money), (credit, money * -1)], order_id=order_id, by=by)


def balance(account: str, currency: str) -> Money:
    """The balance of an account, debits less credits."""
    total = db.session.scalar(
        select(func.coalesce(func.sum(LedgerEntry.amount), 0)).where(
            LedgerEntry.account == account, LedgerEntry.currency == currency
        )
    )
    return Money(int(total or 0), currency)
