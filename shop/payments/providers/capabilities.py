"""Capabilities of a provider: currencies, amounts that it can charge, and the behaviour of its API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, timedelta, tzinfo

from shop.core.money import Money
from shop.payments.providers import types


@dataclass(frozen=True)
class Capabilities:
    """Capabilities of a provider. `start_again`: the same start with the same id finds the first one's result.

    `consistency_window`: after a change, a query may miss it for this long. `queries_per_second`: the acquirer's rate
    limit, where it is below the shop's own; None: no limit is known. `action` is the kind of the customer's NextAction.
    `settles_in` is the time zone whose midnight ends the acquirer's business day; fees are rounded to whole `fee_unit`s
    (minor units). `steps`, `least` and `most` are the smallest step, the smallest and the largest charge by currency,
    in minor units, where the acquirer documents one; otherwise 1, 1 and no limit. `pays_by`: see `registry.Method`.
    """

    currencies: frozenset[str]
    start_again: bool = False
    manual_capture: bool = False
    multi_refund: bool = False
    refund_notifies: bool = False
    consistency_window: timedelta = timedelta(0)
    queries_per_second: int | None = None
    action: types.ActionKind = types.ActionKind.REDIRECT
    pays_by: str = ""
    settles_in: tzinfo = UTC
    fee_unit: int = 1
    steps: Mapping[str, int] = field(default_factory=dict)
    least: Mapping[str, int] = field(default_factory=dict)
    most: Mapping[str, int] = field(default_factory=dict)

    def takes(self, money: Money) -> bool:
        """True if an amount can be charged: a whole number of steps between the smallest and the largest charge."""
        most = self.most.get(money.currency, money.amount)
        return self.refunds(money) and self.least.get(money.currency, 1) <= money.amount <= most

    def next_charge(self, money: Money) -> Money | None:
        """The smallest amount of at least `money` that can be charged; None if there is none."""
        step, least = self.steps.get(money.currency, 1), self.least.get(money.currency, 1)
        amount = -(-max(money.amount, least) // step) * step
        return Money(amount, money.currency) if self.takes(Money(amount, money.currency)) else None

    def refunds(self, money: Money) -> bool:
        """True if an amount can be refunded: a whole number of steps."""
        return money.currency in self.currencies and money.amount % self.steps.get(money.currency, 1) == 0
