"""Views of a cart and its lines. No database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from shop.catalogue.refusals import NotSoldIn
from shop.checkout import agreement
from shop.core.money import Money
from shop.core.tax_classes import TaxClass


@dataclass(frozen=True)
class Line:
    """A product of a cart at its current price. `price_was` is the price that the customer saw, if it has changed.

    `available` is the number of units that are not reserved.
    """

    sku: str
    slug: str
    name: str
    image: str
    unit_price: Money
    quantity: int
    available: int
    price_was: Money | None
    tax_class: TaxClass = TaxClass.STANDARD

    @property
    def total(self) -> Money:
        return self.unit_price * self.quantity

    @property
    def is_short(self) -> bool:
        return self.available < self.quantity


@dataclass(frozen=True)
class UnpricedLine:
    """A product of a cart that has no price in the cart's currency. It cannot be ordered and is in no total."""

    sku: str
    slug: str
    name: str
    image: str
    quantity: int
    currency: str

    @property
    def refusal(self) -> NotSoldIn:
        return NotSoldIn(self.sku, self.name, self.currency)


@dataclass(frozen=True)
class CartView:
    """A cart with its lines. `id` is empty for a cart that does not exist. `has_delivery_methods` says that its page
    cannot know yet what delivery costs.
    """

    id: str
    currency: str
    checkout_key: str
    lines: tuple[Line, ...]
    unpriced: tuple[UnpricedLine, ...] = ()
    has_delivery_methods: bool = False

    @property
    def total(self) -> Money:
        return sum((line.total for line in self.lines), Money(0, self.currency))

    @property
    def tax_classes(self) -> dict[TaxClass, int]:
        """The total by tax class, in minor units."""
        found: Counter[TaxClass] = Counter()
        for line in self.lines:
            found[line.tax_class] += line.total.amount
        return found

    @property
    def count(self) -> int:
        return sum(line.quantity for line in self.lines)

    @property
    def units(self) -> int:
        """Units of all products, those without a price included."""
        return self.count + sum(line.quantity for line in self.unpriced)

    @property
    def is_empty(self) -> bool:
        return not self.lines and not self.unpriced

    @property
    def terms(self) -> agreement.Terms:
        """The terms that a customer accepts by ordering this cart, without charges."""
        return self.terms_with(())

    def terms_with(self, charges: Iterable[tuple[str, int]]) -> agreement.Terms:
        """The terms that a customer accepts by ordering this cart with these charges, as `Quote.terms` lists them."""
        lines = ((line.sku, line.quantity, line.unit_price.amount) for line in self.lines)
        return agreement.terms(self.currency, lines, charges)


@dataclass(frozen=True)
class Summary:
    """Currency and units of a cart."""

    currency: str
    units: int
