"""Amounts of returned units: shares of the price, which sum to it in any sequence. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shop.core.line_kinds import LineKind
from shop.core.money import Money
from shop.payments.refunds import decide as refunds
from shop.returns import amounts, decide_arrival
from shop.returns.amounts import Price, Share
from tests.parts.selection import sampled
from tests.payments.order_money import capture, context, snapshot
from tests.returns.rows import one_return


@dataclass(frozen=True)
class Line:
    """A line of an order."""

    kind: LineKind
    unit_amount: int
    quantity: int = 1
    sku: str = ""
    is_included: bool = False
    rate: int | None = None


KETTLE, PENS = Line(LineKind.ITEM, 120_000, 1, "kettle"), Line(LineKind.ITEM, 9000, 3, "pen")
DISCOUNT, DELIVERY = Line(LineKind.DISCOUNT, -14_700), Line(LineKind.DELIVERY, 12_000)
INCLUDED, ADDED = Line(LineKind.TAX, 6900, is_included=True), Line(LineKind.TAX, 14_400)


def price(*lines: Line, step: int = 100, off: int = 0) -> Price:
    total = sum(line.unit_amount * line.quantity for line in lines if not line.is_included)
    return amounts.price_of(lines, total + off, step)


PRICES = {
    "items alone": (price(KETTLE, PENS), 147_000, 0),
    "a discount belongs to the goods": (price(KETTLE, PENS, DISCOUNT), 132_300, 0),
    "delivery is apart": (price(KETTLE, PENS, DELIVERY), 147_000, 12_000),
    "included tax adds nothing": (price(KETTLE, PENS, DELIVERY, INCLUDED), 147_000, 12_000),
    "added tax belongs to both": (price(KETTLE, PENS, DISCOUNT, DELIVERY, ADDED), 145_500, 13_200),
    "an accepted amount changes the goods": (price(KETTLE, DELIVERY, off=-20_000), 100_000, 12_000),
    "less than the delivery was accepted": (price(KETTLE, DELIVERY, off=-122_000), 0, 10_000),
    "all is free": (price(KETTLE, Line(LineKind.DISCOUNT, -120_000)), 0, 0),
}


@pytest.mark.parametrize(("found", "goods", "delivery"), PRICES.values(), ids=PRICES)
def test_an_order_costs_goods_and_delivery(found: Price, goods: int, delivery: int) -> None:
    assert (found.goods, found.delivery) == (goods, delivery)


ALL = price(KETTLE, PENS, DISCOUNT, DELIVERY)
SHARES: dict[str, tuple[Price, Mapping[str, int], Mapping[str, int], Share]] = {
    "one of three pens": (ALL, {}, {"pen": 1}, Share({"pen": 8100}, 0)),
    "the second pen": (ALL, {"pen": 1}, {"pen": 1}, Share({"pen": 8100}, 0)),
    "the kettle, while a pen stays": (ALL, {"pen": 2}, {"kettle": 1}, Share({"kettle": 108_000}, 0)),
    "the last unit, with the delivery": (ALL, {"pen": 2, "kettle": 1}, {"pen": 1}, Share({"pen": 8100}, 12_000)),
    "everything at once": (ALL, {}, {"pen": 3, "kettle": 1}, Share({"kettle": 108_000, "pen": 24_300}, 12_000)),
    "nothing": (ALL, {"pen": 1}, {}, Share({}, 0)),
}


@pytest.mark.parametrize(("of", "before", "now", "share"), SHARES.values(), ids=SHARES)
def test_returned_units_cost_their_share(
    of: Price, before: Mapping[str, int], now: Mapping[str, int], share: Share
) -> None:
    assert amounts.share(of, before, now) == share


def test_what_rounding_leaves_is_refunded_with_the_last_units() -> None:
    of = price(Line(LineKind.ITEM, 100, 3, "pen"), Line(LineKind.DISCOUNT, -100))
    shares = [amounts.share(of, {"pen": before}, {"pen": 1}).total for before in range(3)]
    assert shares == [0, 100, 100] and sum(shares) == 200


@st.composite
def orders(draw: st.DrawFn) -> Price:
    """The price of an order with charges in whole steps, perhaps with another accepted amount."""
    step = draw(st.sampled_from([1, 100]))
    items = [
        Line(LineKind.ITEM, draw(st.integers(0, 5000)) * step, draw(st.integers(1, 4)), f"sku-{number}")
        for number in range(draw(st.integers(1, 3)))
    ]
    goods = sum(line.unit_amount * line.quantity for line in items)
    discount = draw(st.integers(0, goods // step)) * step
    delivery, tax = draw(st.integers(0, 300)) * step, draw(st.integers(0, 300)) * step
    charges = [Line(LineKind.DISCOUNT, -discount), Line(LineKind.DELIVERY, delivery)]
    charges.append(Line(LineKind.TAX, tax, is_included=draw(st.booleans())))
    off = draw(st.sampled_from([0, 0, -3, 7, -500]))
    total = sum(line.unit_amount * line.quantity for line in [*items, *charges] if not line.is_included)
    return amounts.price_of([*items, *charges], max(0, total + off), step)


@settings(max_examples=sampled(300, 3000, quick=100), deadline=None)
@given(orders(), st.randoms(use_true_random=False), st.integers(0, 3), st.integers(0, 10_000))
def test_refunds_of_any_sequence_of_returns_stay_within_what_was_captured_and_sum_to_it_when_all_is_returned(
    of: Price, chance: Random, kept: int, credit: int
) -> None:
    """Each unit is returned, but for some that the customer keeps; the order was paid by a capture and store credit."""
    total = of.goods + of.delivery
    credit = min(credit, total)
    units = [item.sku for item in of.items for _ in range(item.quantity)]
    chance.shuffle(units)
    kept = min(kept, len(units) - 1)
    returned, before, refunded, numbers = units[kept:], dict[str, int](), 0, count(900)
    money = snapshot(*([capture(amount=total - credit)] if total > credit else []), credit=credit)
    while returned:
        number = chance.randint(1, len(returned))
        parcel, returned = returned[:number], returned[number:]
        now = {sku: parcel.count(sku) for sku in parcel}
        share = amounts.share(of, before, now)
        assert share.total >= 0 and min(share.lines.values()) >= 0 and set(share.lines) == set(now)
        if share.total:
            one = one_return(goods_amount=share.goods, delivery_amount=share.delivery)
            granted = Money(share.total, "TWD")
            for part in decide_arrival.parts(one, money, granted, share.total):
                part_of = refunds.Request(
                    part.capture_id,
                    Money(part.amount, "TWD"),
                    "",
                    "provider" if part.capture_id else "store_credit",
                )
                money = refunds.request(money, part_of, context(numbers=numbers)).after
        refunded += share.total
        before = {sku: before.get(sku, 0) + now.get(sku, 0) for sku in {*before, *now}}
        assert refunded <= total and sum(row.amount for row in money.refunds) == refunded
    assert (refunded == total) if not kept else refunded <= of.goods
