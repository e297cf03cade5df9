"""Ledger entries of the division of money into sales, delivery, discount and tax. Pure."""

from __future__ import annotations

from typing import Protocol

from shop.core.money import Money, smallest
from shop.ledger import chart
from shop.pricing.split import Split

Entries = tuple[tuple[str, Money], ...]


class Divided(Protocol):
    """An order with the division of its total."""

    @property
    def currency(self) -> str: ...

    @property
    def total_amount(self) -> int: ...

    @property
    def tax_amount(self) -> int: ...

    @property
    def delivery_amount(self) -> int: ...

    @property
    def discount_amount(self) -> int: ...


class WithCredit(Divided, Protocol):
    """An order of which store credit may pay a part."""

    @property
    def credit_amount(self) -> int: ...


def _split(order: Divided) -> Split:
    return Split(order.total_amount, order.tax_amount, order.delivery_amount, order.discount_amount)


def by_credit(order: WithCredit) -> Entries:
    """Entries for the store credit that pays a part of the order. They sum to minus the credit."""
    return _paid(order, order.credit_amount, after=0)


def by_payment(order: WithCredit) -> Entries:
    """Entries for the payment of what store credit leaves. They sum to minus that amount."""
    return _paid(order, order.total_amount - order.credit_amount, after=order.credit_amount)


def nothing_due(order: Divided) -> Entries:
    """Entries of an order whose discount leaves nothing to pay. They sum to zero."""
    return _entries(_split(order), order.currency, goods=chart.SALES, sign=-1)


def refunded(order: Divided, amount: int, *, after: int, price: int) -> Entries:
    """Entries for `amount` that is refunded when `after` was refunded before. They sum to `amount`.

    `price` is what the order cost in the end. The goods' share is on the account of refunds.
    """
    part = _split(order).part(amount, after=after, price=price, step=smallest(order.currency))
    return _entries(part, order.currency, goods=chart.REFUNDS, sign=1)


def _paid(order: Divided, amount: int, *, after: int) -> Entries:
    part = _split(order).part(amount, after=after, price=order.total_amount, step=smallest(order.currency))
    return _entries(part, order.currency, goods=chart.SALES, sign=-1)


def _entries(part: Split, currency: str, *, goods: str, sign: int) -> Entries:
    amounts = (
        (goods, part.sales),
        (chart.DELIVERY, part.delivery),
        (chart.DISCOUNTS, -part.discount),
        (chart.TAX_PAYABLE, part.tax),
    )
    return tuple((account, Money(sign * amount, currency)) for account, amount in amounts if amount)
