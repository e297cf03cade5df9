"""Decision about a checkout form, as a table and as properties. No database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shop.checkout import agreement, unpaid_limits
from shop.checkout.agreement import Shown
from shop.checkout.cart_view import CartView, Line, UnpricedLine
from shop.checkout.placing.decide import NewOrder, Repeated, decide
from shop.checkout.placing.request import Customer, Request
from shop.checkout.placing.snapshot import Earlier, Rules, Snapshot
from shop.checkout.saga_states import SagaStep
from shop.checkout.unpaid_limits import ADDRESS, EMAIL, VISITOR, Amount
from shop.core.errors import Refusal
from shop.core.money import Money
from shop.payments.providers.charging import Charging
from shop.pricing.decide import Choices, Code, quote
from shop.pricing.decide import Rules as Pricing
from tests.parts.selection import sampled

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KEY = "key-of-this-page"
GUEST = Customer("ada@example.com", "Ada", "1 Main St", "Taipei", "TW")
CUSTOMER = replace(GUEST, user_id=7)


@dataclass(frozen=True)
class Steps:
    """Amounts in whole steps from `least` on."""

    step: int = 1
    least: int = 1

    def takes(self, money: Money) -> bool:
        return money.amount >= self.least and money.amount % self.step == 0

    def next_charge(self, money: Money) -> Money | None:
        return Money(-(-max(money.amount, self.least) // self.step) * self.step, money.currency)


def line(sku: str = "A", quantity: int = 1, price: int = 100, available: int = 99, was: int | None = None) -> Line:
    seen = None if was is None else Money(was, "TWD")
    return Line(sku, sku.lower(), f"Product {sku}", "mark.svg", Money(price, "TWD"), quantity, available, seen)


def cart(*lines: Line, unpriced: tuple[str, ...] = ()) -> CartView:
    without = (UnpricedLine(sku, sku.lower(), f"Product {sku}", "mark.svg", 1, "TWD") for sku in unpriced)
    return CartView("cart", "TWD", KEY, lines, tuple(without))


MOST = Amount(3, 100, 100_000)


@dataclass(frozen=True)
class Case:
    """A form for a cart, and all other inputs of the decision."""

    lines: tuple[Line, ...] = (line(),)
    unpriced: tuple[str, ...] = ()
    customer: Customer = GUEST
    provider: str = "fakepay"
    credit: int = 0
    earlier: Earlier | None = None
    reserved: Mapping[str, Amount] = field(default_factory=dict)
    free_credit: int = 0
    amounts: Steps = Steps()
    shown: Mapping[str, str] = field(default_factory=dict)
    code: Code | None = None

    @property
    def request(self) -> Request:
        mark = agreement.customer_mark(KEY, self.customer.user_id)
        seen, code = cart(*self.lines), self.code.code if self.code else ""
        quoted = quote(seen.total, Choices("TW", "", code), Pricing(code=self.code), NOW)
        shown = Shown(KEY, seen.terms_with(quoted.terms).digest, mark)
        return Request(self.customer, self.provider, replace(shown, **self.shown), self.credit, code=code)

    def decide(self) -> NewOrder | Repeated | Refusal:
        most = dict.fromkeys((VISITOR, EMAIL, ADDRESS), MOST)
        there = cart(*self.lines, unpriced=self.unpriced)
        pricing = Pricing(code=self.code)
        seen = Snapshot(there, self.earlier, self.reserved, self.free_credit, pricing)
        return decide(
            seen, self.request, Rules({"fakepay": Charging("Fakepay", self.amounts)}, most, timedelta(minutes=30)), NOW
        )


ALL = Code("ALL", percent=100, use_limit=1000)
REFUSED = {
    "empty cart": (Case(lines=()), "cart_empty", 409),
    "product without this currency": (Case(unpriced=("A",)), "not_sold_in_currency", 409),
    "only products without this currency": (Case(lines=(), unpriced=("A",)), "not_sold_in_currency", 409),
    "form of another cart state": (Case(shown={"key": "older-key"}), "cart_changed", 409),
    "form without a customer": (Case(shown={"customer": ""}), "cart_changed", 409),
    "signed in since": (Case(customer=CUSTOMER, shown={"customer": agreement.GUEST}), "other_customer", 409),
    "signed out since": (Case(shown={"customer": agreement.customer_mark(KEY, 7)}), "other_customer", 409),
    "other terms shown": (Case(shown={"terms": "other"}), "cart_changed", 409),
    "provider without this currency": (Case(provider="nopay"), "unknown_method", 422),
    "price has changed": (Case(lines=(line(was=90),)), "prices_moved", 409),
    "amount below the smallest charge": (Case(amounts=Steps(least=1000)), "cannot_charge", 409),
    "too many orders of the visitor": (Case(reserved={VISITOR: Amount(3, 3, 300)}), "own_orders_unpaid", 409),
    "too many units of the visitor": (Case(reserved={VISITOR: Amount(1, 100, 300)}), "own_orders_unpaid", 409),
    "too much value for the e-mail": (Case(reserved={EMAIL: Amount(1, 1, 100_000)}), "too_many_unpaid", 429),
    "too many orders of the network": (Case(reserved={ADDRESS: Amount(3, 3, 3)}), "too_many_unpaid", 429),
    "more units than the limit, though a discount pays them": (
        Case(lines=(line(quantity=101, available=200),), code=ALL, reserved={VISITOR: Amount(0, 0, 0)}),
        "own_orders_unpaid",
        409,
    ),
    "too few in stock": (Case(lines=(line(quantity=3, available=2),)), "out_of_stock", 409),
    "guest with store credit": (Case(credit=50), "not_signed_in", 422),
    "less credit than wanted": (Case(customer=CUSTOMER, credit=50, free_credit=49), "not_enough_credit", 409),
}


@pytest.mark.parametrize(("case", "code", "status"), REFUSED.values(), ids=REFUSED)
def test_a_form_is_refused_for(case: Case, code: str, status: int) -> None:
    refusal = case.decide()
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.status) == (code, status)


def test_an_order_that_costs_nothing_needs_no_payment_method() -> None:
    order = Case(provider="", code=ALL).decide()
    assert isinstance(order, NewOrder) and order.to_pay.amount == 0


def test_a_form_that_matches_its_cart_becomes_an_order() -> None:
    order = Case(lines=(line("B", 2, 300), line("A", 1, 100))).decide()
    assert isinstance(order, NewOrder)
    assert (order.total, order.credit, order.to_pay) == (Money(700, "TWD"), Money(0, "TWD"), Money(700, "TWD"))
    assert (order.placed_at, order.pay_by) == (NOW, NOW + timedelta(minutes=30))
    assert list(order.quantities.items()) == [("A", 1), ("B", 2)], "stock rows are locked in the order of SKUs"
    assert [each.sku for each in order.lines] == ["B", "A"], "lines keep the order of the cart"
    assert order.steps == (SagaStep.RESERVE_STOCK,)


def test_store_credit_pays_part_or_all_and_never_more_than_the_total() -> None:
    part = Case(customer=CUSTOMER, credit=40, free_credit=40).decide()
    everything = Case(customer=CUSTOMER, credit=5000, free_credit=5000).decide()
    assert isinstance(part, NewOrder) and isinstance(everything, NewOrder)
    assert (part.credit.amount, part.to_pay.amount) == (40, 60)
    assert part.steps == (SagaStep.RESERVE_STOCK, SagaStep.HOLD_CREDIT)
    assert (everything.credit.amount, everything.to_pay.amount) == (100, 0)


def test_an_order_that_store_credit_pays_needs_no_charge_and_counts_toward_no_limit() -> None:
    full = Case(customer=CUSTOMER, credit=100, free_credit=100, amounts=Steps(least=9999), reserved={VISITOR: MOST})
    assert isinstance(full.decide(), NewOrder)


def test_the_same_form_gives_the_same_order_and_another_one_is_refused() -> None:
    first = Case()
    again = replace(first, earlier=Earlier(42, first.request.digest), lines=())
    assert replace(again, shown={"terms": first.request.shown.terms}).decide() == Repeated(42)
    other = replace(first, earlier=Earlier(42, "digest of something else")).decide()
    assert isinstance(other, Refusal) and other.code == "already_placed"
    unknown = replace(first, earlier=Earlier(42, None)).decide()
    assert isinstance(unknown, Refusal) and unknown.code == "already_placed"


def test_the_page_language_is_not_part_of_what_was_stated() -> None:
    english, japanese = Case().request, Case(customer=replace(GUEST, locale="ja")).request
    assert english.digest == japanese.digest
    assert english.digest != replace(english, customer=replace(GUEST, line2="2F")).digest
    assert english.digest != replace(english, credit=1).digest
    assert english.digest != replace(english, provider="otherpay").digest


def test_every_short_line_is_named_in_the_order_of_skus() -> None:
    refusal = Case(lines=(line("C", 5, available=2), line("B", 1), line("A", 1, available=0))).decide()
    assert isinstance(refusal, Refusal)
    assert (
        refusal.message
        == "Product A is sold out. Only 2 Product C left. No order was placed, and your cart is unchanged."
    )
    assert [(item["sku"], item["available"]) for item in refusal.details["short"]] == [("A", 0), ("C", 2)]


def test_the_refused_charge_states_how_much_credit_can_be_used() -> None:
    case = Case(customer=CUSTOMER, credit=90, free_credit=90, amounts=Steps(least=30))
    refusal = case.decide()
    assert isinstance(refusal, Refusal) and refusal.details == {"usable_credit": 70}
    assert isinstance(replace(case, credit=70).decide(), NewOrder), "and that much is accepted"


# --- properties ---

amounts = st.builds(Amount, st.integers(0, 4), st.integers(0, 120), st.integers(0, 120_000))
product_lines = st.lists(
    st.builds(
        line,
        st.sampled_from("ABCDE"),
        st.integers(1, 99),
        st.integers(0, 500),
        st.integers(0, 120),
        st.sampled_from([None, None, None, 7]),
    ),
    max_size=4,
    unique_by=lambda each: each.sku,
)
cases = st.builds(
    Case,
    lines=product_lines.map(tuple),
    unpriced=st.sampled_from([(), (), (), ("Z",)]),
    customer=st.sampled_from([GUEST, CUSTOMER]),
    provider=st.sampled_from(["fakepay", "fakepay", "fakepay", "nopay"]),
    credit=st.sampled_from([0, 0, 1, 50, 100, 10_000]),
    earlier=st.sampled_from([None, None, None, Earlier(1, "other"), Earlier(2, None)]),
    reserved=st.dictionaries(st.sampled_from([VISITOR, EMAIL, ADDRESS]), amounts),
    free_credit=st.integers(0, 1000),
    amounts=st.builds(Steps, st.sampled_from([1, 1, 10]), st.sampled_from([1, 30])),
    shown=st.sampled_from([{}, {}, {}, {"key": "older"}, {"terms": "other"}, {"customer": ""}]),
)


@settings(max_examples=sampled(700, 5000, quick=200), deadline=None)
@given(cases)
def test_any_form_becomes_an_order_as_agreed_or_is_refused_for_a_reason_and_repeating_it_changes_nothing(
    case: Case,
) -> None:
    decision = case.decide()
    if isinstance(decision, NewOrder):
        is_agreed_in_stock_within_limits_and_paid_for_in_full(case, decision)
    is_accepted_without_any_reason_for_a_refusal(case)
    depends_on_nothing_else(case, decision)
    gives_its_order_once_it_was_placed(case)


def is_agreed_in_stock_within_limits_and_paid_for_in_full(case: Case, order: NewOrder) -> None:
    total = cart(*case.lines).total.amount
    assert order.total.amount == total == order.credit.amount + order.to_pay.amount, "no money appears or vanishes"
    assert 0 <= order.credit.amount <= min(case.credit, total)
    assert case.lines and not case.unpriced and not case.shown and case.earlier is None
    assert case.provider == "fakepay" or not order.to_pay.amount
    assert all(each.quantity <= each.available and each.price_was is None for each in case.lines)
    assert order.quantities == {each.sku: each.quantity for each in case.lines}
    if order.credit.amount:
        assert case.customer.user_id is not None and order.credit.amount <= case.free_credit
    if order.to_pay.amount:
        assert case.amounts.takes(order.to_pay)
        more = Amount(1, sum(each.quantity for each in case.lines), total)
        assert not any(unpaid_limits.exceeded(held, more, MOST) for held in case.reserved.values())


def is_accepted_without_any_reason_for_a_refusal(case: Case) -> None:
    cleared = tuple(
        replace(each, available=max(each.available, each.quantity), price_was=None) for each in case.lines
    ) or (line(),)
    order = replace(
        case,
        lines=cleared,
        unpriced=(),
        provider="fakepay",
        credit=0,
        earlier=None,
        reserved={},
        shown={},
        amounts=Steps(),
    ).decide()
    small = Amount(1, sum(each.quantity for each in cleared), cart(*cleared).total.amount)
    within = unpaid_limits.exceeded(Amount(), small, MOST) is None
    assert isinstance(order, NewOrder) or not within or not cart(*cleared).total.amount


def depends_on_nothing_else(case: Case, first: NewOrder | Repeated | Refusal) -> None:
    second = case.decide()
    if isinstance(first, Refusal) and isinstance(second, Refusal):
        assert (first.code, first.message, first.details) == (second.code, second.message, second.details)
    else:
        assert first == second


def gives_its_order_once_it_was_placed(case: Case) -> None:
    assert replace(case, earlier=Earlier(9, case.request.digest)).decide() == Repeated(9)
