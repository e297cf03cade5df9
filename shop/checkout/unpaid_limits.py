"""Limits on the unpaid orders, units and value that a client may reserve. Pure functions.

An unpaid order reserves stock and costs its client nothing. Unpaid orders are therefore counted by visitor, by e-mail
address and by client address; `shop.checkout.unpaid_orders` counts under locks on these three names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from shop.core.errors import Refusal
from shop.core.money import Money
from shop.core.sentences import sentence, sentences


class CountedBy(StrEnum):
    """Key by which unpaid orders are counted. The values are stored and must not change."""

    VISITOR = "visitor"
    EMAIL = "email"
    ADDRESS = "address"


VISITOR, EMAIL, ADDRESS = CountedBy


@dataclass(frozen=True)
class Amount:
    """Reserved but unpaid orders, units and value; `value` is in minor units of one currency."""

    orders: int = 0
    units: int = 0
    value: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.orders + other.orders, self.units + other.units, self.value + other.value)


class TooManyUnpaid(Refusal):
    """The order would exceed a limit of its client. `details["counted_by"]` is visitor, email or address,
    `details["limit"]` is orders, units or value. `retry_after` is in seconds.

    The code is `own_orders_unpaid` for the visitor's own orders, which can be paid or cancelled, and else
    `too_many_unpaid`.
    """

    def __init__(self, counted_by: CountedBy, limit: str, message: str) -> None:
        is_own = counted_by == VISITOR
        code = "own_orders_unpaid" if is_own else "too_many_unpaid"
        super().__init__(code, message, counted_by=counted_by, limit=limit)
        self.retry_after = None if is_own else 600


def exceeded(held: Amount, more: Amount, most: Amount) -> str | None:
    """Return the first limit that `more` in addition to `held` would exceed; None if none."""
    both = held + more
    for name in ("orders", "units", "value"):
        if vars(both)[name] > vars(most)[name]:
            return name
    return None


def refusal(
    held: Mapping[CountedBy, Amount], more: Amount, most: Mapping[CountedBy, Amount], currency: str
) -> TooManyUnpaid | None:
    """Refusal of an order for `more` in addition to `held`, for each key of counting; the first exceeded limit
    decides.
    """
    for counted_by, reserved in held.items():
        limit = exceeded(reserved, more, most[counted_by])
        if limit:
            return TooManyUnpaid(counted_by, limit, _message(counted_by, limit, reserved, most[counted_by], currency))
    return None


def _message(counted_by: CountedBy, limit: str, held: Amount, most: Amount, currency: str) -> str:
    if counted_by == ADDRESS:
        return sentence(
            "There are too many unpaid orders from your network. No order was placed. Please try again in ten minutes. "
            "If you have paid for an order with your account before, sign in to order now."
        )
    if counted_by == EMAIL:
        return sentence(
            "There are too many unpaid orders for this e-mail address. No order was placed. "
            "Pay or cancel one of them first, or try again in ten minutes."
        )
    if limit == "orders":
        return sentences(
            "You have %(num)d unpaid order. Pay or cancel it first.",
            "You have %(num)d unpaid orders. Pay or cancel one of them first.",
            held.orders,
        )
    what = sentences("%(num)d item", "%(num)d items", most.units) if limit == "units" else Money(most.value, currency)
    if not held.orders:
        return sentence("An order can contain at most %(most)s. Reduce the quantities.", most=what)
    return sentences(
        "You have %(num)d unpaid order. Together with this order they would be for more than %(most)s. "
        "Pay or cancel it first, or reduce the quantities.",
        "You have %(num)d unpaid orders. Together with this order they would be for more than %(most)s. "
        "Pay or cancel one of them first, or reduce the quantities.",
        held.orders,
        most=what,
    )
