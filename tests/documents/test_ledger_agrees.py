"""Documents over generated histories of refunds: they state what the ledger has booked. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shop.core.event_types import HistoryEntry
from shop.core.line_kinds import LineKind
from shop.core.money import smallest
from shop.documents import decide
from shop.documents.kinds import DocumentKind
from shop.ledger import chart
from shop.orders.states import OrderState, Reason
from shop.payments.order_money.decision import Decision
from shop.pricing.split import Split
from tests.documents.test_decide import PAID, Event, OrderLine, about
from tests.parts.selection import sampled
from tests.payments.order_money import Ledger
from tests.payments.test_refund_properties import History, Step, captures, start, step

SOME = settings(max_examples=sampled(200, 2000, quick=50), deadline=None)


def documents(ledger: Ledger, lines: list[OrderLine]) -> list[tuple[DocumentKind, decide.Content]]:
    """The credit notes and cancellations of an order with these lines."""
    order, seen = ledger.seen.order, ledger.seen
    pays = {row.id for row in seen.captures if row.pays_order} | {None}
    refunds = {row.id: row.amount for row in seen.refunds if row.capture_id in pays}
    whole = Split(order.total_amount, order.tax_amount, order.delivery_amount, order.discount_amount)
    found: list[tuple[DocumentKind, decide.Content]] = []
    for demand in decide.demands([PAID, *map(as_event, ledger.history)], refunds)[1:]:
        before = decide.sum_of((kind, content.split) for kind, content in found)
        of_order = (lines, whole, order.price, demand.refunded, before, smallest(order.currency))
        found.append((demand.kind, decide.correction(demand.kind, *of_order)))
    return found


def as_event(one: Any) -> Event:
    if isinstance(one, HistoryEntry):
        return Event(str(one.event.KIND), data={"refund": getattr(one.event, "refund", "")})
    return Event("order.moved", one.target, one.because)


class Documented(History):
    """A history whose documents are compared with the ledger after each step."""

    def _apply(self, how: Any) -> Decision | None:
        decision = super()._apply(how)
        seen = self.ledger.seen
        stated = documents(self.ledger, [OrderLine(LineKind.TAX, seen.order.tax_amount, is_included=True)])
        total = decide.sum_of((kind, content.split) for kind, content in stated)
        booked = {
            account: sum(
                money.amount for one in self.ledger.postings for where, money in one.entries if where == account
            )
            for account in (chart.TAX_PAYABLE, chart.DELIVERY, chart.DISCOUNTS)
        }
        assert [total.tax, total.delivery, -total.discount] == list(booked.values())
        assert total.total == min(seen.refunded_of_price, seen.order.price)
        for _, content in stated:
            assert all(line.amount >= 0 for line in content.lines), content
        return decision


@SOME
@given(st.integers(1, 10_000), captures, st.integers(0, 3000), st.tuples(*[st.integers(0, 50)] * 3), st.lists(step))
def test_documents_sum_to_the_refunds_in_the_ledger_whatever_fails_or_is_refunded_at_the_acquirer(
    paid: int, others: list[tuple[int, str]], credit: int, percent: tuple[int, int, int], steps: list[Step]
) -> None:
    seen = start(paid, others, credit)
    tax, delivery, discount = (seen.order.total_amount * each // 100 for each in percent)
    order = replace(seen.order, tax_amount=tax, delivery_amount=delivery, discount_amount=discount)
    history = Documented(seen.with_order(order))
    for each in steps:
        history.do(each)


@SOME
@given(st.lists(st.tuples(st.integers(1, 400), st.booleans()), max_size=9), st.integers(0, 4000))
def test_no_line_of_a_document_is_negative_and_the_lines_sum_to_it(parts: list[tuple[int, bool]], tax: int) -> None:
    whole = Split(4000, tax)
    lines = [OrderLine(LineKind.TAX, tax // 3), OrderLine(LineKind.TAX, tax - tax // 3)]
    history, refunds = [PAID], {}
    for number, (amount, fails) in enumerate([*parts, (4000, False)]):
        refunds[str(number)] = amount
        history += [about("refund.done", str(number))] + [about("refund.rejected", str(number))] * fails
    history.append(Event("order.moved", OrderState.REFUNDED, Reason.REFUND_DONE))
    issued: list[tuple[DocumentKind, Split]] = []
    for demand in decide.demands(history, refunds)[1:]:
        before = decide.sum_of(issued)
        found = decide.correction(demand.kind, lines, whole, 4000, demand.refunded, before, 1)
        assert all(line.amount >= 0 for line in found.lines)
        assert sum(line.amount for line in found.lines) == found.split.total
        issued.append((demand.kind, found.split))
    assert decide.sum_of(issued) == whole


@SOME
@pytest.mark.parametrize("currency", ["TWD", "USD"])
@given(
    st.lists(st.tuples(st.integers(1, 60), st.booleans()), max_size=9),
    st.tuples(st.integers(0, 19), st.integers(0, 19)),
    st.booleans(),
)
def test_the_credited_tax_of_each_rate_is_whole_never_negative_and_ends_at_that_of_the_receipt(
    currency: str, parts: list[tuple[int, bool]], taxes: tuple[int, int], is_included: bool
) -> None:
    step = smallest(currency)
    lines = [OrderLine(LineKind.TAX, units * step, is_included) for units in (*taxes, 0)]
    whole = Split(100 * step, sum(taxes) * step)
    history, refunds = [PAID], {}
    for number, (units, fails) in enumerate([*parts, (100, False)]):
        refunds[str(number)] = units * step
        history += [about("refund.done", str(number))] + [about("refund.rejected", str(number))] * fails
    issued: list[tuple[DocumentKind, Split]] = []
    credited = [0, 0, 0]
    for demand in decide.demands(history, refunds)[1:]:
        before = decide.sum_of(issued)
        found = decide.correction(demand.kind, lines, whole, whole.total, demand.refunded, before, step)
        stated = [line.amount for line in found.lines[1:]]
        assert all(amount >= 0 and amount % step == 0 for amount in stated), stated
        sign = 1 if demand.kind == DocumentKind.CREDIT_NOTE else -1
        credited = [sum_ + sign * amount for sum_, amount in zip(credited, stated, strict=True)]
        issued.append((demand.kind, found.split))
    assert credited == [line.unit_amount for line in lines]
