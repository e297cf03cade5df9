"""Decide what an order costs: goods, delivery, discount and tax as charges. Pure: no database, no Flask, no clock.

    goods                               Σ unit price × quantity
    − discount                          of the goods, never more than they cost; percentages are rounded half up
    + delivery                          free from an amount of goods after the discount
    + tax, where prices exclude it      of goods − discount + delivery, by country and rate, rounded half up
    = total                             tax that prices include is stated, and adds nothing

Goods of several tax classes are taxed with the rate of each, and the discount is divided among them in proportion to
what they cost. Delivery has the standard rate of the country.

All amounts are whole numbers of the smallest amount that customers pay (TWD and JPY: whole units).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from shop.core.errors import BadInput, Refusal
from shop.core.line_kinds import LineKind
from shop.core.money import Money, smallest
from shop.core.sentences import sentence
from shop.core.tax_classes import TaxClass
from shop.pricing.split import Split, largest_remainder

RATE = 100_000
"""Rates are whole thousandths of a percent: 5 % is 5,000."""
Classes = Mapping[TaxClass, int]
"""Goods by their tax class, in minor units."""


@dataclass(frozen=True)
class Tax:
    """Tax of a country. `is_included` means that prices contain it. Without a `reduced` rate there is one rate."""

    country: str
    name: str
    rate: int
    is_included: bool
    reduced: int | None = None

    def rate_of(self, tax_class: TaxClass) -> int:
        """The rate of a product of this class."""
        reduced = self.rate if self.reduced is None else self.reduced
        return {TaxClass.REDUCED: reduced, TaxClass.ZERO: 0}.get(tax_class, self.rate)

    def key(self, rate: int) -> str:
        """The key of the charge with this rate; those of an order differ."""
        return self.country if rate == self.rate else f"{self.country}-{rate}"


@dataclass(frozen=True)
class Method:
    """A delivery method with its prices in minor units by currency. It delivers to `countries`, with `exceptions` to
    all others; without any to all of them, and to none while it is not offered.

    It is free from `free_from` of goods.
    """

    key: str
    name: str
    prices: Mapping[str, int]
    free_from: Mapping[str, int] = field(default_factory=dict)
    countries: Sequence[str] = ()
    is_offered: bool = True
    exceptions: Sequence[str] = ()

    def delivers(self, country: str, currency: str) -> bool:
        listed = not self.countries or country in self.countries
        reaches = country not in self.exceptions if self.exceptions else listed
        return self.is_offered and currency in self.prices and reaches

    def price(self, goods: Money) -> Money:
        """The price for goods of this amount."""
        free = self.free_from.get(goods.currency)
        is_free = free is not None and goods.amount >= free
        return Money(0 if is_free else self.prices[goods.currency], goods.currency)


@dataclass(frozen=True)
class Code:
    """A discount code and what is left of it in the order's currency: `percent` off, or `amount` off.

    `is_sold_in` says that it is valid in the currency. `budget` is the sum of discounts that it may give in the
    currency, `spent` the sum that it has given.
    """

    code: str
    percent: int | None = None
    amount: int | None = None
    is_sold_in: bool = True
    is_active: bool = True
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    use_limit: int | None = None
    uses: int = 0
    budget: int | None = None
    spent: int = 0
    once_per_email: bool = True

    def discount(self, goods: Money) -> Money:
        """The discount on goods of this amount."""
        if self.percent == 100:
            return goods
        off = self.amount or 0
        if self.percent is not None:
            off = _rounded(goods.amount * self.percent, 100, smallest(goods.currency))
        return Money(min(off, goods.amount), goods.currency)


@dataclass(frozen=True)
class Rules:
    """The rows that apply to an order's country, currency and code. Without `methods` delivery is free of charge and
    needs no choice.
    """

    tax: Tax | None = None
    methods: tuple[Method, ...] = ()
    code: Code | None = None


@dataclass(frozen=True)
class Choices:
    """The customer's choices. No delivery method means the first one; no code means no discount. `language` is the
    locale of the names on the charges.
    """

    country: str
    delivery: str = ""
    code: str = ""
    language: str = "en"


@dataclass(frozen=True)
class Charge:
    """A line of an order that is no product. `amount` is what it adds, negative for a discount; an included tax adds
    nothing and states how much of the total it is.
    """

    kind: LineKind
    key: str
    name: str
    amount: Money
    rate: int | None = None
    is_included: bool = False

    @property
    def total(self) -> Money:
        """The amount, under the name that lines of orders have."""
        return self.amount

    @property
    def adds(self) -> int:
        return 0 if self.is_included else self.amount.amount


@dataclass(frozen=True)
class Quote:
    """The price of an order. `refusal` says why it cannot be ordered like this; its code or delivery is then left out.

    `methods` are the delivery methods for the country, `method` the chosen one.
    """

    goods: Money
    charges: tuple[Charge, ...]
    split: Split
    methods: tuple[Method, ...] = ()
    method: Method | None = None
    code: Code | None = None
    refusal: Refusal | None = None
    tax: Tax | None = None

    @property
    def total(self) -> Money:
        return Money(self.split.total, self.goods.currency)

    @property
    def discount(self) -> Money:
        """The discount as a positive amount."""
        return self._sum(LineKind.DISCOUNT) * -1

    @property
    def discounted(self) -> Money:
        """The goods less the discount, which decides whether delivery is free."""
        return self.goods + self._sum(LineKind.DISCOUNT)

    @property
    def terms(self) -> tuple[tuple[str, int], ...]:
        """Terms of the form's digest: the delivery method with its price, and amounts of other charges except zero.

        The method is named with its key, `delivery:express`.
        """
        found: Counter[str] = Counter()
        for one in self.charges:
            found[f"{one.kind}:{one.key}" if one.kind == LineKind.DELIVERY else str(one.kind)] += one.adds
        return tuple(sorted((name, adds) for name, adds in found.items() if adds or ":" in name))

    def rate_of(self, tax_class: TaxClass) -> int | None:
        """The rate of tax for products of a class; None in a country without tax."""
        return self.tax.rate_of(tax_class) if self.tax else None

    def _sum(self, kind: LineKind) -> Money:
        return Money(sum(charge.amount.amount for charge in self.charges if charge.kind == kind), self.goods.currency)


def quote(goods: Money, choices: Choices, rules: Rules, now: datetime, classes: Classes | None = None) -> Quote:
    """Return what `goods` cost with these choices. `classes` divide them by tax class; all are standard without it.

    Its refusal is `no_delivery`, that of the code: `unknown_code`, `code_not_valid` (not yet, not in this currency, or
    without effect), `code_expired`, `code_used_up`, or `delivery_changed` when the chosen method is not offered; the
    first one then takes its place.
    """
    refusal, discount = None, Money(0, goods.currency)
    code = rules.code if choices.code else None
    if choices.code:
        refusal = _code_refusal(code, goods, now)
        code = None if refusal else code
        discount = code.discount(goods) if code else discount
    discounted = goods + discount * -1
    methods = tuple(one for one in rules.methods if one.delivers(choices.country, goods.currency))
    chosen = next((one for one in methods if one.key == choices.delivery), methods[0] if methods else None)
    if rules.methods and chosen is None:
        refusal = BadInput(
            "no_delivery",
            sentence("We do not deliver to this country for orders in %(currency)s.", currency=goods.currency),
        )
    elif refusal is None and choices.delivery and (chosen is None or chosen.key != choices.delivery):
        refusal = Refusal(
            "delivery_changed", sentence("The delivery method that you chose is not available for this order.")
        )
    delivery = chosen.price(discounted) if chosen else Money(0, goods.currency)
    split, taxes = _split(goods, delivery, discount, rules.tax, classes or {})
    charges = [Charge(LineKind.DISCOUNT, code.code, code.code, discount * -1)] if code else []
    rate = rules.tax.rate if rules.tax else None
    charges += [Charge(LineKind.DELIVERY, chosen.key, chosen.name, delivery, rate)] if chosen else []
    charges += taxes
    return Quote(goods, tuple(charges), split, methods, chosen, code, refusal, rules.tax)


@dataclass(frozen=True)
class _Part:
    """Goods, delivery and discount that are taxed with one rate, and the tax, in minor units."""

    goods: int
    delivery: int
    discount: int
    rate: int
    tax: int


def _split(
    goods: Money, delivery: Money, discount: Money, tax: Tax | None, classes: Classes
) -> tuple[Split, list[Charge]]:
    """The division of the total, and the lines that state the tax, one for each rate."""
    currency, step = goods.currency, smallest(goods.currency)
    taxed = goods.amount - discount.amount + delivery.amount
    if tax is None:
        return Split(taxed, 0, delivery.amount, discount.amount), []
    parts = _parts(goods.amount, delivery.amount, discount.amount, tax, classes, step)
    lines = [
        Charge(LineKind.TAX, tax.key(one.rate), tax.name, Money(one.tax, currency), one.rate, tax.is_included)
        for one in parts
    ]
    whole = sum(one.tax for one in parts)
    if not tax.is_included:
        return Split(taxed + whole, whole, delivery.amount, discount.amount), lines
    off = of_delivery = 0
    for one in parts:
        contained = _rounded(one.discount * one.rate, RATE + one.rate, step)
        off += contained
        of_delivery += largest_remainder(one.tax + contained, (one.goods, one.delivery), step)[1]
    return Split(taxed, whole, delivery.amount - of_delivery, discount.amount - off), lines


def _parts(goods: int, delivery: int, discount: int, tax: Tax, classes: Classes, step: int) -> list[_Part]:
    """The order by rates of tax, the standard rate first. A rate that nothing is taxed with is left out."""
    by_rate = Counter({tax.rate: goods - sum(classes.values())})
    for tax_class, amount in classes.items():
        by_rate[tax.rate_of(tax_class)] += amount
    rates = [rate for rate in by_rate if by_rate[rate] or (rate == tax.rate and (delivery or not goods))]
    rates.sort(key=lambda rate: (rate != tax.rate, -rate))
    shares = largest_remainder(discount, [by_rate[rate] for rate in rates], step)
    found = []
    for rate, off in zip(rates, shares, strict=True):
        sent = delivery if rate == tax.rate else 0
        taxed = by_rate[rate] - off + sent
        owed = _rounded(taxed * rate, RATE + rate if tax.is_included else RATE, step)
        found.append(_Part(by_rate[rate], sent, off, rate, owed))
    return found


def _rounded(product: int, divisor: int, step: int) -> int:
    """product ÷ divisor, rounded half up to a multiple of `step`."""
    return (2 * product + divisor * step) // (2 * divisor * step) * step


def _code_refusal(code: Code | None, goods: Money, now: datetime) -> Refusal | None:
    if code is None or not code.is_active:
        return BadInput("unknown_code", sentence("This discount code is not valid."))
    if code.starts_at is not None and now < code.starts_at:
        return BadInput("code_not_valid", sentence("This discount code is not valid yet."))
    if code.ends_at is not None and now >= code.ends_at:
        return BadInput("code_expired", sentence("This discount code has expired."))
    if not code.is_sold_in:
        return BadInput(
            "code_not_valid",
            sentence("This discount code is not valid for orders in %(currency)s.", currency=goods.currency),
        )
    if code.use_limit is not None and code.uses >= code.use_limit:
        return used_up()
    if code.budget is not None and code.spent + code.discount(goods).amount > code.budget:
        return used_up() if code.spent >= code.budget else _more_than_is_left()
    if not code.discount(goods).amount:
        return BadInput("code_not_valid", sentence("This discount code takes nothing off this order."))
    return None


def used_up() -> Refusal:
    """Refusal of a code without a use or budget left."""
    return Refusal("code_used_up", sentence("This discount code has been used up."))


def _more_than_is_left() -> Refusal:
    return Refusal("code_used_up", sentence("What is left of this discount code is too little for this order."))


def without_order(refusal: Refusal) -> Refusal:
    """The refusal with the sentence that no order was placed."""
    return type(refusal)(refusal.code, sentence("%(reason)s No order was placed.", reason=refusal.message))


def used_before() -> Refusal:
    """Refusal of a code that another order of the e-mail address uses."""
    return Refusal("code_used_before", sentence("This discount code has already been used with this e-mail address."))
