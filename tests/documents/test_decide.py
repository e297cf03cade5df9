"""Documents that a history demands, and the shares of credit notes: pure decisions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shop.core.line_kinds import LineKind
from shop.documents import decide
from shop.documents.kinds import DocumentKind
from shop.pricing.split import Split


@dataclass(frozen=True)
class Event:
    """An event of an order."""

    kind: str
    target: str | None = None
    because: str | None = None
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OrderLine:
    """A line of an order."""

    kind: LineKind
    unit_amount: int
    is_included: bool = False
    name: str = "x"
    quantity: int = 1
    rate: int | None = None


PAID = Event("order.moved", "PAID", "captured")


def about(kind: str, refund: str = "R1") -> Event:
    return Event(kind, data={"refund": refund})


def causes(*history: Event, refunds: dict[str, int] | None = None) -> list[str]:
    return [one.cause for one in decide.demands(history, {"R1": 5} if refunds is None else refunds)]


def test_an_unpaid_order_demands_nothing() -> None:
    assert causes(Event("order.moved", "WAITING_PAYMENT", "payment_opened"), about("refund.rejected")) == []


def test_a_paid_order_demands_one_receipt_also_when_a_refund_fails_later() -> None:
    again = Event("order.moved", "PAID", "refund_failed_later")
    history = (PAID, about("refund.done"), about("refund.rejected"), again)
    assert causes(*history) == ["paid", "refund:R1", "cancel:R1"]


def test_a_refund_that_never_was_done_demands_nothing() -> None:
    assert causes(PAID, about("refund.rejected")) == ["paid"]


def test_a_refund_of_money_that_pays_no_order_demands_nothing() -> None:
    assert causes(PAID, about("refund.done"), refunds={}) == ["paid"]


@given(
    parts=st.lists(st.tuples(st.integers(1, 400), st.booleans()), min_size=1, max_size=8),
    tax=st.integers(0, 300),
    included=st.booleans(),
)
def test_credit_notes_that_are_not_cancelled_have_the_shares_of_what_is_refunded(
    parts: list[tuple[int, bool]], tax: int, included: bool
) -> None:
    """Lines sum to totals in each of them, and a full refund has all of the tax."""
    whole = Split(4000, tax, 200, 100)
    lines = [OrderLine(LineKind.ITEM, 4000), OrderLine(LineKind.TAX, tax, is_included=included)]
    issued: list[tuple[DocumentKind, Split]] = []
    for amount, fails in parts:
        found = decide.credit_note(lines, whole, 4000, amount, decide.sum_of(issued), 1)
        assert sum(line.amount for line in found.lines if not line.is_included) == found.split.total == amount
        issued.append((DocumentKind.CREDIT_NOTE, found.split))
        if fails:
            issued.append((DocumentKind.CANCELLATION, found.split))
    left = 4000 - decide.sum_of(issued).total
    rest = decide.credit_note(lines, whole, 4000, left, decide.sum_of(issued), 1)
    assert decide.sum_of([*issued, (DocumentKind.CREDIT_NOTE, rest.split)]) == whole


def test_credit_notes_of_money_that_was_refunded_twice_end_at_the_receipt() -> None:
    whole, lines = Split(4000, 0, 0, 0), [OrderLine(LineKind.ITEM, 4000)]
    first = decide.credit_note(lines, whole, 4000, 3000, Split(0), 1).split
    second = decide.credit_note(lines, whole, 4000, 3000, first, 1).split
    third = decide.credit_note(
        lines,
        whole,
        4000,
        3000,
        decide.sum_of([(DocumentKind.CREDIT_NOTE, first), (DocumentKind.CREDIT_NOTE, second)]),
        1,
    )
    assert [one.total for one in (first, second, third.split)] == [3000, 1000, 0]
