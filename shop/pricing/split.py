"""Division of an order's total into sales, delivery, discount and tax, and of each part of it. Pure: whole minor units.

Two rules of rounding. An amount that is divided once is divided by the largest remainder: each share is rounded down,
and the smallest amounts that are left go to the shares that lost most. An amount that is paid or refunded in several
parts is divided cumulatively: a part gets the shares of everything up to it, less the shares of everything before it.
So the parts of an order always sum to the order, in whichever order and however often they are refunded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Split:
    """An amount and what is in it, in minor units: total = sales + delivery − discount + tax.

    Sales, delivery and discount are without tax.
    """

    total: int
    tax: int = 0
    delivery: int = 0
    discount: int = 0

    @property
    def sales(self) -> int:
        """Net price of the goods before the discount."""
        return self.total - self.tax - self.delivery + self.discount

    def __sub__(self, other: Split) -> Split:
        return Split(
            self.total - other.total,
            self.tax - other.tax,
            self.delivery - other.delivery,
            self.discount - other.discount,
        )

    def first(self, amount: int, price: int, step: int) -> Split:
        """The shares of the first `amount` of an order with this split that costs `price`, which differs from the total
        if another amount was accepted.

        Tax, delivery and discount are rounded down to multiples of `step`; sales take the rest, and whatever exceeds
        the price.
        """
        if amount >= price:
            return Split(amount, self.tax, self.delivery, self.discount)

        def share(whole: int) -> int:
            return max(0, amount) * whole // (price * step) * step

        return Split(max(0, amount), share(self.tax), share(self.delivery), share(self.discount))

    def part(self, amount: int, *, after: int, price: int, step: int) -> Split:
        """The shares of `amount` when `after` was divided before it."""
        return self.first(after + amount, price, step) - self.first(after, price, step)


def largest_remainder(amount: int, weights: Sequence[int], step: int = 1) -> list[int]:
    """Divide `amount` in proportion to `weights` into multiples of `step`; what is no multiple goes to the first share.

    Shares of equal remainder come in their order. Without any weight everything goes to the first share.
    """
    whole = sum(weights)
    if not whole:
        return [amount, *(0 for _ in weights[1:])]
    units, odd = divmod(amount, step)
    shares = [units * weight // whole for weight in weights]
    by_loss = sorted(range(len(weights)), key=lambda at: -(units * weights[at] % whole))
    for at in by_loss[: units - sum(shares)]:
        shares[at] += 1
    return [share * step + (odd if at == 0 else 0) for at, share in enumerate(shares)]
