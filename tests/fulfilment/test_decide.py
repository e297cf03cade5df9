"""Units of orders: what packing, shipping, cancelling and taking out change. Pure decisions."""

from __future__ import annotations

import pytest

from shop.core.errors import BadInput, Refusal
from shop.fulfilment import decide
from shop.fulfilment.decide import Line, Snapshot, state_of
from shop.fulfilment.refusals import CountsChanged, NothingToPack, NotShippable, TooMany
from shop.orders.fulfilment_states import FulfilmentState as F
from shop.orders.states import OrderState


def line(sku: str = "A", ordered: int = 3, **places: int) -> Line:
    return Line(sku, f"Product {sku}", ordered, **places)


def order(*lines: Line, state: OrderState = OrderState.PAID) -> Snapshot:
    return Snapshot(state, lines or (line("A", 3), line("B", 1)))


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        ([line()], F.TO_PACK),
        ([line(withdrawn=2)], F.TO_PACK),
        ([line(withdrawn=3)], F.NOTHING_TO_SHIP),
        ([line(packed=1)], F.PARTLY_PACKED),
        ([line(packed=3), line("B", 1)], F.PARTLY_PACKED),
        ([line(packed=3)], F.PACKED),
        ([line(packed=2, withdrawn=1)], F.PACKED),
        ([line(shipped=1)], F.PARTLY_SHIPPED),
        ([line(shipped=1, packed=2)], F.PARTLY_SHIPPED),
        ([line(shipped=3)], F.SHIPPED),
        ([line(shipped=2, withdrawn=1)], F.SHIPPED),
    ],
)
def test_the_state_of_the_fulfilment_follows_from_the_places_of_the_units(lines: list[Line], state: F) -> None:
    assert state_of(lines) is state


def test_units_go_from_left_to_packed_to_shipped_and_back_when_a_package_is_cancelled() -> None:
    packed = decide.pack(order(), {"A": 2})
    assert (packed.lines[0].packed, packed.lines[0].left, packed.fulfilment) == (2, 1, F.PARTLY_PACKED)
    shipped = decide.ship(packed, {"A": 2})
    assert (shipped.lines[0].shipped, shipped.lines[0].packed, shipped.fulfilment) == (2, 0, F.PARTLY_SHIPPED)
    assert decide.unpack(packed, {"A": 2}) == order()
    rest = decide.ship(decide.pack(shipped, shipped.left), shipped.left)
    assert rest.fulfilment is F.SHIPPED and rest.left == {}


@pytest.mark.parametrize(
    ("units", "refusal", "message"),
    [
        ({"A": 4}, TooMany, "Product A: only 3 units are left to pack."),
        ({"A": 1, "B": 2}, TooMany, "Product B: only 1 unit is left to pack."),
        ({}, NothingToPack, "Choose at least one unit"),
        ({"A": 0}, NothingToPack, "Choose at least one unit"),
        ({"C": 1}, BadInput, "Choose products of this order."),
        ({"A": -1}, BadInput, "Enter whole numbers"),
    ],
)
def test_units_that_are_not_left_are_not_packed(units: dict[str, int], refusal: type[Refusal], message: str) -> None:
    with pytest.raises(refusal, match=message):
        decide.pack(order(), units)


@pytest.mark.parametrize("state", sorted(set(OrderState) - decide.SHIPPABLE))
def test_an_order_without_money_is_neither_packed_nor_shipped(state: OrderState) -> None:
    with pytest.raises(NotShippable, match=str(state).replace("_", " ").lower()):
        decide.pack(order(state=state), {"A": 1})
    with pytest.raises(NotShippable):
        decide.ship(order(line(packed=3), state=state), {"A": 3})
    assert decide.unpack(order(line(packed=3), state=state), {"A": 3}).left == {"A": 3}, "a package can be cancelled"


@pytest.mark.parametrize("state", sorted(decide.SHIPPABLE))
def test_an_order_with_money_is_packed(state: OrderState) -> None:
    assert decide.pack(order(state=state), {"A": 3, "B": 1}).fulfilment is F.PACKED


def test_units_that_are_taken_out_are_not_packed_and_a_repetition_changes_nothing() -> None:
    out = decide.withdraw(order(), {"A": 2}, seen={"A": 0})
    assert out.left == {"A": 1, "B": 1} and out.fulfilment is F.TO_PACK
    assert decide.withdraw(out, {"A": 2}, seen={"A": 0}) == out
    with pytest.raises(CountsChanged):
        decide.withdraw(out, {"A": 1}, seen={"A": 0})
    assert decide.withdraw(out, {"A": 0}, seen={"A": 2}) == order()
    with pytest.raises(TooMany, match="only 3 units"):
        decide.withdraw(out, {"A": 4}, seen={"A": 2})


def test_units_that_are_packed_or_shipped_cannot_be_taken_out() -> None:
    some = order(line("A", 3, packed=1, shipped=1))
    assert decide.withdraw(some, {"A": 1}, seen={"A": 0}).left == {}
    with pytest.raises(TooMany):
        decide.withdraw(some, {"A": 2}, seen={"A": 0})
