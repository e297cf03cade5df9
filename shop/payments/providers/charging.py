"""Refuse amounts that a provider cannot charge. No database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from shop.core.errors import Refusal
from shop.core.money import Money
from shop.core.sentences import sentence


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
    if following is None or following.amount <= money.amount:
        return sentence("%(name)s cannot charge %(amount)s: the amount is too high.", name=charging.label, amount=money)
    return sentence(
        "%(name)s cannot charge %(amount)s: the next amount that it can charge is %(next)s.",
        name=charging.label,
        amount=money,
        next=following,
    )


def refusal(charging: Charging, money: Money, credit: Money | None = None) -> Refusal | None:
    """Refusal `cannot_charge` when the provider cannot charge `money`; an amount of zero is always accepted.

    `credit` is the store credit that the customer may still change: the message, and `details["usable_credit"]` in
    minor units, say how much of it can be used.
    """
    if not money.amount or charging.amounts.takes(money):
        return None
    stated = {"name": charging.label, "amount": money}
    usable = _usable(charging.amounts, money, credit) if credit is not None and credit.amount else None
    if usable is None:
        message = sentence("%(name)s cannot charge %(amount)s. Choose another payment method.", **stated)
        return Refusal("cannot_charge", message)
    if not usable.amount:
        message = sentence(
            "%(name)s cannot charge %(amount)s. Choose another payment method, or leave out store credit.", **stated
        )
        return Refusal("cannot_charge", message, usable_credit=0)
    message = sentence(
        "%(name)s cannot charge %(amount)s. Choose another payment method, or use %(usable)s of your store credit.",
        usable=usable,
        **stated,
    )
    return Refusal("cannot_charge", message, usable_credit=usable.amount)


def _usable(amounts: Amounts, money: Money, credit: Money) -> Money | None:
    """The most of `credit` that leaves an amount which can be charged, where all of it leaves `money`."""
    charge = amounts.next_charge(money)
    if charge is None or charge.amount > money.amount + credit.amount:
        return None
    return Money(money.amount + credit.amount - charge.amount, credit.currency)
