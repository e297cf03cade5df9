"""Refunds: never more than was captured, never twice, and automatic for unallocated captures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shop.alerts.models import Alert
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.errors import BadInput, Refusal
from shop.core.money import Money
from shop.ledger import book, chart
from shop.orders.models import Order
from shop.payments.records.models import Capture, Refund
from shop.payments.refunds import apply, requests
from shop.setting_kinds import CurrencyAmounts
from shop.settings import SETTINGS, BadSetting, read
from tests.fakes import FakePay
from tests.payments.outside_refunds import late_capture
from tests.race_fixtures import Race
from tests.shop_fixtures import KETTLE, PRICES, Shop


def _paid(shop: Shop) -> tuple[Order, int]:
    """A paid order and its capture."""
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment)
    return order, _capture(order)


def _capture(order: Order) -> int:
    """The capture that paid the order."""
    db.session.rollback()
    return db.session.scalars(db.select(Capture.id).where(Capture.payment_id == order.paid_by)).one()


def _states(order: Order) -> list[str]:
    db.session.rollback()
    return list(
        db.session.scalars(db.select(Refund.state).where(Refund.order_id == order.id).order_by(Refund.created_at))
    )


def alerts(shop: Shop) -> list[str]:
    """The rules of all alerts."""
    shop.turn(minutes=5)
    db.session.rollback()
    return list(db.session.scalars(db.select(Alert.rule)))


def _share(order: Order, percent: int) -> Money:
    return Money(order.total_amount * percent // 100, order.currency)


def test_a_full_refund_takes_the_order_to_refunded(shop: Shop) -> None:
    order, capture = _paid(shop)
    requests.request(capture, order.total, reason="broken", by=shop.sam)
    assert shop.order_status(order).key == "refund_pending"
    shop.sweep()
    assert shop.state(order) == "REFUNDED"
    assert shop.order_status(order).key == "refunded"
    assert book.balance(chart.receivable("fakepay"), "TWD") == Money(0, "TWD")
    assert book.balance(chart.REFUNDS, "TWD") == order.total


def test_two_partial_refunds_go_through_partially_refunded(shop: Shop) -> None:
    order, capture = _paid(shop)
    requests.request(capture, _share(order, 40), reason="", by=shop.sam)
    shop.sweep()
    assert shop.state(order) == "PARTIALLY_REFUNDED"
    requests.request(capture, _share(order, 60), reason="", by=shop.sam)
    shop.sweep()
    assert shop.moves(order)[-3:] == ["PAID", "PARTIALLY_REFUNDED", "REFUNDED"]


def test_two_refunds_of_60_percent_at_once_exactly_one(shop: Shop, race: Race) -> None:
    """Case 13."""
    order, capture = _paid(shop)
    share = _share(order, 60)
    results = race(lambda _: requests.request(capture, share, reason="", by=shop.sam).id)
    assert len([r for r in results if isinstance(r, str)]) == 1
    assert {r.code for r in results if isinstance(r, Refusal)} == {"not_refundable"}
    shop.sweep()
    assert shop.state(order) == "PARTIALLY_REFUNDED"


def test_a_refund_webhook_before_the_refund_answer_finds_its_refund(shop: Shop) -> None:
    """Case 14."""
    order, capture = _paid(shop)
    refund = requests.request(capture, order.total, reason="", by=shop.sam)
    assert apply.result(refund.id, "DONE", Actor.of_source("webhook")) == "applied"
    assert shop.state(order) == "REFUNDED"
    shop.sweep()
    assert _states(order) == ["DONE"]


def test_a_refund_form_with_stale_numbers_is_refused_and_shows_the_current_ones(shop: Shop) -> None:
    """Case 15."""
    order, capture = _paid(shop)
    requests.request(capture, _share(order, 10), reason="", by=shop.sam, expected_refundable=order.total_amount)
    with pytest.raises(Refusal) as refused:
        requests.request(capture, _share(order, 10), reason="", by=shop.kim, expected_refundable=order.total_amount)
    assert refused.value.details["refundable"] == order.total_amount - _share(order, 10).amount
    shop.sweep()


def test_a_large_refund_waits_for_a_second_person(shop: Shop) -> None:
    shop.app.config["REFUND_NEEDS_TWO"] = {"TWD": 1000}
    try:
        order, capture = _paid(shop)
        refund = requests.request(capture, order.total, reason="", by=shop.sam)
    finally:
        shop.app.config["REFUND_NEEDS_TWO"] = {"TWD": 1_000_000}
    shop.sweep()
    assert _states(order) == ["REQUESTED"]
    with pytest.raises(Refusal):
        requests.approve(refund.id, shop.sam)
    requests.approve(refund.id, shop.kim)
    with pytest.raises(Refusal):
        requests.approve(refund.id, shop.colleague("lee"))
    shop.sweep()
    assert shop.state(order) == "REFUNDED"


@pytest.mark.parametrize(("currency", "alone"), [("TWD", 120000), ("JPY", 5600), ("USD", 0)])
def test_how_much_one_person_may_refund_is_set_for_each_currency(shop: Shop, currency: str, alone: int) -> None:
    """A currency that is not listed always needs approval."""
    shop.app.config["REFUND_NEEDS_TWO"] = CurrencyAmounts("TWD=120000,JPY=5600")
    order = shop.order(currency=currency)
    shop.acquirer.capture(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order))
    refund = requests.request(shop.capture(order), order.total, reason="", by=shop.sam)
    assert refund.needs_two == (order.total_amount > alone)
    if refund.needs_two:
        requests.approve(refund.id, shop.kim)
    shop.sweep()
    assert shop.state(order) == "REFUNDED"


@pytest.mark.parametrize(
    "text", ["1000000", "TWD", "TWD=", "TWD=-1", "TWD=1.5", "TDW=5", "twd=5", "TWD=1,TWD=2", "TWD=1,"]
)
def test_invalid_refund_limits_prevent_the_start_with_a_message(text: str) -> None:
    row = next(row for row in SETTINGS if row.name == "REFUND_NEEDS_TWO")
    with pytest.raises(BadSetting, match=r"REFUND_NEEDS_TWO: .* is not minor units by currency"):
        read([row], {"REFUND_NEEDS_TWO": text})


def test_the_limits_of_the_currencies_are_worth_about_the_same() -> None:
    row = next(row for row in SETTINGS if row.name == "REFUND_NEEDS_TWO")
    kettles = [amount / PRICES[KETTLE][currency] for currency, amount in read([row], {})["REFUND_NEEDS_TWO"].items()]
    assert len(kettles) == 3 and max(kettles) < 1.2 * min(kettles)


def test_a_capture_after_expiry_is_refunded_automatically(shop: Shop) -> None:
    """Case 11."""
    order = late_capture(shop)
    shop.sweep()
    assert shop.state(order) == "EXPIRED"
    assert _states(order) == ["DONE"]
    assert book.balance(chart.UNALLOCATED_FUNDS, "TWD") == Money(0, "TWD")
    status = shop.order_status(order)
    assert (status.key, status.refunds[0].state) == ("late", "DONE")


def test_the_second_of_two_payments_is_refunded_automatically_and_the_first_is_kept(shop: Shop) -> None:
    order, _ = _paid(shop)
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment)
    shop.sweep()
    assert shop.state(order) == "PAID"
    assert [theirs for theirs, _, _ in shop.acquirer.refunds.values()] == [f"cap-{payment.id}-2"]


@pytest.mark.parametrize("fault", ["lose_answer", "lose_request", "unreachable", "wait"])
def test_a_refund_without_an_answer_is_sent_once(shop: Shop, fault: str) -> None:
    order, capture = _paid(shop)
    shop.acquirer.misbehave("refund", fault)
    refund = requests.request(capture, order.total, reason="", by=shop.sam)
    shop.sweep()
    if fault == "wait":
        theirs, money, _ = shop.acquirer.refunds[refund.id]
        shop.acquirer.refunds[refund.id] = (theirs, money, "DONE")
    for _ in range(4):
        shop.turn(seconds=31)
    assert list(shop.acquirer.refunds) == [refund.id]
    assert shop.state(order) == "REFUNDED"


def test_a_refund_that_fails_later_takes_the_order_back_to_paid(shop: Shop) -> None:
    order, capture = _paid(shop)
    refund = requests.request(capture, order.total, reason="", by=shop.sam)
    shop.sweep()
    theirs, money, _ = shop.acquirer.refunds[refund.id]
    shop.acquirer.refunds[refund.id] = (theirs, money, "REJECTED")
    shop.turn(days=1, minutes=1)
    assert shop.moves(order)[-2:] == ["REFUNDED", "PAID"]
    assert book.balance(chart.REFUNDS, "TWD") == Money(0, "TWD")


def test_a_refused_automatic_refund_leaves_its_money_to_staff(shop: Shop) -> None:
    shop.acquirer.misbehave("refund", "refuse")
    order = late_capture(shop)
    shop.sweep()
    assert _states(order) == ["REJECTED"]
    assert shop.order_status(order).key == "review"


def test_a_completed_refund_is_queried_again_until_there_is_an_answer(shop: Shop) -> None:
    """A refund that failed later must not be missed because the acquirer was away on the next day."""
    order, capture = _paid(shop)
    refund = requests.request(capture, order.total, reason="", by=shop.sam)
    shop.sweep()
    shop.acquirer.refund_becomes(refund.id, "REJECTED")
    shop.acquirer.away = True
    shop.turn(days=1, minutes=1)
    assert shop.state(order) == "REFUNDED"
    shop.acquirer.away = False
    shop.turn(hours=1)
    assert (shop.state(order), _states(order)) == ("PAID", ["REJECTED"])


@pytest.fixture
def cautious(shop: Shop) -> Shop:
    """One person may refund half a kettle alone, and no more."""
    shop.app.config["REFUND_NEEDS_TWO"] = {"TWD": 60000}
    return shop


def test_one_person_alone_refunds_no_more_in_parts_than_at_once(cautious: Shop) -> None:
    order, capture = _paid(cautious)
    half = _share(order, 50)
    assert not requests.request(capture, half, reason="", by=cautious.sam).needs_two
    second = requests.request(capture, half, reason="", by=cautious.sam)
    assert second.needs_two
    cautious.sweep()
    assert cautious.state(order) == "PARTIALLY_REFUNDED"
    requests.approve(second.id, cautious.kim)
    cautious.sweep()
    assert cautious.state(order) == "REFUNDED"


@pytest.mark.whole_sweep
@pytest.mark.parametrize("by", ["sam", "kim"])
def test_a_refund_that_waits_for_a_second_person_can_be_declined(cautious: Shop, by: str) -> None:
    cautious.app.config["REFUND_NEEDS_TWO"] = {"TWD": 0}
    ada = cautious.customer(credit=1000)
    order = cautious.paid_order(customer=ada, credit=1000)
    requested = requests.request_all(order.id, reason="", by=cautious.sam)
    for refund in requested:
        requests.decline(refund.id, cautious.colleague(by))
        with pytest.raises(Refusal, match="No such refund is waiting for approval"):
            requests.decline(refund.id, cautious.colleague(by))
        with pytest.raises(Refusal):
            requests.approve(refund.id, cautious.colleague("lee"))
    cautious.sweep()
    assert cautious.order_status(order).key == "paid"
    again = requests.request_all(order.id, reason="", by=cautious.sam)
    assert [one.money for one in again] == [one.money for one in requested]
    for refund in again:
        requests.approve(refund.id, cautious.kim)
    cautious.sweep()
    assert (cautious.state(order), cautious.credit(ada)) == ("REFUNDED", 1000)
    assert not alerts(cautious), "calling off is no refusal by an acquirer"


def test_a_refund_that_waits_for_a_second_person_is_not_announced_to_the_customer(cautious: Shop) -> None:
    order, capture = _paid(cautious)
    refund = requests.request(capture, order.total, reason="", by=cautious.sam)
    status = cautious.order_status(order)
    assert (status.key, status.refunds, status.final) == ("paid", (), False)
    requests.approve(refund.id, cautious.kim)
    assert cautious.order_status(order).key == "refund_pending"


def test_of_eight_concurrent_declines_and_approvals_one_wins(cautious: Shop, race: Race) -> None:
    order, capture = _paid(cautious)
    refund = requests.request(capture, order.total, reason="", by=cautious.sam).id
    decides = {0: requests.approve, 1: requests.decline}
    results = race(lambda n: decides[n % 2](refund, cautious.colleague(f"kim{n}")))
    assert len([r for r in results if r is None]) == 1
    cautious.sweep()
    assert (cautious.state(order), _states(order)) in [("REFUNDED", ["DONE"]), ("PAID", ["REJECTED"])]


def test_an_amount_that_the_acquirer_cannot_refund_is_refused_on_request(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    able = replace(FakePay.capabilities, steps={"TWD": 100})
    monkeypatch.setattr(FakePay, "capabilities", able)
    order, capture = _paid(shop)
    with pytest.raises(BadInput, match=r"Fakepay refunds only multiples of NT\$1"):
        requests.request(capture, Money(1050, "TWD"), reason="", by=shop.sam)
    requests.request(capture, Money(1100, "TWD"), reason="", by=shop.sam)
    shop.sweep()
    assert shop.state(order) == "PARTIALLY_REFUNDED"
