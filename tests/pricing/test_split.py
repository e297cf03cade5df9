"""Division of totals: largest remainder, and cumulative shares of parts."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shop.pricing.split import Split, largest_remainder
from tests.parts.selection import sampled

DIVIDED = {
    "exactly": (100, (3, 1), 1, [75, 25]),
    "to whom loses most": (100, (1, 1, 1), 1, [34, 33, 33]),
    "by the larger remainder": (10, (17, 13), 1, [6, 4]),
    "in whole dollars": (1000, (1, 1, 1), 100, [400, 300, 300]),
    "with cents that are no dollar": (1050, (1, 1), 100, [550, 500]),
    "without weights": (7, (0, 0), 1, [7, 0]),
    "nothing": (0, (2, 5), 1, [0, 0]),
}


@pytest.mark.parametrize(("amount", "weights", "step", "shares"), DIVIDED.values(), ids=DIVIDED)
def test_an_amount_is_divided(amount: int, weights: tuple[int, ...], step: int, shares: list[int]) -> None:
    assert largest_remainder(amount, weights, step) == shares


@settings(max_examples=sampled(500, 5000, quick=100), deadline=None)
@given(st.integers(0, 10**9), st.lists(st.integers(0, 10**9), min_size=1, max_size=6))
def test_shares_sum_to_the_amount_and_are_off_by_less_than_one(amount: int, weights: list[int]) -> None:
    shares, whole = largest_remainder(amount, weights), sum(weights)
    assert sum(shares) == amount
    for share, weight in zip(shares, weights, strict=True) if whole else ():
        assert abs(share * whole - amount * weight) < whole


@st.composite
def splits(draw: st.DrawFn) -> tuple[Split, int]:
    """A split in whole steps, and the step."""
    step = draw(st.sampled_from([1, 100]))
    sales, tax, delivery = (draw(st.integers(0, 10**6)) * step for _ in range(3))
    discount = draw(st.integers(0, sales // step)) * step
    return Split(sales + tax + delivery - discount, tax, delivery, discount), step


@settings(max_examples=sampled(500, 5000, quick=100), deadline=None)
@given(splits(), st.lists(st.integers(1, 10**6), max_size=5), st.sampled_from([-500, 0, 300]), st.randoms())
def test_the_parts_of_an_order_sum_to_the_order_in_any_sequence(case: tuple[Split, int], cuts: list[int], off: int,
                                                                rng: object) -> None:  # fmt: skip
    """`off` is the difference to the total that staff have accepted."""
    whole, step = case
    price = max(1, whole.total + off)
    bounds = sorted({0, price, *(cut % price for cut in cuts)})
    amounts = [after - before for before, after in itertools.pairwise(bounds)]
    for order in (amounts, amounts[::-1]):
        gone, parts = 0, []
        for amount in order:
            parts.append(whole.part(amount, after=gone, price=price, step=step))
            gone += amount
        assert [part.total for part in parts] == order
        assert all(part.tax >= 0 and part.delivery >= 0 and part.discount >= 0 for part in parts)
        summed = Split(
            *(sum(getattr(part, name) for part in parts) for name in ("total", "tax", "delivery", "discount"))
        )
        assert summed == Split(price, whole.tax, whole.delivery, whole.discount)


def test_more_than_the_price_has_no_further_tax() -> None:
    whole = Split(10500, tax=500, delivery=1000, discount=200)
    assert whole.part(300, after=10500, price=10500, step=100) == Split(300)
    assert whole.part(10800, after=0, price=10500, step=100) == Split(10800, 500, 1000, 200)


@pytest.mark.full
@settings(max_examples=sampled(500, 5000, quick=100), deadline=None)
@given(splits(), st.lists(st.integers(1, 10**6), min_size=1, max_size=6), st.data())
def test_refunds_that_are_done_fail_and_are_done_again_end_at_the_shares_of_what_is_refunded(
    case: tuple[Split, int], wanted: list[int], data: st.DataObject
) -> None:
    """A refund divides its amount after what was refunded before it; a failure takes back the last of what is."""
    whole, step = case
    done: list[int] = []
    booked = Split(0)
    for _ in range(12):
        gone = sum(done)
        failing = data.draw(st.sampled_from(done)) if done and data.draw(st.booleans()) else None
        if failing is not None:
            done.remove(failing)
            booked -= whole.part(failing, after=gone - failing, price=whole.total, step=step)
        else:
            amount = min(data.draw(st.sampled_from(wanted)), whole.total - gone)
            if amount <= 0:
                continue
            done.append(amount)
            booked -= Split(0) - whole.part(amount, after=gone, price=whole.total, step=step)
        assert booked == whole.first(sum(done), whole.total, step) if whole.total else booked == Split(0)
    rest = whole.total - sum(done)
    booked -= Split(0) - whole.part(rest, after=sum(done), price=whole.total, step=step)
    assert booked == whole
