"""The price of an order, as a table and as properties. No database."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shop.core.line_kinds import LineKind
from shop.core.money import CURRENCIES, Money, smallest
from shop.pricing.decide import Choices, Code, Method, Quote, Rules, Tax, quote
from shop.pricing.split import Split
from tests.parts.selection import sampled

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
INCLUDED, ADDED = Tax("TW", "VAT", 5000, True), Tax("TW", "VAT", 5000, False)
STANDARD = Method("standard", "Standard", {"TWD": 0, "JPY": 0})
EXPRESS = Method("express", "Express", {"TWD": 12000}, {"TWD": 300000}, ("TW", "HK"))
BOTH = (STANDARD, EXPRESS)
TEN, FIFTY = Code("TEN", percent=10), Code("FIFTY", amount=5000)


@dataclass(frozen=True)
class Case:
    """Goods in minor units of `currency`, choices and rules."""

    goods: int = 120000
    currency: str = "TWD"
    country: str = "TW"
    delivery: str = ""
    code: Code | None = None
    tax: Tax | None = None
    methods: tuple[Method, ...] = ()
    typed: str = ""

    def quote(self) -> Quote:
        typed = self.typed or (self.code.code if self.code else "")
        choices = Choices(self.country, self.delivery, typed)
        return quote(Money(self.goods, self.currency), choices, Rules(self.tax, self.methods, self.code), NOW)


PRICED = {
    "a shop without rules": (Case(), Split(120000), ()),
    "tax that prices include": (Case(tax=INCLUDED), Split(120000, tax=5700), ()),
    "tax that is added": (Case(tax=ADDED), Split(126000, tax=6000), (("tax", 6000),)),
    "the first delivery method": (Case(methods=BOTH), Split(120000), (("delivery:standard", 0),)),
    "express": (
        Case(methods=BOTH, delivery="express"),
        Split(132000, delivery=12000),
        (("delivery:express", 12000),),
    ),
    "express from its free amount on": (
        Case(300000, methods=BOTH, delivery="express"),
        Split(300000),
        (("delivery:express", 0),),
    ),
    "ten percent": (Case(code=TEN), Split(108000, discount=12000), (("discount", -12000),)),
    "an amount": (Case(code=FIFTY), Split(115000, discount=5000), (("discount", -5000),)),
    "never more than the goods": (Case(3000, code=FIFTY), Split(0, discount=3000), (("discount", -3000),)),
    "everything, odd cents included": (
        Case(120040, code=Code("ALL", percent=100)),
        Split(0, discount=120040),
        (("discount", -120040),),
    ),
    "the discount decides whether delivery is free": (
        Case(310000, methods=BOTH, delivery="express", code=TEN),
        Split(291000, delivery=12000, discount=31000),
        (("delivery:express", 12000), ("discount", -31000)),
    ),
    "percentages in whole dollars": (Case(118500, code=TEN), Split(106600, discount=11900), (("discount", -11900),)),
    "yen": (
        Case(5605, "JPY", code=TEN, methods=(STANDARD,)),
        Split(5044, discount=561),
        (("delivery:standard", 0), ("discount", -561)),
    ),
    "added tax on goods, discount and delivery": (
        Case(methods=BOTH, delivery="express", code=TEN, tax=ADDED),
        Split(126000, tax=6000, delivery=12000, discount=12000),
        (("delivery:express", 12000), ("discount", -12000), ("tax", 6000)),
    ),
    "included tax of goods, discount and delivery": (
        Case(methods=BOTH, delivery="express", code=TEN, tax=INCLUDED),
        Split(120000, tax=5700, delivery=11400, discount=11400),
        (("delivery:express", 12000), ("discount", -12000)),
    ),
}


@pytest.mark.parametrize(("case", "split", "terms"), PRICED.values(), ids=PRICED)
def test_an_order_costs(case: Case, split: Split, terms: tuple[tuple[str, int], ...]) -> None:
    found = case.quote()
    assert (found.refusal, found.split, found.terms) == (None, split, terms)
    assert found.total == Money(split.total, case.currency)


DAY = timedelta(days=1)
REFUSED = {
    "a code that does not exist": (Case(typed="NOPE"), "unknown_code", 422),
    "a disabled code": (Case(code=replace(TEN, is_active=False)), "unknown_code", 422),
    "a code of tomorrow": (Case(code=replace(TEN, starts_at=NOW + DAY)), "code_not_valid", 422),
    "a code of yesterday": (Case(code=replace(TEN, ends_at=NOW)), "code_expired", 422),
    "a code that rounds to nothing": (Case(4000, code=Code("ONE", percent=1)), "code_not_valid", 422),
    "a code of another currency": (Case(code=replace(FIFTY, is_sold_in=False)), "code_not_valid", 422),
    "a code at its limit": (Case(code=replace(TEN, use_limit=3, uses=3)), "code_used_up", 409),
    "a code whose budget is too small": (Case(code=replace(TEN, budget=20000, spent=8001)), "code_used_up", 409),
    "no delivery to the country": (Case(country="US", methods=(EXPRESS,)), "no_delivery", 422),
    "no delivery in the currency": (Case(1000, "USD", methods=BOTH), "no_delivery", 422),
}


@pytest.mark.parametrize(("case", "code", "status"), REFUSED.values(), ids=REFUSED)
def test_an_order_cannot_be_placed_with(case: Case, code: str, status: int) -> None:
    found = case.quote()
    assert found.refusal is not None
    assert (found.refusal.code, found.refusal.status) == (code, status)
    assert found.total == Money(case.goods, case.currency), "the page shows the total without it"


def test_the_last_use_and_the_last_of_a_budget_can_be_spent() -> None:
    assert Case(code=replace(TEN, use_limit=3, uses=2, budget=20000, spent=8000)).quote().refusal is None


def test_a_method_that_does_not_deliver_to_the_country_is_refused_and_the_first_that_does_is_shown() -> None:
    found = Case(country="JP", methods=BOTH, delivery="express").quote()
    assert found.method == STANDARD and found.methods == (STANDARD,)
    assert found.refusal is not None
    assert (found.refusal.code, found.refusal.status) == ("delivery_changed", 409)


@pytest.mark.parametrize(
    ("countries", "exceptions", "reached"),
    [((), (), "JP TW"), (("TW",), (), "TW"), (("JP",), ("TW",), "JP"), (("US",), ("TW",), "JP")],
)
def test_a_method_reaches_its_countries_or_all_except_them(
    countries: tuple[str, ...], exceptions: tuple[str, ...], reached: str
) -> None:
    method = replace(STANDARD, countries=countries, exceptions=exceptions)
    assert [code for code in ("JP", "TW") if method.delivers(code, "TWD")] == reached.split()


def test_a_chosen_method_is_refused_when_none_is_offered_any_more() -> None:
    found = Case(delivery="express").quote()
    assert found.refusal is not None and found.refusal.code == "delivery_changed"


def test_methods_of_one_price_are_different_terms() -> None:
    pickup = replace(STANDARD, key="pickup")
    assert Case(methods=(STANDARD,)).quote().terms != Case(methods=(pickup,)).quote().terms


def test_a_country_without_a_tax_rate_has_no_tax() -> None:
    assert Case(country="JP").quote().charges == ()


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Amounts in whole steps, as the shop sells; any rates, prices and codes."""
    currency = draw(st.sampled_from(CURRENCIES))
    step = smallest(currency)
    amount = st.integers(0, 10**7).map(lambda units: units * step)
    tax = Tax("TW", "VAT", draw(st.integers(0, 100_000)), draw(st.booleans()))
    method = Method("m", "M", {currency: draw(amount)}, {currency: draw(amount)})
    percent = draw(st.none() | st.integers(1, 100))
    code = Code("C", percent=percent, amount=None if percent else draw(amount))
    return Case(
        draw(amount),
        currency,
        code=draw(st.none() | st.just(code)),
        tax=draw(st.none() | st.just(tax)),
        methods=draw(st.sampled_from([(), (method,)])),
    )


@settings(max_examples=sampled(500, 5000, quick=100), deadline=None)
@given(cases())
def test_the_lines_sum_to_the_total_and_the_split_has_the_same_total(case: Case) -> None:
    found = case.quote()
    step, split = smallest(case.currency), found.split
    assert case.goods + sum(charge.adds for charge in found.charges) == found.total.amount == split.total
    assert min(split.total, split.tax, split.delivery, split.discount, split.sales) >= 0
    assert all(amount % step == 0 for amount in (split.total, split.tax, split.delivery, split.discount))
    assert split.sales + split.delivery - split.discount + split.tax == split.total
    assert found.discount.amount <= case.goods


@settings(max_examples=sampled(500, 5000, quick=100), deadline=None)
@given(cases())
def test_tax_is_its_rate_of_what_is_taxed(case: Case) -> None:
    found = case.quote()
    lines = [charge for charge in found.charges if charge.kind == LineKind.TAX]
    assert len(lines) == (case.tax is not None)
    for line in lines:
        assert line.rate is not None
        net = found.total.amount - line.amount.amount
        assert abs(net * line.rate - line.amount.amount * 100_000) <= (100_000 + line.rate) * smallest(case.currency)
