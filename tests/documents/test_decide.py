"""Documents that a history demands, and the shares of credit notes: pure decisions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

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


def test_a_refund_that_failed_before_staff_accepted_its_money_demands_nothing() -> None:
    accepted = Event("order.moved", "PAID", "mismatch_accepted")
    history = [about("refund.done"), about("refund.rejected"), accepted]
    assert causes(*history) == ["paid"]
    assert causes(*history, about("refund.done", "R2"), refunds={"R1": 5, "R2": 5}) == ["paid", "refund:R2"]


def amounts(*history: Event, refunds: dict[str, int], price: int, whole: Split) -> list[tuple[str, int, int]]:
    """Cause, total and tax of the credit notes and cancellations of an order."""
    issued: list[tuple[DocumentKind, Split]] = []
    found = []
    for demand in decide.demands(history, refunds)[1:]:
        before = decide.sum_of(issued)
        split = decide.correction(demand.kind, [], whole, price, demand.refunded, before, 1).split
        issued.append((demand.kind, split))
        found.append((demand.cause, split.total, split.tax))
    return found


def test_credit_notes_of_money_that_was_refunded_twice_end_at_the_receipt() -> None:
    history = (PAID, about("refund.done", "A"), about("refund.done", "B"), about("refund.done", "C"))
    refunds = dict.fromkeys("ABC", 3000)
    assert [total for _, total, _ in amounts(*history, refunds=refunds, price=4000, whole=Split(4000))] == [
        3000,
        1000,
        0,
    ]


def test_an_order_that_was_refunded_twice_stays_credited_when_one_of_the_refunds_fails() -> None:
    history = [PAID, about("refund.done", "A"), about("refund.done", "B"), about("refund.rejected", "A")]
    refunds = {"A": 4000, "B": 4000}
    found = amounts(*history, refunds=refunds, price=4000, whole=Split(4000, 190))
    assert found == [("refund:A", 4000, 190), ("refund:B", 0, 0), ("cancel:A", 0, 0)]
    history.append(about("refund.rejected", "B"))
    assert amounts(*history, refunds=refunds, price=4000, whole=Split(4000, 190))[-1] == ("cancel:B", 4000, 190)


def test_tax_after_a_cancellation_is_rounded_as_if_the_refund_had_not_been() -> None:
    history = [PAID, about("refund.done", "A"), about("refund.done", "B"), about("refund.rejected", "A")]
    history.append(about("refund.done", "C"))
    found = amounts(*history, refunds={"A": 10, "B": 10, "C": 1}, price=1000, whole=Split(1000, 50))
    assert found == [("refund:A", 10, 0), ("refund:B", 10, 1), ("cancel:A", 10, 1), ("refund:C", 1, 0)]
