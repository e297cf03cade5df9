"""Settled money, which payouts are made from."""

from __future__ import annotations

import itertools

from shop.core.db import transaction
from shop.core.money import Money
from shop.ledger import book, chart, funds

_numbers = itertools.count(1)


def twd(amount: int) -> Money:
    return Money(amount, "TWD")


def settled(amount: int) -> None:
    """A settlement of this amount (negative: taken back)."""
    with transaction():
        book.transfer(
            f"settled:test:{next(_numbers)}",
            "settled",
            twd(amount),
            debit=chart.BANK,
            credit=chart.receivable("nobody"),
        )
        funds.received(twd(amount))
