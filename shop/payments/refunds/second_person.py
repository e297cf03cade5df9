"""Decide whether a refund, or the acceptance of less than the price, needs a second person. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from shop.core.money import Money
from shop.payments.order_money.snapshot import Snapshot
from shop.payments.records.types import RefundDestination


def needs_two(seen: Snapshot, money: Money, destination: str, limits: Mapping[str, int]) -> bool:
    """True if a refund needs a second person: together with earlier refunds by single persons it exceeds the order's
    limit in its currency, or it goes to a bank account, where staff send it.
    """
    if destination == RefundDestination.BANK:
        return True
    alone = sum(
        row.amount
        for row in seen.refunds
        if row.currency == money.currency
        and not (row.is_rejected or row.needs_two or row.is_made_outside or row.is_automatic)
    )
    return alone + money.amount > limits.get(money.currency, 0)


def shortfall_needs_two(shortfall: Money, limits: Mapping[str, int]) -> bool:
    """True if one person may not accept a capture that is `shortfall` less than the price: the shop gives up that much
    money, as with a refund. A capture of more than the price has a negative one, and costs the shop nothing.
    """
    return shortfall.amount > max(0, limits.get(shortfall.currency, 0))
