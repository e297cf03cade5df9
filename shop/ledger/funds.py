"""Funds: settled money in each currency, and how much of it undecided payouts have promised.

Each change is one conditional UPDATE, which decides between two payouts at the same moment.
"""

from __future__ import annotations

from sqlalchemy import select, update

from shop.core.db import changed, db, insert
from shop.core.money import CURRENCIES, Money
from shop.ledger import book, chart
from shop.ledger.models import Funds


def received(money: Money) -> None:
    """Record that an acquirer has paid `money`, or taken it back if negative; in the transaction that posts it to
    the bank account.
    """
    db.session.execute(
        insert(Funds)
        .values(currency=money.currency, settled=money.amount, promised=0)
        .on_conflict_do_update(index_elements=["currency"], set_={"settled": Funds.settled + money.amount})
    )


def available(currency: str) -> Money:
    """The amount that a payout may request now."""
    free = db.session.scalar(select(Funds.settled - Funds.promised).where(Funds.currency == currency))
    return Money(max(0, free or 0), currency)


def settled(currency: str) -> Money:
    """The settled amount that is not paid out, promised or not."""
    there = db.session.scalar(select(Funds.settled).where(Funds.currency == currency))
    return Money(max(0, there or 0), currency)


def by_currency() -> dict[str, tuple[Money, Money]]:
    """`available` and `settled` of each currency of the shop. One query."""
    rows = db.session.execute(select(Funds.currency, Funds.settled - Funds.promised, Funds.settled))
    found = {currency: (free, there) for currency, free, there in rows}
    amounts = {currency: found.get(currency, (0, 0)) for currency in CURRENCIES}
    return {
        currency: (Money(max(0, free), currency), Money(max(0, there), currency))
        for currency, (free, there) in amounts.items()
    }


def promise(money: Money) -> bool:
    """Promise `money` to a payout. Part of the caller's transaction; False when less is available."""
    enough = (Funds.currency == money.currency, Funds.settled - Funds.promised >= money.amount)
    return bool(changed(update(Funds).where(*enough).values(promised=Funds.promised + money.amount)))


def withdraw_promise(money: Money) -> None:
    """Undo `promise`. Part of the caller's transaction."""
    mine = update(Funds).where(Funds.currency == money.currency)
    db.session.execute(mine.values(promised=Funds.promised - money.amount))


def pay_out(money: Money, *, key: str) -> bool:
    """Pay out promised `money` and post it as `key`, in the caller's transaction; False when less is settled."""
    enough = update(Funds).where(Funds.currency == money.currency, Funds.settled >= money.amount)
    if not changed(enough.values(settled=Funds.settled - money.amount, promised=Funds.promised - money.amount)):
        return False
    book.transfer(key, "payout", money, debit=chart.OWNER_PAYOUTS, credit=chart.BANK)
    return True
