"""Decisions about returns as tables, without a database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from shop.core.errors import BadInput, Refusal
from shop.core.money import Money
from shop.orders.states import OrderState
from shop.payments.providers.types import DisputeState
from shop.returns import decide, decide_arrival
from shop.returns.decide import Wanted
from shop.returns.decide_arrival import Part
from shop.returns.snapshot import LineRow, Sent, Snapshot
from shop.returns.states import ARRIVED, ENDED_WITHOUT, SOURCES, ReturnReason, ReturnState
from tests.payments.order_money import capture, chargeback, snapshot
from tests.returns.rows import KETTLE, NOW, PEN, one_return, order

S = ReturnState
TWO_PENS = {PEN: LineRow(2)}
TWO_OF_THREE_CAME = {PEN: LineRow(3, 1, 1)}
LEFT = {
    "nothing was returned": (order(), {PEN: 3, KETTLE: 1}),
    "a request holds its units": (order(one_return(lines=TWO_PENS)), {PEN: 1, KETTLE: 1}),
    "an accepted one too": (order(one_return(S.ACCEPTED, lines=TWO_PENS)), {PEN: 1, KETTLE: 1}),
    "a declined one does not": (order(one_return(S.DECLINED)), {PEN: 3, KETTLE: 1}),
    "nor does a withdrawn one": (order(one_return(S.WITHDRAWN)), {PEN: 3, KETTLE: 1}),
    "of an arrived one only what came": (order(one_return(S.RECEIVED, lines=TWO_OF_THREE_CAME)), {PEN: 1, KETTLE: 1}),
    "of a closed one too": (order(one_return(S.CLOSED, lines={PEN: LineRow(3, 0, 3)})), {PEN: 0, KETTLE: 1}),
    "several add up": (
        order(one_return(), one_return(S.ACCEPTED, 2), one_return(S.CLOSED, 3, lines={KETTLE: LineRow(1, 1, 0)})),
        {PEN: 1, KETTLE: 0},
    ),
    "only what was sent can come back": (order(sent=Sent({PEN: 1}, NOW)), {PEN: 1}),
}  # fmt: skip


@pytest.mark.parametrize(("seen", "left"), LEFT.values(), ids=LEFT)
def test_units_are_left_to_return(seen: Snapshot, left: Mapping[str, int]) -> None:
    assert seen.left() == left


MANY = tuple(one_return(S.WITHDRAWN, number) for number in range(decide.MOST))
REFUSED: dict[str, tuple[Snapshot, dict[str, Any], str | None]] = {
    "one pen": (order(), {PEN: 1}, None),
    "everything": (order(), {PEN: 3, KETTLE: 1}, None),
    "a partly refunded order": (order(state=OrderState.PARTIALLY_REFUNDED), {PEN: 1}, None),
    "more than was bought": (order(), {PEN: 4}, "returned_before"),
    "more than is left": (order(one_return(lines=TWO_PENS)), {PEN: 2}, "returned_before"),
    "an item of another order": (order(), {"cup": 1}, "unknown_line"),
    "nothing": (order(), {}, "nothing_chosen"),
    "fewer than nothing": (order(), {PEN: -1}, "nothing_chosen"),
    "an unpaid order": (order(state=OrderState.WAITING_PAYMENT), {PEN: 1}, "not_returnable"),
    "a refunded order": (order(state=OrderState.REFUNDED), {PEN: 1}, "not_returnable"),
    "an order of which nothing was sent": (order(sent=Sent({}, None)), {PEN: 1}, "not_returnable"),
    "all was returned": (order(one_return(S.CLOSED, lines={PEN: LineRow(3, 3, 0)}), sent=Sent({PEN: 3}, NOW)),
                         {PEN: 1}, "nothing_to_return"),
    "too many returns": (order(*MANY), {PEN: 1}, "too_many_returns"),
    "in time": (order(sent=Sent({PEN: 3}, NOW - timedelta(days=14))), {PEN: 1}, None),
    "too late": (order(sent=Sent({PEN: 3}, NOW - timedelta(days=14, seconds=1))), {PEN: 1}, "return_too_late"),
}  # fmt: skip


@pytest.mark.parametrize(("seen", "units", "code"), REFUSED.values(), ids=REFUSED)
def test_a_request_is_checked(seen: Snapshot, units: dict[str, int], code: str | None) -> None:
    wanted = Wanted(units, ReturnReason.FAULTY)
    if code is None:
        decide.request(seen, wanted, NOW, 14, for_customer=False)
        return
    with pytest.raises(Refusal) as refused:
        decide.request(seen, wanted, NOW, 14, for_customer=False)
    assert refused.value.code == code


def test_staff_request_a_return_after_the_deadline_but_not_of_more_units() -> None:
    late = order(sent=Sent({PEN: 3}, NOW - timedelta(days=100)))
    decide.request(late, Wanted({PEN: 3}, ReturnReason.OTHER), NOW, 14, for_customer=True)
    with pytest.raises(Refusal) as refused:
        decide.request(late, Wanted({PEN: 4}, ReturnReason.OTHER), NOW, 14, for_customer=True)
    assert refused.value.code == "returned_before"


@pytest.mark.parametrize(
    ("reason", "comment", "code"),
    [
        ("", "", "unknown_reason"),
        ("magic", "", "unknown_reason"),
        ("faulty", "x" * 501, "bad_comment"),
        ("faulty", "a\0b", "bad_comment"),
    ],
)
def test_a_reason_is_one_of_the_list_and_a_text_has_a_limit(reason: str, comment: str, code: str) -> None:
    with pytest.raises(BadInput) as refused:
        Wanted.of({PEN: 1}, reason, comment)
    assert refused.value.code == code


def test_texts_of_customers_are_kept_as_one_line_in_any_script() -> None:
    assert Wanted.of({PEN: 1, KETTLE: 0}, "other", "  It\nleaks \u202e 茶壺 🫖 ") == Wanted(
        {PEN: 1}, ReturnReason.OTHER, "It leaks 茶壺 🫖"
    )


def test_the_state_table_has_every_state_and_ends() -> None:
    assert set(SOURCES) | {S.REQUESTED} == set(S)
    ends = set(S) - {source for sources in SOURCES.values() for source in sources}
    assert ends == ENDED_WITHOUT | {S.CLOSED} and {S.RECEIVED, S.CLOSED} == ARRIVED


@pytest.mark.parametrize("state", S)
def test_a_return_is_withdrawn_before_it_is_received(state: ReturnState) -> None:
    one = one_return(state)
    if state in SOURCES[S.WITHDRAWN] | {S.WITHDRAWN}:
        assert decide.withdraw(one) == (state != S.WITHDRAWN)
    else:
        with pytest.raises(Refusal) as refused:
            decide.withdraw(one)
        assert refused.value.code == "not_withdrawn"


# --- units that arrived ---

ARRIVALS: dict[str, tuple[dict[str, tuple[int, int]], str | None, int]] = {
    "all are restocked": ({PEN: (2, 0)}, None, 18_000),
    "one is restocked, one is not": ({PEN: (1, 1)}, None, 18_000),
    "one did not come": ({PEN: (0, 1)}, None, 9000),
    "none came": ({PEN: (0, 0)}, "nothing_arrived", 0),
    "an empty form": ({}, "nothing_arrived", 0),
    "more than requested": ({PEN: (2, 1)}, "bad_quantity", 0),
    "less than nothing": ({PEN: (-1, 2)}, "bad_quantity", 0),
    "another line": ({KETTLE: (1, 0)}, "unknown_line", 0),
}


@pytest.mark.parametrize(("arrived", "code", "amount"), ARRIVALS.values(), ids=ARRIVALS)
def test_units_arrive(arrived: dict[str, tuple[int, int]], code: str | None, amount: int) -> None:
    one = one_return(S.ACCEPTED, lines=TWO_PENS)
    if code is None:
        lines, share = decide_arrival.receive(order(one), one, arrived)
        assert (share.total, lines[PEN].restocked, lines[PEN].not_restocked) == (amount, *arrived[PEN])
        return
    with pytest.raises(BadInput) as refused:
        decide_arrival.receive(order(one), one, arrived)
    assert refused.value.code == code


ARRIVED_RETURN = one_return(S.RECEIVED, goods_amount=9000)
SOURCES_OF_MONEY = {
    "from the payment": (snapshot(capture(amount=9000)), 9000, [Part(1, 9000)]),
    "from store credit": (snapshot(credit=9000), 9000, [Part(None, 9000)]),
    "from the payment first": (snapshot(capture(amount=5000), credit=5000), 9000, [Part(1, 5000), Part(None, 4000)]),
    "a part of it": (snapshot(capture(amount=9000)), 4000, [Part(1, 4000)]),
    "of what is left": (snapshot(capture(amount=9000, refunded_amount=2000)), 7000, [Part(1, 7000)]),
    "not from late money": (snapshot(capture(amount=9000), capture(2, 9000, "late")), 9000, [Part(1, 9000)]),
}


@pytest.mark.parametrize(("money", "granted", "parts"), SOURCES_OF_MONEY.values(), ids=SOURCES_OF_MONEY)
def test_a_return_is_refunded_from_the_money_that_paid_the_order(money: Any, granted: int, parts: list[Part]) -> None:
    possible = decide_arrival.refundable(ARRIVED_RETURN, money)
    assert decide_arrival.parts(ARRIVED_RETURN, money, Money(granted, "TWD"), possible) == parts


@pytest.mark.parametrize(
    ("granted", "expected", "code"),
    [
        (Money(0, "TWD"), 9000, "bad_amount"),
        (Money(-1, "TWD"), 9000, "bad_amount"),
        (Money(9000, "JPY"), 9000, "bad_amount"),
        (Money(9001, "TWD"), 9000, "not_refundable"),
        (Money(10**15, "TWD"), 9000, "not_refundable"),
        (Money(9000, "TWD"), 8000, "not_refundable"),
    ],
)
def test_a_refund_is_within_what_the_units_cost_and_what_the_reader_saw(
    granted: Money, expected: int, code: str
) -> None:
    with pytest.raises(Refusal) as refused:
        decide_arrival.parts(ARRIVED_RETURN, snapshot(capture(amount=147_000)), granted, expected)
    assert refused.value.code == code


def test_money_that_the_bank_may_take_back_is_not_refunded_for_a_return() -> None:
    taken = snapshot(capture(amount=9000), disputes=(chargeback(5000, DisputeState.OPEN),))
    assert decide_arrival.refundable(ARRIVED_RETURN, taken) == 4000
    decided = snapshot(capture(amount=9000), disputes=(chargeback(5000, DisputeState.WON),))
    assert decide_arrival.refundable(ARRIVED_RETURN, decided) == 9000
