"""Amounts of returned units: their share of what the order cost, tax and discount included. Pure: whole minor units.

The products of an order cost its price less the delivery with its tax. Returned units get the share of their list
prices (where tax is added: with the tax of each product), rounded down, and computed cumulatively: a return gets the
share of everything returned up to it, less that of everything returned before it. So the returns of an order never sum
to more than its price, and those of all its units sum to exactly its price, whatever their order. The delivery is
refunded with the last unit of the order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from shop.core.line_kinds import LineKind
from shop.pricing.decide import RATE
from shop.pricing.split import largest_remainder

Units = Mapping[str, int]
"""Units by SKU."""


class Charged(Protocol):
    """A line of an order."""

    @property
    def kind(self) -> LineKind: ...

    @property
    def sku(self) -> str: ...

    @property
    def quantity(self) -> int: ...

    @property
    def unit_amount(self) -> int: ...

    @property
    def is_included(self) -> bool: ...

    @property
    def rate(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Item:
    """A line of products. The goods of an order are divided by `weight`, the list price of a unit; where tax is added,
    with the tax of the product.
    """

    sku: str
    quantity: int
    weight: int


@dataclass(frozen=True, slots=True)
class Price:
    """Price of an order in the end: `goods` for its products and `delivery`, both with tax, the goods less the
    discount. Shares are multiples of `step`.
    """

    goods: int
    delivery: int
    step: int
    items: tuple[Item, ...]

    def up_to(self, returned: Units) -> tuple[int, int]:
        """Goods and delivery that all units returned so far cost."""
        if all(returned.get(item.sku, 0) >= item.quantity for item in self.items):
            return self.goods, self.delivery
        whole = sum(item.weight * item.quantity for item in self.items)
        value = sum(item.weight * returned.get(item.sku, 0) for item in self.items)
        return (self.goods * value // (whole * self.step) * self.step if whole else 0), 0


@dataclass(frozen=True, slots=True)
class Share:
    """Price of the units of one return: by SKU, and the delivery if they are the last ones of the order."""

    lines: Mapping[str, int]
    delivery: int

    @property
    def goods(self) -> int:
        return sum(self.lines.values())

    @property
    def total(self) -> int:
        return self.goods + self.delivery


def price_of(lines: Sequence[Charged], price: int, step: int) -> Price:
    """The price of an order with these lines that cost `price` in the end, which differs from their sum if another
    amount was accepted. Tax that was added belongs to goods and delivery in proportion to the tax of each.
    """
    added = sum(_amount(line) for line in lines if line.kind == LineKind.TAX and not line.is_included)
    sold = [line for line in lines if line.kind == LineKind.ITEM]
    items = tuple(Item(line.sku, line.quantity, line.unit_amount * (RATE + bool(added) * _rate(line))) for line in sold)
    goods = sum(_amount(line) for line in lines if line.kind in (LineKind.ITEM, LineKind.DISCOUNT))
    sent = [line for line in lines if line.kind == LineKind.DELIVERY]
    delivery = sum(_amount(line) for line in sent)
    _, of_delivery = largest_remainder(added, _taxed(sold, max(0, goods), sent), step)
    with_tax = min(delivery + of_delivery, price)
    return Price(price - with_tax, with_tax, step, items)


def share(price: Price, before: Units, now: Units) -> Share:
    """Price of the units `now` when the units `before` were returned earlier."""
    both = {item.sku: before.get(item.sku, 0) + now.get(item.sku, 0) for item in price.items}
    goods_before, delivery_before = price.up_to(before)
    goods, delivery = price.up_to(both)
    items = [item for item in price.items if now.get(item.sku, 0)]
    weights = [item.weight * now[item.sku] for item in items]
    divided = largest_remainder(goods - goods_before, weights, price.step) if items else []
    lines = {item.sku: amount for item, amount in zip(items, divided, strict=True)}
    return Share(lines, delivery - delivery_before if items else 0)


def _taxed(sold: Sequence[Charged], goods: int, sent: Sequence[Charged]) -> tuple[int, int]:
    """Weights of the tax of goods, which cost `goods` after the discount, and of delivery."""
    listed = sum(_amount(line) for line in sold)
    return _by_rate(sold) * goods, _by_rate(sent) * max(1, listed)


def _by_rate(lines: Sequence[Charged]) -> int:
    return sum(_amount(line) * _rate(line) for line in lines)


def _rate(line: Charged) -> int:
    """The rate of a line; all lines of an order from before products had classes have the same."""
    return 1 if line.rate is None else line.rate


def _amount(line: Charged) -> int:
    return line.quantity * line.unit_amount
