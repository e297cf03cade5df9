"""Refuse amounts that a provider cannot charge. No database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from shop.core.errors import Refusal
from shop.core.money import Money


class Amounts(Protocol):
    """The amounts that a provider can charge."""

    def takes(self, money: Money) -> bool:
        """True if the amount can be charged."""

    def next_charge(self, money: Money) -> Money | None:
        """The smallest amount of at least `money` that can be charged; None if there is none."""


@dataclass(frozen=True)
class Charging:
    """A provider's display name and the amounts that it can charge."""

    label: str
    amounts: Amounts


def reason(charging: Charging, money: Money) -> str:
    """Message for the customer if the provider cannot charge `money`; empty if it can, as with zero."""
    if not money.amount or charging.amounts.takes(money):
        return ""
    following = charging.amounts.next_charge(money)
    message = f"{charging.label} cannot charge {money.format()}"
    if following is None or following.amount <= money.amount:
        return f"{message}: the amount is too high."
    return f"{message}: the next amount that it can charge is {following.format()}."


def refusal(charging: Charging, money: Money, credit: Money | None = None) -> Refusal | None:
    """Refusal `cannot_charge` when the provider cannot charge `money`; an amount of zero is always accepted.

    `credit` is the store credit that the customer may still change: the message, and `details["usable_credit"]` in
    minor units, say how much of it can be used.
    """
    if not money.amount or charging.amounts.takes(money):
        return None
    message = f"{charging.label} cannot charge {money.format()}."
    usable = _usable(charging.amounts, money, credit) if credit is not None and credit.amount else None
    if usable is None:
        return Refusal("cannot_charge", f"{message} Choose another payment method.")
    if not usable.amount:
        message = f"{message} Choose another payment method, or leave out store credit."
        return Refusal("cannot_charge", message, usable_credit=0)
    message = f"{message} Choose another payment method, or use {usable.format()} of your store credit."
    return Refusal("cannot_charge", message, usable_credit=usable.amount)


def _usable(amounts: Amounts, money: Money, credit: Money) -> Money | None:
    """The most of `credit` that leaves an amount which can be charged, where all of it leaves `money`."""
    charge = amounts.next_charge(money)
    if charge is None or charge.amount > money.amount + credit.amount:
        return None
    return Money(money.amount + credit.amount - charge.amount, credit.currency)
